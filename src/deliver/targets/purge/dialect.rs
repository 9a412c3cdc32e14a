//! The forms in which caches and CDNs are told, and what each of them can be told at all.
//! Whoever says that it takes something makes a call for it; nothing else is promised here.

use super::purge_set::PurgeSet;
use super::tags::TagRules;
use super::{Bunny, Cloudflare, Fastly, Http, Purge, Refresh, TargetCall, Vercel};
use crate::deliver::verdict::{self, AnswerVerdict};
use crate::domain::Glob;
use crate::net::HttpAnswer;

/// One of them, with what only it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// `PURGE`, `BAN` and tags in a header, as Varnish and its like take them.
    Http(Http),
    /// A `GET` that passes by what is cached, for caches that know no purge.
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

/// What a form can say, and what its answers mean.
pub(super) trait DialectRules {
    /// Which tags it takes, if any.
    fn tags(&self) -> Option<TagRules>;

    /// Whether this path can be said.
    fn takes_path(&self, purge: &Purge, path: &str) -> bool;

    /// Whether the beginning of paths can be said.
    fn takes_prefix(&self, _purge: &Purge, _prefix: &str) -> bool {
        false
    }

    /// Whether the beginning of paths is said by an expression that matches all its spellings.
    fn uses_expressions(&self) -> bool {
        false
    }

    /// Whether a pattern over paths can be said.
    fn takes_pattern(&self, _glob: &Glob) -> bool {
        false
    }

    /// Whether everything can be said.
    fn takes_all(&self) -> bool;

    /// Whether anything can be made stale without being taken away.
    fn supports_soft(&self) -> bool {
        false
    }

    /// The calls of one share.
    fn calls(&self, purge: &Purge, share: &PurgeSet) -> Vec<TargetCall>;

    /// A call that is about these of the paths of another; `None` where no call has several.
    fn with_paths(
        &self,
        _purge: &Purge,
        _call: &TargetCall,
        _paths: &[String],
    ) -> Option<TargetCall> {
        None
    }

    /// Whether a status alone says that it is done.
    fn is_done(&self, _status: u16) -> bool {
        false
    }

    /// Why a 2xx is no acknowledgement, if it is none.
    fn rejection(&self, _name: &str, answer: &HttpAnswer) -> Option<String> {
        match verdict::judge(answer) {
            AnswerVerdict::Refused(reason, _) => Some(reason),
            _ => None,
        }
    }

    /// What a 401 or 403 of the target of this name means, and what mends it.
    fn unauthorized_hint(&self, name: &str) -> String;

    /// What a 404 means, likewise.
    fn not_found_hint(&self, name: &str) -> String;

    /// What else a refusal says of itself.
    fn detail(&self, _name: &str, _answer: &HttpAnswer) -> Option<String> {
        None
    }
}
