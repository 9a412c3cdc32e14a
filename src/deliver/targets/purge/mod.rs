//! Caches and CDNs that are asked to forget: from a backlog to requests in the words of each.
//!
//! The law it keeps: every selector of a backlog is in one of the calls, exactly or by something
//! wider, or it is named as unsupported; nothing is left out in reason_skipped. What has no words of its
//! own is widened to a coarser tag or to everything, and so is what would take more calls than a
//! target is willing to get. What follows from the graph is purged too, for no cache beside this
//! instance knows it. Sending, waiting and trying again are not done here.

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

/// One target: a cache, or one zone of a CDN.
#[derive(Debug, Clone, PartialEq)]
pub struct Purge {
    /// The target's name in the settings, for errors that name a remedy.
    pub name: String,
    /// The cache itself, or the API of the CDN; ends in `/`.
    pub base: Url,
    /// The sites that are in the cache, as origins; several where it serves several names.
    pub sites: Vec<Url>,
    /// Which text a selector is as a tag.
    pub tag_names: TagNames,
    /// What proves that we may.
    pub token: Secret,
    /// From connect to the last byte of each answer.
    pub timeout: Duration,
    /// Calls for one backlog; what would take more is widened.
    pub calls_max: usize,
    /// In which form it is told.
    pub dialect: Dialect,
}

impl Purge {
    /// The calls that cover a backlog, hard ones first. A target that refused them as they were is
    /// told the same wider (`is_wider`): everything, or, where that has no words, types, each in a
    /// call of its own.
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

    /// What of a backlog it has no words for.
    pub fn unsupported(&self, backlog: &Backlog) -> Vec<Selector> {
        let Demand { hard, soft } = footprint(backlog);
        let mut unsupported = self.unsupported_in(&hard);
        unsupported.extend(self.unsupported_in(&soft));
        unsupported
    }

    /// Whether it has no word for anything in an event.
    pub fn expresses_nothing(&self, event: &Event) -> bool {
        event
            .footprint()
            .iter()
            .flat_map(|one| self.places(&one))
            .all(|it| it == PurgeItem::Unsupported)
    }

    /// Whether it has no word for a part of what the event's caller named.
    pub fn omits_part(&self, event: &Event) -> bool {
        !self.unsupported_in(&event.demand.selectors()).is_empty()
    }

    fn unsupported_in(&self, selectors: &Selectors) -> Vec<Selector> {
        let is_missing = |one: &Selector| self.places(one).contains(&PurgeItem::Unsupported);
        selectors.iter().filter(is_missing).collect()
    }

    fn calls_for(&self, demand: &Demand, is_single: bool) -> Vec<TargetCall> {
        let share = |mode, selectors: &Selectors| {
            let mut share = PurgeSet { is_single, ..PurgeSet::new(mode) };
            selectors.iter().flat_map(|one| self.places(&one)).for_each(|place| share.add(place));
            share
        };
        let (mut hard, soft) = (share(Mode::Hard, &demand.hard), share(Mode::Soft, &demand.soft));
        let shares = match self.dialect.rules().supports_soft() {
            true => vec![hard, soft],
            false => {
                hard.join(soft);
                vec![hard]
            }
        };
        let told = shares.iter().filter(|share| !share.is_empty());
        told.flat_map(|share| self.calls_of(share)).collect()
    }

    fn calls_of(&self, share: &PurgeSet) -> Vec<TargetCall> {
        let calls = self.dialect.rules().calls(self, share).into_iter();
        let is_soft = share.mode == Mode::Soft;
        let told = |call: TargetCall| TargetCall {
            items: vec![said(&call)],
            reach: self.reach(share, &call),
            is_soft,
            ..call
        };
        calls.map(told).collect()
    }

    /// How much a call settles. One that makes pages stale settles none that takes them away.
    fn reach(&self, share: &PurgeSet, call: &TargetCall) -> Reach {
        let all = &self.tag_names.all_tag;
        let is_all = share.is_all || (!all.is_empty() && call.tags.contains(all));
        match (is_all && share.mode == Mode::Hard, call.host()) {
            (false, _) => Reach::Itself,
            (true, Some(_)) if self.sites.len() > 1 => Reach::Host,
            (true, _) => Reach::Everything,
        }
    }

    /// What a selector is in this target's words. An entity is two things: itself, and the lists
    /// of its type, which may show it.
    fn places(&self, selector: &Selector) -> Vec<PurgeItem> {
        match selector {
            Selector::Entity(name, _) => {
                let lists = [self.tag_names.of_lists(name), self.tag_names.of_type(name)];
                vec![self.place(selector), self.tagged(lists)]
            }
            Selector::Path(path) => self.path(path),
            Selector::PathPrefix(prefix) => self.prefix(prefix),
            // A key that is a path names the page that is there; any other is of our own store.
            Selector::Key(key) => match UrlPath::of_key(key) {
                Some(path) => self.path(&path),
                None => vec![PurgeItem::Unsupported],
            },
            _ => vec![self.place(selector)],
        }
    }

    /// The same of the selector alone.
    fn place(&self, selector: &Selector) -> PurgeItem {
        let rules = self.dialect.rules();
        match selector {
            Selector::All => self.everything(),
            Selector::Type(name) => self.tagged([self.tag_names.of_type(name)]),
            Selector::Entity(name, id) => {
                self.tagged([self.tag_names.of_entity(name, id), self.tag_names.of_type(name)])
            }
            Selector::Tag(tag) => self.tagged([self.tag_names.of_tag(tag)]),
            Selector::Path(_) | Selector::PathPrefix(_) | Selector::Key(_) => self.everything(),
            Selector::Pattern(glob) if !address::may_be_path(glob) => PurgeItem::Unsupported,
            Selector::Pattern(glob) if rules.takes_pattern(glob) => {
                PurgeItem::Pattern(glob.clone())
            }
            Selector::Pattern(_) => self.everything(),
        }
    }

    /// A path in every spelling that a cache may have seen.
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

    /// The beginning of paths, likewise.
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

    /// The first of these tags that can be said; else the next wider thing.
    fn tagged(&self, tags: impl IntoIterator<Item = String>) -> PurgeItem {
        let said = tags.into_iter().find(|tag| self.takes(tag));
        said.map_or_else(|| self.everything(), PurgeItem::Tag)
    }

    fn takes(&self, tag: &str) -> bool {
        self.dialect.rules().tags().is_some_and(|fit| fit.takes(tag))
    }

    /// A tag that every page carries is gentler than everything, and can be soft.
    fn everything(&self) -> PurgeItem {
        match &self.tag_names.all_tag {
            tag if !tag.is_empty() && self.takes(tag) => PurgeItem::Tag(tag.clone()),
            _ if self.dialect.rules().takes_all() => PurgeItem::All,
            _ => PurgeItem::Unsupported,
        }
    }

    /// What an answer means.
    pub fn judge(&self, answer: &HttpAnswer) -> AnswerVerdict {
        verdict::judge(self, answer)
    }

    /// A call without a body that is about nothing yet.
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

/// A call as one word, by what it is about.
fn said(call: &TargetCall) -> String {
    let host = call.host().unwrap_or_default();
    format!("{} {} {host} {:?} {:?}", call.method, call.url, call.paths, call.tags)
}

/// Everything that a backlog clears, its cascades included.
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

/// Tags as the lists of calls: so many in each, and of so many bytes with what parts them.
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
