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
use super::template::{Facts, Templates, Writing};
use crate::deliver::Signer;
use crate::domain::{Event, Selectors, TypeName};
use crate::journal::Backlog;
use crate::support::Secret;

/// Where such routes are by custom.
pub const PATH: &str = "/api/revalidate";
/// What says that everything is meant: the prefix of all paths.
const EVERY_PATH: &str = "/*";
/// Paths or tags in one call: a bulk import fits, a body stays far below what servers take.
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

/// What a backlog is about, in the target's terms.
#[derive(Default)]
struct Gathered {
    named: BTreeSet<String>,
    paths: BTreeSet<String>,
}

impl Revalidate {
    /// The calls for all that a backlog touches.
    pub fn calls(&self, backlog: &Backlog) -> Vec<Call> {
        match &self.form {
            Form::Paths(templates) => {
                let Gathered { named, paths } = gather(templates, Writing::Path, backlog);
                let named = named.iter().map(|path| address(path)).chain(paths).collect();
                self.posts(named, BTreeSet::new(), "paths")
            }
            Form::Tags(templates) => {
                let Gathered { named, paths } = gather(templates, Writing::Tag, backlog);
                self.posts(named, paths, "tags")
            }
            Form::Names(names) => {
                let touched: BTreeSet<&String> = names
                    .iter()
                    .filter(|(name, _)| footprints(backlog).any(|all| is_touched(&all, name)))
                    .map(|(_, called)| called)
                    .collect();
                touched.into_iter().filter_map(|name| self.knock(name)).collect()
            }
        }
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

    /// Posts of at most so many each; paths beside tags have posts of their own.
    fn posts(
        &self,
        named: BTreeSet<String>,
        paths: BTreeSet<String>,
        member: &'static str,
    ) -> Vec<Call> {
        let (named, paths): (Vec<_>, Vec<_>) =
            (named.into_iter().collect(), paths.into_iter().collect());
        let of_named = named.chunks(NAMED_MAX).map(|chunk| self.post(member, chunk));
        let of_paths = paths.chunks(NAMED_MAX).map(|chunk| self.post("paths", chunk));
        of_named.chain(of_paths).collect()
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
        })
    }
}

/// What each part of a backlog touches, cascades included.
fn footprints(backlog: &Backlog) -> impl Iterator<Item = Selectors> + '_ {
    let mut merged = backlog.merged.selectors();
    merged.join(&backlog.merged_cascade);
    std::iter::once(merged).chain(backlog.events.iter().map(|event| event.footprint()))
}

fn is_touched(selectors: &Selectors, name: &TypeName) -> bool {
    selectors.is_all() || selectors.named_types().any(|named| named == name)
}

fn gather(templates: &Templates, writing: Writing, backlog: &Backlog) -> Gathered {
    let mut gathered = Gathered::default();
    if !backlog.merged.is_empty() {
        gathered.add_unknown(templates, writing, &backlog.merged.selectors());
        gathered.add_unknown(templates, writing, &backlog.merged_cascade);
    }
    for event in &backlog.events {
        gathered.add_event(templates, writing, event);
    }
    gathered
}

/// The name of a type where none is meant.
fn any() -> TypeName {
    TypeName::parse("all").expect("three letters are a type")
}

/// What an event tells of its entity; one that stands for several tells nothing of each.
fn facts<'a>(event: &'a Event, any: &'a TypeName) -> Facts<'a> {
    let action = (event.covers.len() <= 1).then_some(event.action);
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
        let always = of.always.iter().filter_map(|template| template.fill(facts, writing));
        self.named.extend(always);
        if selectors.is_all() {
            of.fill_all(facts, writing, &mut self.named);
            self.paths.insert(EVERY_PATH.into());
        }
        for name in selectors.types() {
            of.fill(&Facts { name, ..*facts }, writing, &mut self.named);
        }
        for (name, ids) in selectors.ids() {
            for id in ids {
                let one = Facts { name, id: Some(id.as_str()), ..*facts };
                of.fill(&one, writing, &mut self.named);
            }
        }
        if writing == Writing::Tag {
            self.named.extend(selectors.tags().iter().map(ToString::to_string));
        }
        self.paths.extend(selectors.paths().iter().map(|path| address(path.as_str())));
        let prefixes = selectors.prefixes().iter();
        self.paths.extend(prefixes.map(|prefix| format!("{}*", address(prefix.as_str()))));
    }
}

/// A path as the site's pages have it: a `#` there is none of a fragment.
fn address(path: &str) -> String {
    path.replace('#', "%23")
}
