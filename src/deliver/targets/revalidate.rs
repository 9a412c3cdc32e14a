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

use super::route::{self, RouteKind};
use super::template::{EntityFacts, Escaping, NameTemplates, RenderedName};
use super::{Reach, TargetCall};
use crate::deliver::Signer;
use crate::domain::{Event, Selectors, Source, TypeName, UrlPath};
use crate::journal::Backlog;
use crate::support::Secret;

/// Where such routes are by custom.
pub const PATH: &str = "/api/revalidate";
/// What says that everything is meant: the prefix of all paths.
const EVERY_PATH: &str = "/*";
/// Paths or tags in one call: a bulk import fits, a body stays far below what servers take. A
/// target that takes fewer refuses, and is told in smaller calls.
const NAMED_MAX: usize = 2000;
/// Members of a call.
const PATHS: &str = "paths";
const TAGS: &str = "tags";

/// One such route.
#[derive(Debug, Clone, PartialEq)]
pub struct Revalidate {
    /// Where it is; for names, what they are appended to.
    pub url: Url,
    /// What it expects as `secret`, or as bearer token.
    pub secret: Secret,
    /// What it is told.
    pub form: RevalidateForm,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
    /// Whether each address behind the name is called.
    pub is_for_all_addresses: bool,
    /// Signs the calls, where it was given secrets.
    pub signer: Option<Signer>,
}

/// What a target is told.
#[derive(Debug, Clone, PartialEq)]
pub enum RevalidateForm {
    /// `{secret, paths}`, and `type` where Next.js needs it.
    Paths(NameTemplates),
    /// `{secret, tags}`, and `paths` for path selectors and where there are templates of paths.
    Tags {
        /// NameTemplates of tags.
        tags: NameTemplates,
        /// NameTemplates of paths.
        paths: NameTemplates,
    },
    /// One call with an empty body for each name: type → the name it has there.
    Names(BTreeMap<TypeName, String>),
}

/// The words of the log for one call.
pub struct CallMessages {
    /// It was acknowledged.
    pub done: String,
    /// It was answered otherwise.
    pub refused: String,
    /// It was not answered.
    pub broken: String,
}

/// What a backlog is about, in the target's terms.
#[derive(Default)]
struct TouchedNames {
    tags: BTreeSet<String>,
    paths: BTreeSet<RenderedName>,
}

/// Who reads the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallReader {
    /// A framework: what it is told is what `revalidatePath` takes.
    Site,
    /// A gateway like this one, which knows prefixes.
    Gateway,
}

/// The words of one member of a call.
struct BodyMember {
    member: &'static str,
    kind: RouteKind,
    words: Vec<String>,
}

impl BodyMember {
    /// Whether it means every page: a site's root layout, or to a gateway the prefix of all paths.
    fn is_every_path(&self) -> bool {
        let every = match self.kind {
            RouteKind::Layout => route::ROOT,
            RouteKind::Path => EVERY_PATH,
            RouteKind::Page => return false,
        };
        self.member == PATHS && self.words.iter().any(|word| word == every)
    }
}

impl Revalidate {
    /// The calls to a site for all that a backlog touches.
    pub fn calls(&self, backlog: &Backlog) -> Vec<TargetCall> {
        self.calls_for(backlog, CallReader::Site)
    }

    /// The calls for all that a backlog touches.
    pub fn calls_for(&self, backlog: &Backlog, reader: CallReader) -> Vec<TargetCall> {
        match &self.form {
            RevalidateForm::Paths(_) | RevalidateForm::Tags { .. } => {
                self.posts(self.gather(backlog).due(reader))
            }
            RevalidateForm::Names(names) => {
                let mut called = BTreeSet::new();
                for all in footprints(backlog) {
                    let touched = names.iter().filter(|(name, _)| is_touched(&all, name));
                    called.extend(touched.map(|(_, name)| name.clone()));
                }
                called.iter().filter_map(|name| self.post_to(name)).collect()
            }
        }
    }

