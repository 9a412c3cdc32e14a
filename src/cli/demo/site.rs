//! One copy of the site, with its pages cached in its instance through the entries API.
//!
//! A miss gives a ticket; the page is rendered after it and put back with it, so that a page which
//! an invalidation has overtaken on the way is refused and rendered again.

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::database::{Database, Page};
use crate::cli::Exit;
use crate::cli::client::{Client, encoded};

const TICKET: &str = "cache-mirror-ticket";
/// Renders of one page for one visitor; a page that changes faster is served uncached.
const ATTEMPTS: usize = 3;

/// What a visitor got.
pub struct Visit {
    pub body: String,
    pub is_hit: bool,
}

/// A copy of the site.
#[derive(Clone)]
pub struct Site {
    pub instance: &'static str,
    pub client: Client,
    pub database: Arc<Database>,
}

impl Site {
    /// A page as a visitor gets it: from the cache, else rendered and cached.
    ///
    /// # Errors
    /// The instance does not do its part.
    pub async fn visit(&self, page: &Page) -> Result<Visit, Exit> {
        for _ in 0..ATTEMPTS {
            let answer = self.client.send(self.client.request(Method::GET, &key(page))?).await?;
            let ticket = match answer.status {
                StatusCode::OK => {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    return Ok(Visit { body, is_hit: true });
                }
                StatusCode::NOT_FOUND => answer.headers.get(TICKET),
                status => return Err(self.odd("lookup", status)),
            };
            let ticket = ticket.ok_or_else(|| self.odd("miss without ticket", answer.status))?;
            let body = self.database.render(page);
            let fill = format!(
                "{}?type={}&id={}&path={}&tags=site",
                key(page),
                page.type_name,
                page.id,
                encoded(page.path)
            );
            let fill = self.client.request(Method::PUT, &fill)?.header(TICKET, ticket.clone());
            let fill = fill.header(CONTENT_TYPE, "text/html; charset=utf-8").body(body.clone());
            match self.client.send(fill).await?.status {
                status if status.is_success() => return Ok(Visit { body, is_hit: false }),
                StatusCode::CONFLICT => {}
                status => return Err(self.odd("fill", status)),
            }
        }
        Ok(Visit { body: self.database.render(page), is_hit: false })
    }

    /// The paths of the pages that are cached here.
    ///
    /// # Errors
    /// The instance does not answer.
    pub async fn held(&self) -> Result<Vec<String>, Exit> {
        let answer = self.client.get("/api/cache/entries?tag=site").await?;
        let entries = answer["entries"].as_array().into_iter().flatten();
        Ok(entries.filter_map(|entry| entry["path"].as_str()).map(str::to_owned).collect())
    }

    /// An editor's change, here: first the database, then the cache and, through it, every mirror.
    /// Gives the answer of the instance once every mirror has acknowledged or five seconds are
    /// over.
    ///
    /// # Errors
    /// No such post, or the instance refuses.
    pub async fn change(&self, id: &str, title: &str) -> Result<Value, Exit> {
        if !self.database.change(id, title) {
            return Err(Exit::Failed(format!("there is no post {id}")));
        }
        let body = json!({ "type": "posts", "id": id });
        let path = "/api/cache/invalidate?wait=all&timeout=5s";
        let (_, answer) = self.client.call(Method::POST, path, Some(&body)).await?;
        Ok(answer)
    }

    fn odd(&self, what: &str, status: StatusCode) -> Exit {
        Exit::Failed(format!("{}: {what} answered {status}", self.instance))
    }
}

/// The route of a page's entry.
fn key(page: &Page) -> String {
    format!("/api/cache/entries/page:{}", page.path)
}
