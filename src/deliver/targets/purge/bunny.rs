//! Bunny: purges a pull zone by one tag per call or completely, and URLs, in which a final `*`
//! means every URL with that prefix. It has no soft purge, so soft purges become hard.
//! <https://docs.bunny.net/cdn/purge-cache>

use reqwest::header::HeaderName;
use serde_json::{Value, json};
use url::Url;

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, sites};

/// Longest `CDN-Tag`.
const TAG_BYTES_MAX: usize = 1024;

const KEY: HeaderName = HeaderName::from_static("accesskey");

/// One pull zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bunny {
    /// Its number.
    pub pull_zone: String,
}

impl DialectRules for Bunny {
    fn tags(&self) -> Option<TagRules> {
        Some(TagRules { bytes_max: TAG_BYTES_MAX, forbidden: ",*" })
    }

    fn takes_path(&self, purge: &Purge, path: &str) -> bool {
        sites::urls(purge, path).is_some()
    }

    fn takes_prefix(&self, purge: &Purge, prefix: &str) -> bool {
        sites::urls(purge, prefix).is_some()
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        if set.is_all {
            let call = self.zone(purge, None);
            return call
                .map(|call| TargetCall { paths: vec!["*".into()], ..call })
                .into_iter()
                .collect();
        }
        let mut calls = vec![];
        for tag in &set.tags {
            let call = self.zone(purge, Some(&json!({ "CacheTag": tag })));
            calls.extend(call.map(|call| TargetCall { tags: vec![tag.clone()], ..call }));
        }
        let paths = set.paths.iter().map(|path| (path.as_str(), ""));
        let prefixes = set.prefixes.iter().map(|prefix| (prefix.as_str(), "*"));
        for (path, end) in paths.chain(prefixes) {
            for url in sites::urls(purge, path).unwrap_or_default() {
                let call = self.url(purge, &format!("{url}{end}"));
                calls.extend(
                    call.map(|call| TargetCall { paths: vec![format!("{path}{end}")], ..call }),
                );
            }
        }
        calls
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("Bunny refuses the token of {name}: it is the account's API key")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("Bunny has no such pull zone: set pull_zone of {name} to its number")
    }
}

impl Bunny {
    fn zone(&self, purge: &Purge, body: Option<&Value>) -> Option<TargetCall> {
        let url = sites::api(purge, &format!("pullzone/{}/purgeCache", self.pull_zone))?;
        Some(self.call(purge, url, body))
    }

    fn url(&self, purge: &Purge, page: &str) -> Option<TargetCall> {
        let mut url = sites::api(purge, "purge")?;
        url.query_pairs_mut().append_pair("url", page);
        Some(self.call(purge, url, None))
    }

    fn call(&self, purge: &Purge, url: Url, body: Option<&Value>) -> TargetCall {
        sites::post(purge, url, (KEY, purge.token.expose().to_owned()), body)
    }
}
