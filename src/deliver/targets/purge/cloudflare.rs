//! Cloudflare: `POST zones/{zone}/purge_cache`, at most 100 files, tags, prefixes or hosts a call,
//! on all plans. It has no soft purge, so soft goes hard.
//!
//! Prefixes are cut back to a slash, so that they mean the same whether they are compared as texts
//! or by path segments; one that is all of a site is told by its host.
//! <https://developers.cloudflare.com/cache/how-to/purge-cache/>

use std::collections::BTreeSet;

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, address, batches, sites};
use crate::net::HttpAnswer;

/// Operations of one call.
const ITEMS_MAX: usize = 100;
/// Slashes of one prefix.
const SEPARATORS_MAX: usize = 31;
/// Longest tag in a purge.
const TAG_BYTES_MAX: usize = 1024;
/// Numbers of errors that are shown.
const CODES_MAX: usize = 5;
/// "Could not route": the zone's id is none.
const NO_ROUTE: i64 = 7003;

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloudflare {
    /// Its id.
    pub zone: String,
}

impl DialectRules for Cloudflare {
    fn tags(&self) -> Option<TagRules> {
        Some(TagRules { bytes_max: TAG_BYTES_MAX, forbidden: "," })
    }

    fn takes_path(&self, purge: &Purge, path: &str) -> bool {
        sites::urls(purge, path).is_some()
    }

    fn takes_prefix(&self, purge: &Purge, prefix: &str) -> bool {
        sites::urls(purge, directory(prefix)).is_some()
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn calls(&self, purge: &Purge, share: &PurgeSet) -> Vec<TargetCall> {
        if share.is_all {
            let call = self.call(purge, &json!({ "purge_everything": true }));
            return call
                .map(|call| TargetCall { paths: vec!["*".into()], ..call })
                .into_iter()
                .collect();
        }
        let mut calls = vec![];
        for tags in batches(&share.tags, share.at_most(ITEMS_MAX), usize::MAX) {
            let call = self.call(purge, &json!({ "tags": tags }));
            calls.extend(call.map(|call| TargetCall { tags, ..call }));
        }
        let (mut files, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        let mut hosts = BTreeSet::new();
        for path in &share.paths {
            let urls = sites::urls(purge, path.as_str()).unwrap_or_default();
            files.extend(urls.iter().map(ToString::to_string));
        }
        for prefix in &share.prefixes {
            for url in sites::urls(purge, directory(prefix.as_str())).unwrap_or_default() {
                match url.path() {
                    "/" => hosts.insert(address::host(&url)),
                    _ => prefixes.insert(sites::without_scheme(&url)),
                };
            }
        }
        for (field, items) in [("files", files), ("prefixes", prefixes), ("hosts", hosts)] {
            for paths in batches(&items, share.at_most(ITEMS_MAX), usize::MAX) {
                let call = self.call(purge, &json!({ field: paths }));
                calls.extend(call.map(|call| TargetCall { paths, ..call }));
            }
        }
        calls
    }

    fn with_paths(&self, purge: &Purge, call: &TargetCall, paths: &[String]) -> Option<TargetCall> {
        let body: Value = serde_json::from_slice(&call.body).ok()?;
        let field = body.as_object()?.keys().next()?;
        let call = self.call(purge, &json!({ field: paths }))?;
        Some(TargetCall { paths: paths.to_vec(), ..call })
    }

    fn rejection(&self, _name: &str, answer: &HttpAnswer) -> Option<String> {
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        match body.as_ref().and_then(|body| body.get("success")) {
            Some(Value::Bool(true)) => None,
            Some(_) => Some("the answer says success: false".into()),
            None => Some("an answer that is none of Cloudflare's".into()),
        }
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("Cloudflare refuses the token of {name}: it needs Zone, Cache Purge on this zone")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("Cloudflare knows no such zone: set zone of {name} to the zone's id")
    }

    /// The numbers of its errors; its words might repeat what we sent.
    fn detail(&self, name: &str, answer: &HttpAnswer) -> Option<String> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let errors = body.get("errors")?.as_array()?;
        let codes: Vec<i64> =
            errors.iter().filter_map(|error| error["code"].as_i64()).take(CODES_MAX).collect();
        if codes.contains(&NO_ROUTE) {
            return Some(self.not_found_hint(name));
        }
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        (!codes.is_empty()).then(|| format!("errors {}", codes.join(", ")))
    }
}

impl Cloudflare {
    fn call(&self, purge: &Purge, body: &Value) -> Option<TargetCall> {
        let url = sites::api(purge, &format!("zones/{}/purge_cache", self.zone))?;
        let token = (AUTHORIZATION, format!("Bearer {}", purge.token.expose()));
        Some(sites::post(purge, url, token, Some(body)))
    }
}

/// A path up to a slash, without a query and with no more slashes than a prefix may have.
fn directory(prefix: &str) -> &str {
    let path = prefix.split(['?', '#']).next().unwrap_or_default();
    let slashes = path.match_indices('/').take(SEPARATORS_MAX);
    slashes.last().map_or("/", |(at, _)| &path[..=at])
}
