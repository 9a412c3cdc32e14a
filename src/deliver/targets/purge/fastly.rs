//! Fastly: surrogate keys, 256 per call, and single URLs, each hard or soft. Purging everything is
//! always hard; a key that every page carries (`all_tag`) can be soft.
//! <https://www.fastly.com/documentation/reference/api/purging/>

use reqwest::header::HeaderName;
use serde_json::{Value, json};

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, batches, sites};
use crate::domain::Mode;
use crate::net::HttpAnswer;

/// Keys of one call.
const KEYS_MAX: usize = 256;
/// Longest key.
const KEY_BYTES_MAX: usize = 1024;

const KEY: HeaderName = HeaderName::from_static("fastly-key");
const SOFT: HeaderName = HeaderName::from_static("fastly-soft-purge");

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fastly {
    /// Its id.
    pub service: String,
}

impl DialectRules for Fastly {
    fn tags(&self) -> Option<TagRules> {
        Some(TagRules { bytes_max: KEY_BYTES_MAX, forbidden: "" })
    }

    fn takes_path(&self, purge: &Purge, path: &str) -> bool {
        sites::urls(purge, path).is_some()
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn supports_soft(&self) -> bool {
        true
    }

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let service = format!("service/{}", self.service);
        if set.is_all {
            let call = self.call(purge, &format!("{service}/purge_all"), None, Mode::Hard);
            return call
                .map(|call| TargetCall { paths: vec!["*".into()], ..call })
                .into_iter()
                .collect();
        }
        let mut calls = vec![];
        for tags in batches(&set.tags, set.at_most(KEYS_MAX), usize::MAX) {
            let body = json!({ "surrogate_keys": tags });
            let call = self.call(purge, &format!("{service}/purge"), Some(&body), set.mode);
            calls.extend(call.map(|call| TargetCall { tags, ..call }));
        }
        for path in &set.paths {
            for url in sites::urls(purge, path.as_str()).unwrap_or_default() {
                let address = format!("purge/{}", sites::without_scheme(&url));
                let call = self.call(purge, &address, None, set.mode);
                calls.extend(call.map(|call| TargetCall { paths: vec![path.to_string()], ..call }));
            }
        }
        calls
    }

    fn rejection(&self, _name: &str, answer: &HttpAnswer) -> Option<String> {
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(Value::Object(body)) => match body.get("status").and_then(Value::as_str) {
                None | Some("ok") => None,
                Some(_) => Some("the answer has a status other than ok".into()),
            },
            _ => Some("not an answer of Fastly".into()),
        }
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("Fastly refuses the token of {name}: it needs purge_select and purge_all")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("Fastly has no such service: set service of {name} to the service's id")
    }
}

impl Fastly {
    fn call(
        &self,
        purge: &Purge,
        path: &str,
        body: Option<&Value>,
        mode: Mode,
    ) -> Option<TargetCall> {
        let url = sites::api(purge, path)?;
        let token = (KEY, purge.token.expose().to_owned());
        let mut call = sites::post(purge, url, token, body);
        if mode == Mode::Soft {
            call.headers.push((SOFT, "1".into()));
        }
        Some(call)
    }
}