    /// The same call as two, where it says several words.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        if call.items.len() < 2 {
            return vec![];
        }
        let (one, other) = call.items.split_at(call.items.len() / 2);
        [one, other].into_iter().map(|words| self.post_of(words)).collect()
    }

    /// The rest of a call, and these words of it in calls of their own.
    pub fn separate(
        &self,
        call: &TargetCall,
        is_apart: impl Fn(&String) -> bool,
    ) -> (Option<TargetCall>, Vec<TargetCall>) {
        if !call.items.iter().any(&is_apart) {
            return (Some(call.clone()), vec![]);
        }
        if call.items.len() == 1 {
            return (None, vec![call.clone()]);
        }
        let (alone, rest): (Vec<String>, Vec<String>) =
            call.items.iter().cloned().partition(is_apart);
        let rest = (!rest.is_empty()).then(|| self.post_of(&rest));
        (rest, alone.chunks(1).map(|word| self.post_of(word)).collect())
    }

    /// The post that says these words, which were part of one post.
    fn post_of(&self, items: &[String]) -> TargetCall {
        let mut due: Vec<BodyMember> = vec![];
        for (member, kind, word) in items.iter().filter_map(|item| unkey(item)) {
            match due.iter_mut().find(|one| one.member == member && one.kind == kind) {
                Some(one) => one.words.push(word.to_owned()),
                None => due.push(BodyMember { member, kind, words: vec![word.to_owned()] }),
            }
        }
        self.post(&due.iter().collect::<Vec<_>>())
    }

    /// What of the target's is missing for an event, where nothing is called for it.
    pub fn reason_skipped(&self, event: &Event) -> Option<&'static str> {
        let is_silent = match &self.form {
            RevalidateForm::Paths(_) | RevalidateForm::Tags { .. } => {
                let mut gathered = TouchedNames::default();
                gathered.add_event(&self.form, event);
                gathered.tags.is_empty() && gathered.paths.is_empty()
            }
            RevalidateForm::Names(names) => {
                let all = event.footprint();
                !names.keys().any(|name| is_touched(&all, name))
            }
        };
        is_silent.then_some(self.missing())
    }

    /// What is missing where it is not called.
    pub fn missing(&self) -> &'static str {
        match &self.form {
            RevalidateForm::Paths(_) => "no_path",
            RevalidateForm::Tags { .. } => "no_tag",
            RevalidateForm::Names(_) => "no_name",
        }
    }

    /// The log's words for a call.
    pub fn words(&self, url: &Url) -> CallMessages {
        if !matches!(self.form, RevalidateForm::Names(_)) {
            return CallMessages {
                done: "Next.js revalidation triggered".into(),
                refused: "Next.js revalidation failed".into(),
                broken: "Next.js revalidation error".into(),
            };
        }
        let name = url.path_segments().and_then(Iterator::last).unwrap_or_default();
        CallMessages {
            done: format!("[Cache] Web {name} cache invalidated successfully"),
            refused: format!("Failed to invalidate web {name} cache"),
            broken: format!("Error invalidating web {name} cache (non-critical)"),
        }
    }

    /// Posts of at most so many words of a member each. Tags and plain paths are one, where that is
    /// short.
    fn posts(&self, due: Vec<BodyMember>) -> Vec<TargetCall> {
        let is_plain = |it: &BodyMember| it.kind == RouteKind::Path && it.words.len() <= NAMED_MAX;
        let (plain, others): (Vec<BodyMember>, Vec<BodyMember>) =
            due.into_iter().partition(is_plain);
        let mut calls = Vec::new();
        if !plain.is_empty() {
            calls.push(self.post(&plain.iter().collect::<Vec<_>>()));
        }
        for one in others {
            let chunks = one.words.chunks(NAMED_MAX);
            calls.extend(
                chunks.map(|words| self.post(&[&BodyMember { words: words.to_vec(), ..one }])),
            );
        }
        calls
    }

    fn post(&self, parts: &[&BodyMember]) -> TargetCall {
        let mut body = Map::new();
        body.insert("secret".into(), json!(self.secret.expose()));
        for part in parts {
            body.insert(part.member.into(), json!(part.words));
            if let Some(kind) = part.kind.as_str() {
                body.insert("type".into(), json!(kind));
            }
        }
        let of = |member: &str| -> Vec<String> {
            let parts = parts.iter().filter(|part| part.member == member);
            parts.flat_map(|part| part.words.iter().cloned()).collect()
        };
        let says = |part: &&BodyMember| {
            let words = part.words.iter();
            words.map(|word| key(part.member, part.kind, word)).collect::<Vec<_>>()
        };
        TargetCall {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(Value::Object(body).to_string()),
            timeout: self.timeout,
            paths: of(PATHS),
            tags: of(TAGS),
            items: parts.iter().flat_map(says).collect(),
            is_soft: false,
            reach: if parts.iter().any(|part| part.is_every_path()) {
                Reach::Paths
            } else {
                Reach::Itself
            },
        }
    }

    /// The call of one name.
    fn post_to(&self, name: &str) -> Option<TargetCall> {
        let mut url = self.url.clone();
        url.path_segments_mut().ok()?.pop_if_empty().push(name);
        Some(TargetCall {
            method: Method::POST,
            url,
            headers: vec![(AUTHORIZATION, format!("Bearer {}", self.secret.expose()))],
            body: Bytes::new(),
            timeout: self.timeout,
            paths: vec![],
            tags: vec![],
            items: vec![name.to_owned()],
            is_soft: false,
            reach: Reach::Itself,
        })
    }
}

