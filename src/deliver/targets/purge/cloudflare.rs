//! Cloudflare: `POST zones/{zone}/purge_cache`, at most 100 files, tags, prefixes or hosts per
//! call, on all plans. It has no soft purge, so soft purges become hard.
//!
//! Prefixes are cut back to a slash, so that they match the same whether they are compared as text
//! or by path segments. A prefix that covers a whole site is sent as its host.
//! <https://developers.cloudflare.com/cache/how-to/purge-cache/>

use std::collections::BTreeSet;

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, address, batches, sites};
use crate::net::HttpAnswer;

/// Maximum of items in one call.
const ITEMS_MAX: usize = 100;
/// Maximum of slashes in one prefix.
const SEPARATORS_MAX: usize = 31;
/// Longest tag in a purge.
const TAG_BYTES_MAX: usize = 1024;
/// Maximum of error codes in a message.
const CODES_MAX: usize = 5;
/// "Could not route": the zone id is invalid.
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

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        if set.is_all {
            let call = self.call(purge, &json!({ "purge_everything": true }));
            return call
                .map(|call| TargetCall { paths: vec!["*".into()], ..call })
                .into_iter()
                .collect();
        }
        let mut calls = vec![];
        for tags in batches(&set.tags, set.at_most(ITEMS_MAX), usize::MAX) {
            let call = self.call(purge, &json!({ "tags": tags }));
            calls.extend(call.map(|call| TargetCall { tags, ..call }));
        }
        let (mut files, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        let mut hosts = BTreeSet::new();
        for path in &set.paths {
            let urls = sites::urls(purge, path.as_str()).unwrap_or_default();
            files.extend(urls.iter().map(ToString::to_string));
        }
        for prefix in &set.prefixes {
            for url in sites::urls(purge, directory(prefix.as_str())).unwrap_or_default() {
                match url.path() {
                    "/" => hosts.insert(address::host(&url)),
                    _ => prefixes.insert(sites::without_scheme(&url)),
                };
            }
        }
        for (field, items) in [("files", files), ("prefixes", prefixes), ("hosts", hosts)] {
            for paths in batches(&items, set.at_most(ITEMS_MAX), usize::MAX) {
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
            Some(_) => Some("the answer has success: false".into()),
            None => Some("not an answer of Cloudflare".into()),
        }
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("Cloudflare refuses the token of {name}: it needs Zone, Cache Purge on this zone")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("Cloudflare has no such zone: set zone of {name} to the zone's id")
    }

    /// The error codes only; the messages might repeat what we sent.
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

/// The path up to a slash, without query and with at most [`SEPARATORS_MAX`] slashes.
fn directory(prefix: &str) -> &str {
    let path = prefix.split(['?', '#']).next().unwrap_or_default();
    let slashes = path.match_indices('/').take(SEPARATORS_MAX);
    slashes.last().map_or("/", |(at, _)| &path[..=at])
}
