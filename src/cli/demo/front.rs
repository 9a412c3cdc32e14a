//! The site over HTTP: five pages to read, and `POST /posts/ID title=…` to change one.
//!
//! Loopback only, and only as much of HTTP as a browser and curl need.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use super::database::PAGES;
use super::site::Site;
use crate::cli::Exit;

/// A title and its field's name.
const FORM_BYTES_MAX: usize = 8 * 1024;
/// Longest title in bytes.
const TITLE_BYTES_MAX: usize = 1024;

/// A site that is served until it is dropped.
pub struct Front {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    /// Serves a site on a free loopback port.
    ///
    /// # Errors
    /// The system's.
    pub async fn open(site: Site) -> Result<Self, Exit> {
        let failed = |error: std::io::Error| Exit::Failed(format!("cannot serve a site: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { address, serving: tokio::spawn(serve(listener, site)) })
    }
}

async fn serve(listener: TcpListener, site: Site) {
    while let Ok((stream, _)) = listener.accept().await {
        let site = site.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let site = site.clone();
                async move { Ok::<_, Infallible>(answer(&site, request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new());
            // A visitor's protocol errors are its own affair.
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(site: &Site, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(page) = PAGES.iter().find(|page| page.path == path) else {
        return text(StatusCode::NOT_FOUND, "no such page\n");
    };
    match *request.method() {
        Method::GET | Method::HEAD => match site.visit(page).await {
            Ok(visit) => {
                let mut answer = text(StatusCode::OK, visit.body);
                let headers = answer.headers_mut();
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                headers.insert(CONTENT_TYPE, html);
                let cache = if visit.is_hit { "hit" } else { "miss" };
                headers.insert("x-cache", HeaderValue::from_static(cache));
                answer
            }
            Err(exit) => text(StatusCode::BAD_GATEWAY, format!("{exit}\n")),
        },
        Method::POST if page.type_name == "posts" => change(site, page.id, request).await,
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "GET a page, or POST title=... to a post\n"),
    }
}

async fn change(site: &Site, id: &str, request: Request<Incoming>) -> Answer {
    let Ok(form) = Limited::new(request.into_body(), FORM_BYTES_MAX).collect().await else {
        return text(StatusCode::BAD_REQUEST, "the form is too large\n");
    };
    let form = form.to_bytes();
    let title = form_urlencoded::parse(&form).find(|(name, _)| name == "title");
    let title = title.map(|(_, title)| title.trim().to_owned()).unwrap_or_default();
    if title.is_empty() || title.len() > TITLE_BYTES_MAX {
        return text(StatusCode::UNPROCESSABLE_ENTITY, "expected title=... in the form\n");
    }
    match site.change(id, &title).await {
        Ok(answer) => {
            let mut answer = text(StatusCode::OK, format!("{answer:#}\n"));
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
            answer
        }
        Err(exit) => text(StatusCode::BAD_GATEWAY, format!("{exit}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}
