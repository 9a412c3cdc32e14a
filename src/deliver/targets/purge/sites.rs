//! Shared by the APIs of CDNs: JSON posts, and pages named by full URLs.
//! A path needs configured sites to become a URL; without sites the caller widens it.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::Value;
use url::{Position, Url};

use super::{Purge, TargetCall, address};

/// The URLs of a path at every site; `None` without sites or if one URL cannot express it.
pub fn urls(purge: &Purge, path: &str) -> Option<Vec<Url>> {
    if purge.sites.is_empty() {
        return None;
    }
    purge.sites.iter().map(|site| address::at(site, path)).collect()
}

/// Host, path and query: a URL without its scheme.
pub fn without_scheme(url: &Url) -> String {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    format!("{}{path}", address::host(url))
}

/// The URL of this path of the API. Both parts were validated with the settings.
pub fn api(purge: &Purge, path: &str) -> Option<Url> {
    Url::parse(&format!("{}{path}", purge.base)).ok()
}

/// A `POST` with a JSON body, or without a body.
pub fn post(
    purge: &Purge,
    url: Url,
    token: (HeaderName, String),
    body: Option<&Value>,
) -> TargetCall {
    let mut headers = vec![token, (reqwest::header::ACCEPT, "application/json".to_owned())];
    if body.is_some() {
        headers.push((CONTENT_TYPE, "application/json".to_owned()));
    }
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    TargetCall { body, ..purge.call(Method::POST, url, headers) }
}
