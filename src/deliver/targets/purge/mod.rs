//! Purges caches and CDNs: turns a backlog into requests to the API of each.
//!
//! The invariant: every selector of a backlog is covered by one of the calls, exactly or by a wider
//! selector, or it is reported as unsupported. A selector that the API cannot express is widened to
//! a coarser tag or to everything, and so is a backlog that needs more calls than `calls_max`. The
//! cascades of the graph are purged too, because an external cache does not know the graph. Sending
//! and retrying happen elsewhere.

mod address;
mod bunny;
mod cloudflare;
mod dialect;
mod fastly;
mod http;
mod parts;
mod purge_set;
mod refresh;
mod sites;
mod tags;
#[cfg(test)]
mod tests;
mod vercel;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderName;
use url::Url;

use super::{Reach, TargetCall};
use crate::deliver::verdict::AnswerVerdict;
use crate::domain::{Demand, Event, Mode, Selector, Selectors, UrlPath};
use crate::journal::Backlog;
use crate::net::HttpAnswer;
use crate::support::Secret;

pub use bunny::Bunny;
pub use cloudflare::Cloudflare;
pub use dialect::Dialect;
pub use fastly::Fastly;
pub use http::Http;
pub use refresh::Refresh;
pub use tags::TagNames;
pub use vercel::Vercel;

use purge_set::{PurgeItem, PurgeSet};

/// One purge target: a cache, or one zone of a CDN.
#[derive(Debug, Clone, PartialEq)]
pub struct Purge {
    /// Its name in the settings, for error messages.
    pub name: String,
    /// The URL of the cache, or of the API of the CDN; ends in `/`.
    pub base: Url,
    /// The origins of the sites in the cache.
    pub sites: Vec<Url>,
    /// How selectors are written as tags.
    pub tag_names: TagNames,
    /// The credential for the API.
    pub token: Secret,
    /// Time limit, from connect to the last byte of each answer.
    pub timeout: Duration,
    /// Maximum of calls for one backlog; a backlog that needs more is widened.
    pub calls_max: usize,
    /// The API that it uses.
    pub dialect: Dialect,
}

impl Purge {
    /// The calls that cover a backlog, hard ones first. With `is_wider`, after a refusal of the
    /// exact calls, they purge everything, or, if the API cannot express that, types in a call
    /// each.
    pub fn calls(&self, backlog: &Backlog, is_wider: bool) -> Vec<TargetCall> {
        let mut demand = footprint(backlog);
        let exact = self.calls_for(&demand, false);
        if exact.is_empty() || (exact.len() <= self.calls_max && !is_wider) {
            return exact;
        }
        demand.hard.widen_ids();
        demand.soft.widen_ids();
        if self.everything() == PurgeItem::Unsupported {
            return self.calls_for(&demand, is_wider);
        }
        let by_type = self.calls_for(&demand, false);
        if by_type.len() <= self.calls_max && !is_wider {
            return by_type;
        }
        self.calls_for(&Demand::new(mode_of(&demand), Selectors::all()), false)
    }

    /// The selectors of a backlog that it cannot express, not even by wider ones.
    pub fn unsupported(&self, backlog: &Backlog) -> Vec<Selector> {
        let Demand { hard, soft } = footprint(backlog);
        let mut unsupported = self.unsupported_in(&hard);
        unsupported.extend(self.unsupported_in(&soft));
        unsupported
    }

    /// Whether it can express nothing of an event.
    pub fn expresses_nothing(&self, event: &Event) -> bool {
        event
            .footprint()
            .iter()
            .flat_map(|one| self.items_for(&one))
            .all(|it| it == PurgeItem::Unsupported)
    }

    /// Whether it cannot express a part of what the caller of an event named.
    pub fn omits_part(&self, event: &Event) -> bool {
        !self.unsupported_in(&event.demand.selectors()).is_empty()
    }

