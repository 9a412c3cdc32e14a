//! A peer that is not cache-mirror: it follows its script and records its requests.
//!
//! Without a script it is a well-behaved legacy server: it gives out tokens, acknowledges every
//! invalidation, and knows no identity.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Where invalidations arrive.
pub const INVALIDATE: &str = "/api/cache/invalidate";
/// Where a peer is asked who it is.
pub const IDENTITY: &str = "/_cache-mirror/identity";
/// Where logins arrive.
pub const LOGIN: &str = "/api/auth/login";

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was there as a whole.
    pub at: Instant,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Seen {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One answer of a script.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with JSON.
    Json(u16, Value),
    /// A status with header fields and any body.
    Raw(u16, Vec<(&'static str, String)>, Bytes),
    /// No answer at all.
    Hang,
    /// A good beginning, and then the connection breaks.
    Broken,
}

impl Reply {
    /// The answer of a server that succeeded.
    pub fn ok() -> Self {
        Self::Json(200, json!({ "success": true }))
    }

    /// 200 with a page, as captive portals answer.
    pub fn html() -> Self {
        Self::Raw(200, vec![("content-type", "text/html".into())], "<h1>Welcome</h1>".into())
    }

    /// 429 with `Retry-After` in seconds.
    pub fn throttled(seconds: u32) -> Self {
        Self::Raw(429, vec![("retry-after", seconds.to_string())], Bytes::new())
    }

    /// 302.
    pub fn redirect(to: &str) -> Self {
        Self::Raw(302, vec![("location", to.to_owned())], Bytes::new())
    }

    /// An acknowledgement with many needless members.
    pub fn huge() -> Self {
        Self::Json(200, json!({ "success": true, "padding": "x".repeat(300_000) }))
    }

    /// Bytes declared as gzip, which the request did not accept.
    pub fn gzip() -> Self {
        let fields = [("content-type", "application/json"), ("content-encoding", "gzip")];
        let fields = fields.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self::Raw(200, fields, Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]))
    }
}

type By = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;
type Hook = Box<dyn Fn(&Seen) -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    then: Option<Reply>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    scripts: Mutex<HashMap<String, Script>>,
    logins: Mutex<u32>,
    hook: Mutex<Option<Hook>>,
    by: Mutex<Option<By>>,
}

/// A peer by script. It ends with this value.
pub struct StubPeer {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Drop for StubPeer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl StubPeer {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// Starts one on this port.
    pub async fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { address, state, server }
    }

    /// `127.0.0.1:PORT`, as it stands in mirror lists.
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// Answers to a path, in order; afterwards it goes on as before.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = self.state.scripts.lock();
        scripts.entry(path.to_owned()).or_default().next.extend(replies);
    }

    /// The answer to a path from now on, when no scripted one is left.
    pub fn always(&self, path: &str, reply: Reply) {
        self.state.scripts.lock().entry(path.to_owned()).or_default().then = Some(reply);
    }

    /// Speaks the batches of a cache-mirror from now on, but is none of ours.
    pub fn pose_as_cache_mirror(&self) {
        let identity = json!({
            "instance": "stub", "version": "0.0.0", "protocol": 1, "features": ["batch"],
            "paths": { "login": LOGIN, "invalidate": INVALIDATE },
            "graph": "", "proof": "0".repeat(64),
        });
        self.always(IDENTITY, Reply::Json(200, identity));
    }

    /// Never answers anything from now on.
    pub fn hang(&self) {
        [IDENTITY, LOGIN, INVALIDATE].iter().for_each(|path| self.always(path, Reply::Hang));
    }

    /// Forgets all scripts: well-behaved from now on.
    pub fn repair(&self) {
        self.state.scripts.lock().clear();
    }

    /// Does something with every request, before it is answered.
    pub fn on_request(
        &self,
        hook: impl Fn(&Seen) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        *self.state.hook.lock() = Some(Box::new(hook));
    }

    /// Answers every request by what it is, instead of by scripts.
    pub fn answer_by(&self, by: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.state.by.lock() = Some(Arc::new(by));
    }

    /// Everything it was asked.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// The requests to one path, query aside.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        let is_it = |seen: &Seen| seen.path.split('?').next() == Some(path);
        self.seen().into_iter().filter(is_it).collect()
    }

    /// Bodies of the invalidations it got.
    pub fn bodies(&self) -> Vec<String> {
        self.seen_at(INVALIDATE).iter().map(Seen::text).collect()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

type Body = BoxBody<Bytes, io::Error>;

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let path = parts.uri.to_string();
    let (at, method) = (Instant::now(), parts.method.to_string());
    let seen = Seen { at, method, path, headers: parts.headers, body };
    let done_first = state.hook.lock().as_ref().map(|hook| hook(&seen));
    let path = parts.uri.path().to_owned();
    let by = state.by.lock().clone();
    let judged = by.map(|by| by(&seen));
    state.seen.lock().push(seen);
    if let Some(done_first) = done_first {
        done_first.await;
    }
    let reply = judged.or_else(|| scripted(&state, &path));
    let reply = reply.unwrap_or_else(|| well_behaved(&state, &path));
    Ok(response(reply).await)
}

fn scripted(state: &State, path: &str) -> Option<Reply> {
    let mut scripts = state.scripts.lock();
    let script = scripts.get_mut(path)?;
    script.next.pop_front().or_else(|| script.then.clone())
}

fn well_behaved(state: &State, path: &str) -> Reply {
    match path {
        LOGIN => {
            let mut logins = state.logins.lock();
            *logins += 1;
            let token = format!("token-{logins}");
            Reply::Json(200, json!({ "access_token": token, "expires_in": 3600 }))
        }
        INVALIDATE => Reply::ok(),
        _ => Reply::Json(404, json!({ "error": "not found" })),
    }
}

async fn response(reply: Reply) -> Response<Body> {
    let (status, fields, body) = match reply {
        Reply::Json(status, json) => {
            (status, vec![("content-type", "application/json".into())], json.to_string().into())
        }
        Reply::Raw(status, fields, body) => (status, fields, body),
        Reply::Hang => std::future::pending().await,
        Reply::Broken => return broken(),
    };
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(name, value);
    }
    let body = Full::new(body).map_err(|never| match never {}).boxed();
    builder.body(body).expect("the script's fields are valid")
}

fn broken() -> Response<Body> {
    let beginning = Ok(Frame::data(Bytes::from_static(b"{\"success\":")));
    let end = Err(io::Error::other("the script ends here"));
    let body = BodyExt::boxed(StreamBody::new(stream::iter([beginning, end])));
    Response::builder()
        .header("content-type", "application/json")
        .header("content-length", "16")
        .body(body)
        .expect("valid fields")
}
