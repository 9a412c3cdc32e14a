//! Caches that know no purge: each path is read once with a header that makes the cache pass by
//! what it has and keep the fresh answer, as nginx does by `proxy_cache_bypass`.
//!
//! Only single paths can be refreshed. A page that is gone is only replaced where the cache keeps
//! answers of that status too. The page itself is read to its end, for some caches give up with
//! their reader, and thrown away.

use reqwest::Method;
use reqwest::header::HeaderName;

use super::dialect::DialectRules;
use super::http::hosts;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, address};
use crate::net::HttpAnswer;

/// What the header says where no token is configured.
const YES: &str = "1";

/// How one such cache is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// What makes it pass by; its value is the token.
    pub bypass_header: HeaderName,
    /// Longest page.
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

    fn calls(&self, purge: &Purge, share: &PurgeSet) -> Vec<TargetCall> {
        let value = if purge.token.is_empty() { YES } else { purge.token.expose() };
        let mut calls = vec![];
        for path in &share.paths {
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

    /// Whatever the page now is: moved and gone pages are answers too.
    fn is_done(&self, status: u16) -> bool {
        matches!(status, 200..=399 | 404 | 410)
    }

    fn rejection(&self, _name: &str, _answer: &HttpAnswer) -> Option<String> {
        None
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("we may not read this page through {name}: let us, or do not invalidate its path")
    }

    fn not_found_hint(&self, _name: &str) -> String {
        "no such page".into()
    }
}
