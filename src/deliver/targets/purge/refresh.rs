//! Caches without a purge API: each path is requested once with a header that makes the cache
//! bypass the stored answer and store the new one, as nginx does with `proxy_cache_bypass`.
//!
//! Only single paths can be refreshed. A page that no longer exists is only replaced if the cache
//! stores answers of that status too. The page is read to its end and dropped, because some caches
//! store only complete answers.

use reqwest::Method;
use reqwest::header::HeaderName;

use super::dialect::DialectRules;
use super::http::hosts;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, address};
use crate::net::HttpAnswer;

/// The value of the header if no token is configured.
const YES: &str = "1";

/// The settings of one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// The header that makes it bypass the stored answer; its value is the token.
    pub bypass_header: HeaderName,
    /// Longest page in bytes.
    pub page_bytes_max: usize,
}

impl DialectRules for Refresh {
    fn tags(&self) -> Option<TagRules> {
        None
    }

    fn takes_path(&self, purge: &Purge, path: &str) -> bool {
        address::at(&purge.base, path).is_some()
    }

    fn takes_all(&self) -> bool {
        false
    }

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let value = if purge.token.is_empty() { YES } else { purge.token.expose() };
        let mut calls = vec![];
        for path in &set.paths {
            let Some(url) = address::at(&purge.base, path.as_str()) else { continue };
            for host in hosts(purge) {
                let mut headers = vec![(self.bypass_header.clone(), value.to_owned())];
                headers.extend(host.map(|host| (reqwest::header::HOST, host)));
                let call = purge.call(Method::GET, url.clone(), headers);
                calls.push(TargetCall { paths: vec![path.to_string()], ..call });
            }
        }
        calls
    }

    /// Any final state of the page: redirects and missing pages are valid answers too.
    fn is_done(&self, status: u16) -> bool {
        matches!(status, 200..=399 | 404 | 410)
    }

    fn rejection(&self, _name: &str, _answer: &HttpAnswer) -> Option<String> {
        None
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("{name} refuses our request for this page: allow it, or do not invalidate its path")
    }

    fn not_found_hint(&self, _name: &str) -> String {
        "no such page".into()
    }
}
