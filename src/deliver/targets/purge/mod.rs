//! Caches and CDNs that are asked to forget: from a backlog to requests in the words of each.
//!
//! The law it keeps: every selector of a backlog is in one of the calls, exactly or by something
//! wider, or it is named as unsupported; nothing is left out in silence. What has no words of its
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
mod refresh;
mod share;
mod sites;
#[cfg(test)]
mod tests;
mod vercel;
mod verdict;
mod words;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderName;
use url::Url;

use super::{Call, Reach};
use crate::deliver::verdict::AnswerVerdict;
use crate::domain::{Demand, Event, Mode, Selector, Selectors, UrlPath};
use crate::journal::Backlog;
use crate::net::Answer;
use crate::support::Secret;

pub use bunny::Bunny;
pub use cloudflare::Cloudflare;
pub use dialect::Dialect;
pub use fastly::Fastly;
pub use http::Http;
pub use refresh::Refresh;
pub use vercel::Vercel;
pub use words::Words;

use share::{Place, Share};

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
    pub words: Words,
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
    pub fn calls(&self, backlog: &Backlog, is_wider: bool) -> Vec<Call> {
        let mut demand = footprint(backlog);
        let exact = self.calls_for(&demand, false);
        if exact.is_empty() || (exact.len() <= self.calls_max && !is_wider) {
            return exact;
        }
        demand.hard.widen_ids();
        demand.soft.widen_ids();
        if self.everything() == Place::Nowhere {
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
        let mut unsupported = self.speechless(&hard);
        unsupported.extend(self.speechless(&soft));
        unsupported
    }

    /// Whether it has no word for anything in an event.
    pub fn is_beyond(&self, event: &Event) -> bool {
        event.footprint().iter().flat_map(|one| self.places(&one)).all(|it| it == Place::Nowhere)
    }

    /// Whether it has no word for a part of what the event's caller named.
    pub fn leaves_out(&self, event: &Event) -> bool {
        !self.speechless(&event.demand.selectors()).is_empty()
    }

    fn speechless(&self, selectors: &Selectors) -> Vec<Selector> {
        let is_missing = |one: &Selector| self.places(one).contains(&Place::Nowhere);
        selectors.iter().filter(is_missing).collect()
    }

    fn calls_for(&self, demand: &Demand, is_single: bool) -> Vec<Call> {
        let share = |mode, selectors: &Selectors| {
            let mut share = Share { is_single, ..Share::new(mode) };
            selectors.iter().flat_map(|one| self.places(&one)).for_each(|place| share.add(place));
            share
        };
        let (mut hard, soft) = (share(Mode::Hard, &demand.hard), share(Mode::Soft, &demand.soft));
        let shares = match self.dialect.speech().knows_soft() {
            true => vec![hard, soft],
            false => {
                hard.join(soft);
                vec![hard]
            }
        };
        let told = shares.iter().filter(|share| !share.is_empty());
        told.flat_map(|share| self.calls_of(share)).collect()
    }

    fn calls_of(&self, share: &Share) -> Vec<Call> {
        let calls = self.dialect.speech().calls(self, share).into_iter();
        let is_soft = share.mode == Mode::Soft;
        let told = |call: Call| Call {
            says: vec![said(&call)],
            reach: self.reach(share, &call),
            is_soft,
            ..call
        };
        calls.map(told).collect()
    }

    /// How much a call settles. One that makes pages stale settles none that takes them away.
    fn reach(&self, share: &Share, call: &Call) -> Reach {
        let all = &self.words.all_tag;
        let is_all = share.is_all || (!all.is_empty() && call.tags.contains(all));
        match (is_all && share.mode == Mode::Hard, call.host()) {
            (false, _) => Reach::Itself,
            (true, Some(_)) if self.sites.len() > 1 => Reach::Host,
            (true, _) => Reach::Everything,
        }
    }

    /// What a selector is in this target's words. An entity is two things: itself, and the lists
    /// of its type, which may show it.
    fn places(&self, selector: &Selector) -> Vec<Place> {
        match selector {
            Selector::Entity(name, _) => {
                let lists = [self.words.of_lists(name), self.words.of_type(name)];
                vec![self.place(selector), self.tagged(lists)]
            }
            Selector::Path(path) => self.path(path),
            Selector::PathPrefix(prefix) => self.prefix(prefix),
            // A key that is a path names the page that is there; any other is of our own store.
            Selector::Key(key) => match UrlPath::of_key(key) {
                Some(path) => self.path(&path),
                None => vec![Place::Nowhere],
            },
            _ => vec![self.place(selector)],
        }
    }

    /// The same of the selector alone.
    fn place(&self, selector: &Selector) -> Place {
        let speech = self.dialect.speech();
        match selector {
            Selector::All => self.everything(),
            Selector::Type(name) => self.tagged([self.words.of_type(name)]),
            Selector::Entity(name, id) => {
                self.tagged([self.words.of_entity(name, id), self.words.of_type(name)])
            }
            Selector::Tag(tag) => self.tagged([self.words.of_tag(tag)]),
            Selector::Path(_) | Selector::PathPrefix(_) | Selector::Key(_) => self.everything(),
            Selector::Pattern(glob) if !address::may_be_path(glob) => Place::Nowhere,
            Selector::Pattern(glob) if speech.takes_pattern(glob) => Place::Pattern(glob.clone()),
            Selector::Pattern(_) => self.everything(),
        }
    }

    /// A path in every spelling that a cache may have seen.
    fn path(&self, path: &UrlPath) -> Vec<Place> {
        let Some(spellings) = address::spellings(path.as_str()) else {
            return vec![self.everything()];
        };
        let tags: Option<Vec<String>> = spellings
            .iter()
            .map(|one| self.words.of_path(one).filter(|it| self.takes(it)))
            .collect();
        let is_taken = |one: &String| self.dialect.speech().takes_path(self, one);
        match tags {
            Some(tags) => tags.into_iter().map(Place::Tag).collect(),
            None if spellings.iter().all(is_taken) => {
                spellings.into_iter().map(Place::Path).collect()
            }
            None => vec![self.everything()],
        }
    }

    /// The beginning of paths, likewise.
    fn prefix(&self, prefix: &UrlPath) -> Vec<Place> {
        let speech = self.dialect.speech();
        let spellings = match speech.knows_expressions() {
            true => Some(vec![prefix.to_string()]),
            false => address::spellings(prefix.as_str()),
        };
        let is_taken = |one: &String| speech.takes_prefix(self, one);
        match spellings.filter(|spellings| spellings.iter().all(is_taken)) {
            Some(spellings) => spellings.into_iter().map(Place::Prefix).collect(),
            None => vec![self.everything()],
        }
    }

    /// The first of these tags that can be said; else the next wider thing.
    fn tagged(&self, tags: impl IntoIterator<Item = String>) -> Place {
        let said = tags.into_iter().find(|tag| self.takes(tag));
        said.map_or_else(|| self.everything(), Place::Tag)
    }

    fn takes(&self, tag: &str) -> bool {
        self.dialect.speech().tags().is_some_and(|fit| fit.takes(tag))
    }

    /// A tag that every page carries is gentler than everything, and can be soft.
    fn everything(&self) -> Place {
        match &self.words.all_tag {
            tag if !tag.is_empty() && self.takes(tag) => Place::Tag(tag.clone()),
            _ if self.dialect.speech().takes_all() => Place::All,
            _ => Place::Nowhere,
        }
    }

    /// What an answer means.
    pub fn judge(&self, answer: &Answer) -> AnswerVerdict {
        verdict::judge(self, answer)
    }

    /// A call without a body that is about nothing yet.
    fn call(&self, method: Method, url: Url, headers: Vec<(HeaderName, String)>) -> Call {
        let (body, timeout) = (Bytes::new(), self.timeout);
        Call {
            method,
            url,
            headers,
            body,
            timeout,
            paths: vec![],
            tags: vec![],
            says: vec![],
            is_soft: false,
            reach: Reach::Itself,
        }
    }
}

/// A call as one word, by what it is about.
fn said(call: &Call) -> String {
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