/// A path and a tag may be spelt alike, and a path may be asked for in several ways.
fn key(member: &str, kind: RouteKind, word: &str) -> String {
    format!("{member} {} {word}", kind.as_str().unwrap_or_default())
}

/// What a key stands for.
fn unkey(key: &str) -> Option<(&'static str, RouteKind, &str)> {
    let mut parts = key.splitn(3, ' ');
    let member = [PATHS, TAGS].into_iter().find(|member| parts.clone().next() == Some(member))?;
    let kind = parts.nth(1)?;
    let kinds = [RouteKind::Path, RouteKind::Page, RouteKind::Layout];
    let kind = kinds.into_iter().find(|it| it.as_str().unwrap_or_default() == kind)?;
    Some((member, kind, parts.next()?))
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

/// The name of a type where none is meant.
fn any() -> TypeName {
    TypeName::parse("all").expect("three letters are a type")
}

/// What an event tells of its entity; one that stands for several tells nothing of each. What a
/// webhook brought together is one event of perhaps several actions.
fn facts<'a>(event: &'a Event, any: &'a TypeName) -> EntityFacts<'a> {
    let is_several = event.source == Source::Webhook && event.demand.members() > 1;
    let action = (event.covers.len() <= 1 && !is_several).then_some(event.action);
    EntityFacts { name: any, id: None, action, changed: &event.changed, fields: &event.fields }
}

impl Revalidate {
    fn gather(&self, backlog: &Backlog) -> TouchedNames {
        let mut gathered = TouchedNames::default();
        if !backlog.merged.is_empty() {
            gathered.add_unknown(&self.form, &backlog.merged.selectors());
            gathered.add_unknown(&self.form, &backlog.merged_cascade);
        }
        for event in &backlog.events {
            gathered.add_event(&self.form, event);
        }
        gathered
    }
}

impl TouchedNames {
    fn add_event(&mut self, form: &RevalidateForm, event: &Event) {
        let selectors = event.demand.selectors();
        let routes = match form {
            RevalidateForm::Names(_) => BTreeMap::new(),
            _ => route::named(&event.routes),
        };
        self.add(form, &selectors, &facts(event, &any()), &routes);
        self.add_unknown(form, &event.cascade);
    }

    /// Of what was merged past naming, and of a cascade, nobody knows more than the selectors.
    fn add_unknown(&mut self, form: &RevalidateForm, selectors: &Selectors) {
        let (any, nothing) = (any(), BTreeMap::new());
        let unknown =
            EntityFacts { name: &any, id: None, action: None, changed: &[], fields: &nothing };
        self.add(form, selectors, &unknown, &BTreeMap::new());
    }

    /// `routes` are told instead of the prefixes that they are read as.
    fn add(
        &mut self,
        form: &RevalidateForm,
        selectors: &Selectors,
        facts: &EntityFacts<'_>,
        routes: &BTreeMap<String, BTreeSet<UrlPath>>,
    ) {
        if selectors.is_empty() {
            return;
        }
        let paths = match form {
            RevalidateForm::Paths(paths) => filled(paths, Escaping::Path, selectors, facts),
            RevalidateForm::Tags { tags, paths } => {
                let named = filled(tags, Escaping::Tag, selectors, facts);
                self.tags.extend(named.into_iter().map(|word| word.text));
                self.tags.extend(selectors.tags().iter().map(ToString::to_string));
                filled(paths, Escaping::Path, selectors, facts)
            }
            RevalidateForm::Names(_) => BTreeSet::new(),
        };
        let plain = |text: String| RenderedName { text, is_layout: false };
        let own = selectors.paths().iter().map(|path| plain(path.to_string()));
        let told: BTreeSet<&UrlPath> = routes.values().flatten().collect();
        let prefixes = selectors.prefixes().iter().filter(|prefix| !told.contains(prefix));
        let prefixes = prefixes.map(|prefix| plain(format!("{prefix}*")));
        let routes = routes.keys().cloned().map(plain);
        let every = selectors.is_all().then(|| plain(EVERY_PATH.into()));
        for word in paths.into_iter().chain(own).chain(prefixes).chain(routes).chain(every) {
            self.paths.insert(RenderedName { text: address(&word.text), ..word });
        }
    }

    /// What is to be said, member by member.
    fn due(self, reader: CallReader) -> Vec<BodyMember> {
        let mut paths: BTreeMap<RouteKind, BTreeSet<String>> = BTreeMap::new();
        for RenderedName { text, is_layout } in self.paths {
            let mut say = |kind, word| _ = paths.entry(kind).or_default().insert(word);
            match reader {
                CallReader::Site => route::add(&text, is_layout, say),
                CallReader::Gateway => {
                    if is_layout {
                        say(RouteKind::Path, format!("{}/*", text.trim_end_matches('/')));
                    }
                    // An older one does not know routes.
                    route::prefixes(&text)
                        .into_iter()
                        .flatten()
                        .for_each(|it| say(RouteKind::Path, it));
                    say(RouteKind::Path, text);
                }
            }
        }
        let members = std::iter::once((TAGS, RouteKind::Path, self.tags))
            .chain(paths.into_iter().map(|(kind, words)| (PATHS, kind, words)));
        let due = members.map(|(member, kind, words)| BodyMember {
            member,
            kind,
            words: words.into_iter().collect(),
        });
        due.filter(|due| !due.words.is_empty()).collect()
    }
}

/// What templates say of some selectors.
fn filled(
    of: &NameTemplates,
    writing: Escaping,
    selectors: &Selectors,
    facts: &EntityFacts<'_>,
) -> BTreeSet<RenderedName> {
    let mut named = BTreeSet::new();
    named.extend(of.always.iter().filter_map(|template| template.render_name(facts, writing)));
    if selectors.is_all() {
        of.render_all(facts, writing, &mut named);
    }
    for name in selectors.types() {
        of.render(&EntityFacts { name, ..*facts }, writing, &mut named);
    }
    for (name, ids) in selectors.ids() {
        for id in ids {
            of.render(&EntityFacts { name, id: Some(id.as_str()), ..*facts }, writing, &mut named);
        }
    }
    named
}

/// A path as the site's pages have it: a `#` there is none of a fragment.
fn address(path: &str) -> String {
    path.replace('#', "%23")
}