    fn unsupported_in(&self, selectors: &Selectors) -> Vec<Selector> {
        let is_missing = |one: &Selector| self.items_for(one).contains(&PurgeItem::Unsupported);
        selectors.iter().filter(is_missing).collect()
    }

    fn calls_for(&self, demand: &Demand, is_single: bool) -> Vec<TargetCall> {
        let set = |mode, selectors: &Selectors| {
            let mut set = PurgeSet { is_single, ..PurgeSet::new(mode) };
            selectors.iter().flat_map(|one| self.items_for(&one)).for_each(|item| set.add(item));
            set
        };
        let (mut hard, soft) = (set(Mode::Hard, &demand.hard), set(Mode::Soft, &demand.soft));
        let sets = match self.dialect.rules().supports_soft() {
            true => vec![hard, soft],
            false => {
                hard.join(soft);
                vec![hard]
            }
        };
        let used = sets.iter().filter(|set| !set.is_empty());
        used.flat_map(|set| self.calls_of(set)).collect()
    }

    fn calls_of(&self, set: &PurgeSet) -> Vec<TargetCall> {
        let calls = self.dialect.rules().calls(self, set).into_iter();
        let is_soft = set.mode == Mode::Soft;
        let keyed = |call: TargetCall| TargetCall {
            items: vec![key_of(&call)],
            reach: self.reach(set, &call),
            is_soft,
            ..call
        };
        calls.map(keyed).collect()
    }

    /// What a call settles. A soft call never settles a hard one.
    fn reach(&self, set: &PurgeSet, call: &TargetCall) -> Reach {
        let all = &self.tag_names.all_tag;
        let is_all = set.is_all || (!all.is_empty() && call.tags.contains(all));
        match (is_all && set.mode == Mode::Hard, call.host()) {
            (false, _) => Reach::Itself,
            (true, Some(_)) if self.sites.len() > 1 => Reach::Host,
            (true, _) => Reach::Everything,
        }
    }

    /// The items for a selector. An entity needs two: itself, and the lists of its type, which may
    /// show it.
    fn items_for(&self, selector: &Selector) -> Vec<PurgeItem> {
        match selector {
            Selector::Entity(name, _) => {
                let lists = [self.tag_names.of_lists(name), self.tag_names.of_type(name)];
                vec![self.item_for(selector), self.first_tag(lists)]
            }
            Selector::Path(path) => self.path(path),
            Selector::PathPrefix(prefix) => self.prefix(prefix),
            // A key that is a path means that page; any other key only exists in our own store.
            Selector::Key(key) => match UrlPath::of_key(key) {
                Some(path) => self.path(&path),
                None => vec![PurgeItem::Unsupported],
            },
            _ => vec![self.item_for(selector)],
        }
    }

    /// The item for the selector itself.
    fn item_for(&self, selector: &Selector) -> PurgeItem {
        let rules = self.dialect.rules();
        match selector {
            Selector::All => self.everything(),
            Selector::Type(name) => self.first_tag([self.tag_names.of_type(name)]),
            Selector::Entity(name, id) => {
                self.first_tag([self.tag_names.of_entity(name, id), self.tag_names.of_type(name)])
            }
            Selector::Tag(tag) => self.first_tag([self.tag_names.of_tag(tag)]),
            Selector::Path(_) | Selector::PathPrefix(_) | Selector::Key(_) => self.everything(),
            Selector::Pattern(glob) if !address::may_be_path(glob) => PurgeItem::Unsupported,
            Selector::Pattern(glob) if rules.takes_pattern(glob) => {
                PurgeItem::Pattern(glob.clone())
            }
            Selector::Pattern(_) => self.everything(),
        }
    }

