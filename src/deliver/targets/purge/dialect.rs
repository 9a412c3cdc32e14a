//! The APIs of caches and CDNs, and what each of them can express.
//! A dialect must make a call for everything that it claims to accept.

use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Bunny, Cloudflare, Fastly, Http, Purge, Refresh, TargetCall, Vercel};
use crate::deliver::verdict::{self, AnswerVerdict};
use crate::domain::Glob;
use crate::net::HttpAnswer;

/// One API, with the settings that only it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// `PURGE`, `BAN` and tags in a header, as Varnish and similar caches accept them.
    Http(Http),
    /// A `GET` that bypasses the cached answer, for caches without a purge API.
    Refresh(Refresh),
    /// Cloudflare's API.
    Cloudflare(Cloudflare),
    /// Fastly's API.
    Fastly(Fastly),
    /// Bunny's API.
    Bunny(Bunny),
    /// Vercel's API.
    Vercel(Vercel),
}

impl Dialect {
    pub(super) fn rules(&self) -> &dyn DialectRules {
        match self {
            Self::Http(http) => http,
            Self::Refresh(refresh) => refresh,
            Self::Cloudflare(cloudflare) => cloudflare,
            Self::Fastly(fastly) => fastly,
            Self::Bunny(bunny) => bunny,
            Self::Vercel(vercel) => vercel,
        }
    }
}

/// What a dialect can express, and what its answers mean.
pub(super) trait DialectRules {
    /// The rules for tags; `None` if it has no tags.
    fn tags(&self) -> Option<TagRules>;

    /// Whether it accepts this path.
    fn takes_path(&self, purge: &Purge, path: &str) -> bool;

    /// Whether it accepts this prefix of paths.
    fn takes_prefix(&self, _purge: &Purge, _prefix: &str) -> bool {
        false
    }

    /// Whether prefixes are sent as expressions that match every spelling.
    fn uses_expressions(&self) -> bool {
        false
    }

    /// Whether it accepts this pattern over paths.
    fn takes_pattern(&self, _glob: &Glob) -> bool {
        false
    }

    /// Whether it can purge everything.
    fn takes_all(&self) -> bool;

    /// Whether it can mark pages as stale without removing them.
    fn supports_soft(&self) -> bool {
        false
    }

    /// The calls for one set.
    fn calls(&self, purge: &Purge, set: &PurgeSet) -> Vec<TargetCall>;

    /// The call for some of the paths of another; `None` if a call has at most one path.
    fn with_paths(
        &self,
        _purge: &Purge,
        _call: &TargetCall,
        _paths: &[String],
    ) -> Option<TargetCall> {
        None
    }

    /// Whether the status alone is an acknowledgement.
    fn is_done(&self, _status: u16) -> bool {
        false
    }

    /// Why a 2xx is no acknowledgement; `None` if it is one.
    fn rejection(&self, _name: &str, answer: &HttpAnswer) -> Option<String> {
        match verdict::judge(answer) {
            AnswerVerdict::Refused(reason, _) => Some(reason),
            _ => None,
        }
    }

    /// What a 401 or 403 of the target with this name means, and how to fix it.
    fn unauthorized_hint(&self, name: &str) -> String;

    /// What a 404 means, and how to fix it.
    fn not_found_hint(&self, name: &str) -> String;

    /// Further details of a refusal.
    fn detail(&self, _name: &str, _answer: &HttpAnswer) -> Option<String> {
        None
    }
}
