//! A framework's route that renders pages anew: `{secret, paths}` or `{secret, tags}` as Next.js
//! sites have it, or one route for each name under a bearer token.
//!
//! It only says what is to be called. What it keeps: whatever a backlog is about is in one of its
//! calls, as far as the target's templates and names have words for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use url::Url;

use super::Call;
use super::said::Said;
use super::template::{Facts, Templates, Writing};
use crate::deliver::Signer;
use crate::domain::{Event, Selectors, Source, TypeName};
use crate::journal::Backlog;
use crate::support::Secret;

/// Where such routes are by custom.
pub const PATH: &str = "/api/revalidate";
/// What says that everything is meant: the prefix of all paths.
const EVERY_PATH: &str = "/*";
/// Paths or tags in one call: a bulk import fits, a body stays far below what servers take. A
/// target that takes fewer refuses, and is told in smaller calls.
const NAMED_MAX: usize = 2000;

/// One such route.
#[derive(Debug, Clone, PartialEq)]
pub struct Revalidate {
    /// Where it is; for names, what they are appended to.
    pub url: Url,
    /// What it expects as `secret`, or as bearer token.
    pub secret: Secret,
    /// What it is told.
    pub form: Form,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
    /// Whether each address behind the name is called.
    pub is_for_all_addresses: bool,
    /// Signs the calls, where it was given secrets.
    pub signer: Option<Signer>,
}

/// What a target is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// `{secret, paths}`.
    Paths(Templates),
    /// `{secret, tags}`, with `paths` for path selectors.
    Tags(Templates),
    /// One call with an empty body for each name: type → the name it has there.
    Names(BTreeMap<TypeName, String>),
}

/// The words of the log for one call.
pub struct Words {
    /// It was acknowledged.
    pub done: String,
    /// It was answered otherwise.
    pub refused: String,
    /// It was not answered.
    pub broken: String,
}

/// Words for a target, each with the newest event that asks for it.
type Asked = BTreeMap<String, u64>;

/// What a backlog is about, in the target's terms.
#[derive(Default)]
struct Gathered {
    named: Asked,
    paths: Asked,
    /// The event whose words are being added.
    seq: u64,
}

impl Revalidate {
    /// The calls for all that a backlog touches.
    pub fn calls(&self, backlog: &Backlog) -> Vec<Call> {
        self.calls_left(backlog, &Said::default())
    }

    /// The calls for what was not said of it yet.
    pub fn calls_left(&self, backlog: &Backlog, said: &Said) -> Vec<Call> {
        let calls = match &self.form {
            Form::Paths(templates) => {
                let Gathered { named, mut paths, .. } = gather(templates, Writing::Path, backlog);
                for (path, seq) in named {
                    ask(&mut paths, address(&path), seq);
                }
                self.posts("paths", paths, said)
            }
            Form::Tags(templates) => {
                let Gathered { named, paths, .. } = gather(templates, Writing::Tag, backlog);
                let mut calls = self.posts("tags", named, said);
                calls.extend(self.posts("paths", paths, said));
                calls
            }
            Form::Names(names) => {
                let mut called = Asked::new();
                for (all, seq) in footprints(backlog) {
                    let touched = names.iter().filter(|(name, _)| is_touched(&all, name));
                    touched.for_each(|(_, name)| ask(&mut called, name.clone(), seq));
                }
                let due = called.iter().filter(|(name, seq)| said.is_due(name, **seq));
                due.filter_map(|(name, _)| self.knock(name)).collect()
            }
        };
        said.choose(calls)
    }

    /// What of the target's is missing for an event, where nothing is called for it.
    pub fn silence(&self, event: &Event) -> Option<&'static str> {
        let is_none = |templates, writing| {
            let mut gathered = Gathered::default();
            gathered.add_event(templates, writing, event);
            gathered.named.is_empty() && gathered.paths.is_empty()
        };
        let is_silent = match &self.form {
            Form::Paths(templates) => is_none(templates, Writing::Path),
            Form::Tags(templates) => is_none(templates, Writing::Tag),
            Form::Names(names) => {
                let all = event.footprint();
                !names.keys().any(|name| is_touched(&all, name))
            }
        };
        is_silent.then_some(self.missing())
    }

    /// What is missing where it is not called.
    pub fn missing(&self) -> &'static str {
        match &self.form {
            Form::Paths(_) => "no_path",
            Form::Tags(_) => "no_tag",
            Form::Names(_) => "no_name",
        }
    }

    /// The log's words for a call.
    pub fn words(&self, url: &Url) -> Words {
        if !matches!(self.form, Form::Names(_)) {
            return Words {
                done: "Next.js revalidation triggered".into(),
                refused: "Next.js revalidation failed".into(),
                broken: "Next.js revalidation error".into(),
            };
        }
        let name = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        Words {
            done: format!("[Cache] Web {name} cache invalidated successfully"),
            refused: format!("Failed to invalidate web {name} cache"),
            broken: format!("Error invalidating web {name} cache (non-critical)"),
        }
    }

    /// Posts of what was not said yet, of at most so many words each.
    fn posts(&self, member: &'static str, words: Asked, said: &Said) -> Vec<Call> {
        let is_due = |(word, seq): &(String, u64)| said.is_due(&key(member, word), *seq);
        let due: Vec<String> = words.into_iter().filter(is_due).map(|(word, _)| word).collect();
        due.chunks(said.words_max(NAMED_MAX)).map(|chunk| self.post(member, chunk)).collect()
    }

    fn post(&self, member: &str, named: &[String]) -> Call {
        let mut body = Map::new();
        body.insert("secret".into(), json!(self.secret.expose()));
        body.insert(member.into(), json!(named));
        let list = |of: &str| if member == of { named.to_vec() } else { vec![] };
        Call {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(Value::Object(body).to_string()),
            timeout: self.timeout,
            paths: list("paths"),
            tags: list("tags"),
            says: named.iter().map(|word| key(member, word)).collect(),
        }
    }

    /// The call of one name.
    fn knock(&self, name: &str) -> Option<Call> {
        let mut url = self.url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push(name);
        Some(Call {
            method: Method::POST,
            url,
            headers: vec![(AUTHORIZATION, format!("Bearer {}", self.secret.expose()))],
            body: Bytes::new(),
            timeout: self.timeout,
            paths: vec![],
            tags: vec![],
            says: vec![name.to_owned()],
        })
    }
}