    /// A path in every spelling that the cache may have stored.
    fn path(&self, path: &UrlPath) -> Vec<PurgeItem> {
        let Some(spellings) = address::spellings(path.as_str()) else {
            return vec![self.everything()];
        };
        let tags: Option<Vec<String>> = spellings
            .iter()
            .map(|one| self.tag_names.of_path(one).filter(|it| self.takes(it)))
            .collect();
        let is_taken = |one: &String| self.dialect.rules().takes_path(self, one);
        match tags {
            Some(tags) => tags.into_iter().map(PurgeItem::Tag).collect(),
            None if spellings.iter().all(is_taken) => {
                spellings.into_iter().map(PurgeItem::Path).collect()
            }
            None => vec![self.everything()],
        }
    }

    /// A prefix of paths in every spelling.
    fn prefix(&self, prefix: &UrlPath) -> Vec<PurgeItem> {
        let rules = self.dialect.rules();
        let spellings = match rules.uses_expressions() {
            true => Some(vec![prefix.to_string()]),
            false => address::spellings(prefix.as_str()),
        };
        let is_taken = |one: &String| rules.takes_prefix(self, one);
        match spellings.filter(|spellings| spellings.iter().all(is_taken)) {
            Some(spellings) => spellings.into_iter().map(PurgeItem::Prefix).collect(),
            None => vec![self.everything()],
        }
    }

    /// The first of these tags that the API accepts; otherwise everything.
    fn first_tag(&self, tags: impl IntoIterator<Item = String>) -> PurgeItem {
        let accepted = tags.into_iter().find(|tag| self.takes(tag));
        accepted.map_or_else(|| self.everything(), PurgeItem::Tag)
    }

    fn takes(&self, tag: &str) -> bool {
        self.dialect.rules().tags().is_some_and(|fit| fit.takes(tag))
    }

    /// Everything. A tag that every page carries is preferred, because it can be purged softly.
    fn everything(&self) -> PurgeItem {
        match &self.tag_names.all_tag {
            tag if !tag.is_empty() && self.takes(tag) => PurgeItem::Tag(tag.clone()),
            _ if self.dialect.rules().takes_all() => PurgeItem::All,
            _ => PurgeItem::Unsupported,
        }
    }

    /// Judges an answer.
    pub fn judge(&self, answer: &HttpAnswer) -> AnswerVerdict {
        verdict::judge(self, answer)
    }

    /// A call without body and items.
    fn call(&self, method: Method, url: Url, headers: Vec<(HeaderName, String)>) -> TargetCall {
        let (body, timeout) = (Bytes::new(), self.timeout);
        TargetCall {
            method,
            url,
            headers,
            body,
            timeout,
            paths: vec![],
            tags: vec![],
            items: vec![],
            is_soft: false,
            reach: Reach::Itself,
        }
    }
}

/// The key of a call as one item.
fn key_of(call: &TargetCall) -> String {
    let host = call.host().unwrap_or_default();
    format!("{} {} {host} {:?} {:?}", call.method, call.url, call.paths, call.tags)
}

/// Everything that a backlog invalidates, including cascades.
fn footprint(backlog: &Backlog) -> Demand {
    let mut whole = backlog.merged.clone();
    whole.join(&Demand::new(mode_of(&backlog.merged), backlog.merged_cascade.clone()));
    for event in &backlog.events {
        whole.join(&event.demand);
        whole.join(&Demand::new(event.mode(), event.cascade.clone()));
    }
    whole
}

fn mode_of(demand: &Demand) -> Mode {
    if demand.hard.is_empty() { Mode::Soft } else { Mode::Hard }
}

/// Splits tags into batches with at most `count_max` tags and `bytes_max` bytes, separators
/// included.
fn batches(tags: &BTreeSet<String>, count_max: usize, bytes_max: usize) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = vec![];
    let mut bytes = 0;
    for tag in tags {
        let is_full = |last: &Vec<String>| last.len() >= count_max || bytes + tag.len() > bytes_max;
        match batches.last_mut() {
            Some(last) if !is_full(last) => last.push(tag.clone()),
            _ => {
                bytes = 0;
                batches.push(vec![tag.clone()]);
            }
        }
        bytes += tag.len() + 1;
    }
    batches
}
