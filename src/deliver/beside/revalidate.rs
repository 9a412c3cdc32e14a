//! A framework's route that revalidates pages, as Next.js sites have them: `{secret, paths}`.
//! It only says what is to be called; that every path of a backlog is in one of the calls is what
//! it keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use url::Url;

use super::Call;
use crate::journal::Backlog;
use crate::support::Secret;

/// One such route.
#[derive(Debug, Clone, PartialEq)]
pub struct Revalidate {
    /// Where it is.
    pub url: Url,
    /// What it expects as `secret`.
    pub secret: Secret,
    /// Paths that every event revalidates.
    pub paths: Vec<String>,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
}

impl Revalidate {
    /// One call with every path that a backlog touches.
    pub fn calls(&self, backlog: &Backlog) -> Vec<Call> {
        let mut paths: BTreeSet<String> = self.paths.iter().cloned().collect();
        let demand = backlog.demand().selectors();
        paths.extend(demand.paths().iter().map(ToString::to_string));
        let paths: Vec<String> = paths.into_iter().collect();
        if paths.is_empty() {
            return vec![];
        }
        let body = json!({ "secret": self.secret.expose(), "paths": paths });
        vec![Call {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(body.to_string()),
            timeout: self.timeout,
            paths,
            tags: vec![],
        }]
    }
}