/// A path and a tag may be spelt alike.
fn key(member: &str, word: &str) -> String {
    format!("{member} {word}")
}

fn ask(words: &mut Asked, word: String, seq: u64) {
    let newest = words.entry(word).or_default();
    *newest = seq.max(*newest);
}

/// What is past naming is older than every named event.
fn merged_seq(backlog: &Backlog) -> u64 {
    backlog.events.first().map_or(backlog.through, |event| event.seq.saturating_sub(1))
}

/// What each part of a backlog touches, cascades included, and the event it is of.
fn footprints(backlog: &Backlog) -> impl Iterator<Item = (Selectors, u64)> + '_ {
    let mut merged = backlog.merged.selectors();
    merged.join(&backlog.merged_cascade);
    let events = backlog.events.iter().map(|event| (event.footprint(), event.seq));
    std::iter::once((merged, merged_seq(backlog))).chain(events)
}

fn is_touched(selectors: &Selectors, name: &TypeName) -> bool {
    selectors.is_all() || selectors.named_types().any(|named| named == name)
}

fn gather(templates: &Templates, writing: Writing, backlog: &Backlog) -> Gathered {
    let mut gathered = Gathered::default();
    if !backlog.merged.is_empty() {
        gathered.seq = merged_seq(backlog);
        gathered.add_unknown(templates, writing, &backlog.merged.selectors());
        gathered.add_unknown(templates, writing, &backlog.merged_cascade);
    }
    for event in &backlog.events {
        gathered.seq = event.seq;
        gathered.add_event(templates, writing, event);
    }
    gathered
}

/// The name of a type where none is meant.
fn any() -> TypeName {
    TypeName::parse("all").expect("three letters are a type")
}

/// What an event tells of its entity; one that stands for several tells nothing of each. What a
/// webhook brought together is one event of perhaps several actions.
fn facts<'a>(event: &'a Event, any: &'a TypeName) -> Facts<'a> {
    let is_several = event.source == Source::Webhook && event.demand.members() > 1;
    let action = (event.covers.len() <= 1 && !is_several).then_some(event.action);
    Facts { name: any, id: None, action, changed: &event.changed, fields: &event.fields }
}

impl Gathered {
    fn add_event(&mut self, templates: &Templates, writing: Writing, event: &Event) {
        let selectors = event.demand.selectors();
        self.add(templates, writing, &selectors, &facts(event, &any()));
        self.add_unknown(templates, writing, &event.cascade);
    }

    /// Of what was merged past naming, and of a cascade, nobody knows more than the selectors.
    fn add_unknown(&mut self, templates: &Templates, writing: Writing, selectors: &Selectors) {
        let (any, nothing) = (any(), BTreeMap::new());
        let unknown = Facts { name: &any, id: None, action: None, changed: &[], fields: &nothing };
        self.add(templates, writing, selectors, &unknown);
    }

    fn add(&mut self, of: &Templates, writing: Writing, selectors: &Selectors, facts: &Facts<'_>) {
        if selectors.is_empty() {
            return;
        }
        let (mut named, mut paths) = (BTreeSet::new(), BTreeSet::new());
        let always = of.always.iter().filter_map(|template| template.fill(facts, writing));
        named.extend(always);
        if selectors.is_all() {
            of.fill_all(facts, writing, &mut named);
            paths.insert(EVERY_PATH.into());
        }
        for name in selectors.types() {
            of.fill(&Facts { name, ..*facts }, writing, &mut named);
        }
        for (name, ids) in selectors.ids() {
            for id in ids {
                let one = Facts { name, id: Some(id.as_str()), ..*facts };
                of.fill(&one, writing, &mut named);
            }
        }
        if writing == Writing::Tag {
            named.extend(selectors.tags().iter().map(ToString::to_string));
        }
        paths.extend(selectors.paths().iter().map(|path| address(path.as_str())));
        let prefixes = selectors.prefixes().iter();
        paths.extend(prefixes.map(|prefix| format!("{}*", address(prefix.as_str()))));
        named.into_iter().for_each(|word| ask(&mut self.named, word, self.seq));
        paths.into_iter().for_each(|word| ask(&mut self.paths, word, self.seq));
    }
}

/// A path as the site's pages have it: a `#` there is none of a fragment.
fn address(path: &str) -> String {
    path.replace('#', "%23")
}
