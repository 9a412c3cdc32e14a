//! Any cache with `PURGE` and `BAN`: paths by URL, tags in a header, the rest by a regular
//! expression over URLs.
//!
//! The defaults are those of Varnish with xkey. Only configured headers are used: without a header
//! for soft tags, soft purges become hard; without one for bans, everything is purged by a tag that
//! all pages carry, or is unsupported.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HOST, HeaderName};
use url::Url;

use super::dialect::DialectRules;
use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Purge, TargetCall, address, batches};
use crate::domain::{Glob, Mode};
use crate::net::HttpAnswer;

/// Longest header value that is sent: caches accept 8 KiB per header line by default.
const HEADER_BYTES_MAX: usize = 7500;
/// Longest tag: a few still fit a header.
const TAG_BYTES_MAX: usize = 1024;
/// Tags of one call; the bytes of the header are the real limit.
const TAGS_MAX: usize = 1000;
/// Matches everything in a cache.
const EVERY_PATH: &str = "^/";
/// The value of the header for a soft purge; any value works.
const YES: &str = "1";

/// The headers of one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Carries the token.
    pub token_header: HeaderName,
    /// Carries the tags of a `PURGE`; without it there are no tags.
    pub tag_header: Option<HeaderName>,
    /// Carries the tags of a soft `PURGE`.
    pub soft_tag_header: Option<HeaderName>,
    /// Marks the `PURGE` of a path as soft.
    pub soft_header: Option<HeaderName>,
    /// Carries the expression of a `BAN`; without it there are no bans.
    pub ban_header: Option<HeaderName>,
    /// Separates two tags.
    pub tag_separator: char,
    /// A status besides 2xx that means that nothing was cached.
    pub absent_status: Option<u16>,
}

impl DialectRules for Http {
    fn tags(&self) -> Option<TagRules> {
        let fit = TagRules { bytes_max: TAG_BYTES_MAX, forbidden: "," };
        self.tag_header.as_ref().map(|_| fit)
    }

    fn takes_path(&self, purge: &Purge, path: &str) -> bool {
        address::at(&purge.base, path).is_some()
    }

    fn takes_prefix(&self, _purge: &Purge, prefix: &str) -> bool {
        self.bans(&address::prefix_regex(prefix))
    }

    fn uses_expressions(&self) -> bool {
        true
    }

    fn takes_pattern(&self, glob: &Glob) -> bool {
        self.bans(&address::glob_regex(glob))
    }

    fn takes_all(&self) -> bool {
        self.ban_header.is_some()
    }

    fn supports_soft(&self) -> bool {
        self.soft_tag_header.is_some() || self.soft_header.is_some()
    }

    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let mut calls = self.by_tag(purge, set);
        calls.extend(self.by_path(purge, set));
        calls.extend(self.by_ban(purge, set));
        calls
    }

    /// Caches answer with a page of any type.
    fn is_done(&self, status: u16) -> bool {
        (200..300).contains(&status) || self.absent_status == Some(status)
    }

    fn rejection(&self, _name: &str, _answer: &HttpAnswer) -> Option<String> {
        None
    }

    fn unauthorized_hint(&self, name: &str) -> String {
        format!("the cache {name} accepts no purges from us: check its access list and token")
    }

    fn not_found_hint(&self, name: &str) -> String {
        format!("set absent_status of {name} if this status means that nothing was cached")
    }
}

impl Http {
    fn bans(&self, regex: &str) -> bool {
        self.ban_header.is_some() && regex.len() <= HEADER_BYTES_MAX
    }

    fn by_tag(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let soft = self.soft_tag_header.as_ref().filter(|_| set.mode == Mode::Soft);
        let Some(header) = soft.or(self.tag_header.as_ref()) else { return vec![] };
        let call = |tags: Vec<String>| {
            let list = tags.join(&self.tag_separator.to_string());
            let headers = vec![(header.clone(), list)];
            let call = self.call(purge, "PURGE", purge.base.clone(), headers, None);
            TargetCall { tags, ..call }
        };
        batches(&set.tags, set.at_most(TAGS_MAX), HEADER_BYTES_MAX).into_iter().map(call).collect()
    }

    fn by_path(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let soft = self.soft_header.as_ref().filter(|_| set.mode == Mode::Soft);
        let mut calls = vec![];
        for path in &set.paths {
            let Some(url) = address::at(&purge.base, path.as_str()) else { continue };
            let headers = || soft.map(|name| (name.clone(), YES.to_owned())).into_iter().collect();
            calls.extend(hosts(purge).into_iter().map(|host| {
                let call = self.call(purge, "PURGE", url.clone(), headers(), host);
                TargetCall { paths: vec![path.to_string()], ..call }
            }));
        }
        calls
    }

    fn by_ban(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall> {
        let Some(header) = &self.ban_header else { return vec![] };
        let all = set.is_all.then(|| ("*".to_owned(), EVERY_PATH.to_owned()));
        let prefixes = set.prefixes.iter();
        let patterns = set.patterns.iter();
        let bans = prefixes
            .map(|prefix| (format!("{prefix}*"), address::prefix_regex(prefix.as_str())))
            .chain(patterns.map(|glob| (glob.to_string(), address::glob_regex(glob))))
            .chain(all);
        let mut calls = vec![];
        for (shown, regex) in bans {
            calls.extend(hosts(purge).into_iter().map(|host| {
                let headers = vec![(header.clone(), regex.clone())];
                let call = self.call(purge, "BAN", purge.base.clone(), headers, host);
                TargetCall { paths: vec![shown.clone()], ..call }
            }));
        }
        calls
    }

    fn call(
        &self,
        purge: &Purge,
        method: &str,
        url: Url,
        mut headers: Vec<(HeaderName, String)>,
        host: Option<String>,
    ) -> TargetCall {
        if !purge.token.is_empty() {
            let token = purge.token.expose();
            let is_bearer = self.token_header == AUTHORIZATION;
            let value = if is_bearer { format!("Bearer {token}") } else { token.to_owned() };
            headers.push((self.token_header.clone(), value));
        }
        headers.extend(host.map(|host| (HOST, host)));
        let method = Method::from_bytes(method.as_bytes()).expect("PURGE and BAN are tokens");
        purge.call(method, url, headers)
    }
}

/// The values of `Host` under which a cache stores its pages; `None` for its own address.
pub(super) fn hosts(purge: &Purge) -> Vec<Option<String>> {
    match purge.sites.is_empty() {
        true => vec![None],
        false => purge.sites.iter().map(|site| Some(address::host(site))).collect(),
    }
}
