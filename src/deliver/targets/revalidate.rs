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

use super::route::{self, Kind};
use super::template::{Facts, Templates, Word, Writing};
use super::{Call, Reach};
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
    /// `{secret, paths}`, and `type` where Next.js needs it.
    Paths(Templates),
    /// `{secret, tags}`, and `paths` for path selectors and where there are templates of paths.
    Tags {
        /// Templates of tags.
        tags: Templates,
        /// Templates of paths.
        paths: Templates,
    },
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

/// Words for a target.
type Asked = BTreeSet<String>;

/// What a backlog is about, in the target's terms.
#[derive(Default)]
struct Gathered {
    tags: Asked,
    paths: BTreeSet<Word>,
}

/// Who reads the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A framework: what it is told is what `revalidatePath` takes.
    Site,
    /// A gateway like this one, which knows prefixes.
    Gateway,
}

/// The words of one member of a call.
struct Due {
    member: &'static str,
    kind: Kind,
    words: Vec<String>,
}

impl Due {
    /// Whether it means every page: a site's root layout, or to a gateway the prefix of all paths.
    fn is_every_path(&self) -> bool {
        let every = match self.kind {
            Kind::Layout => route::ROOT,
            Kind::Path => EVERY_PATH,
            Kind::Page => return false,
        };
        self.member == PATHS && self.words.iter().any(|word| word == every)
    }
}

impl Revalidate {
    /// The calls to a site for all that a backlog touches.
    pub fn calls(&self, backlog: &Backlog) -> Vec<Call> {
        self.calls_for(backlog, Reader::Site)
    }

    /// The calls for all that a backlog touches.
    pub fn calls_for(&self, backlog: &Backlog, reader: Reader) -> Vec<Call> {
        match &self.form {
            Form::Paths(_) | Form::Tags { .. } => self.posts(self.gather(backlog).due(reader)),
            Form::Names(names) => {
                let mut called = Asked::new();
                for all in footprints(backlog) {
                    let touched = names.iter().filter(|(name, _)| is_touched(&all, name));
                    called.extend(touched.map(|(_, name)| name.clone()));
                }
                called.iter().filter_map(|name| self.knock(name)).collect()
            }
        }
    }

    /// The same call as two, where it says several words.
    pub fn halves(&self, call: &Call) -> Vec<Call> {
        if call.says.len() < 2 {
            return vec![];
        }
        let (one, other) = call.says.split_at(call.says.len() / 2);
        [one, other].into_iter().map(|words| self.post_of(words)).collect()
    }

    /// The rest of a call, and these words of it in calls of their own.
    pub fn apart(
        &self,
        call: &Call,
        is_apart: impl Fn(&String) -> bool,
    ) -> (Option<Call>, Vec<Call>) {
        if !call.says.iter().any(&is_apart) {
            return (Some(call.clone()), vec![]);
        }
        if call.says.len() == 1 {
            return (None, vec![call.clone()]);
        }
        let (alone, rest): (Vec<String>, Vec<String>) =
            call.says.iter().cloned().partition(is_apart);
        let rest = (!rest.is_empty()).then(|| self.post_of(&rest));
        (rest, alone.chunks(1).map(|word| self.post_of(word)).collect())
    }

    /// The post that says these words, which were part of one post.
    fn post_of(&self, says: &[String]) -> Call {
        let mut due: Vec<Due> = vec![];
        for (member, kind, word) in says.iter().filter_map(|said| unkey(said)) {
            match due.iter_mut().find(|one| one.member == member && one.kind == kind) {
                Some(one) => one.words.push(word.to_owned()),
                None => due.push(Due { member, kind, words: vec![word.to_owned()] }),
            }
        }
        self.post(&due.iter().collect::<Vec<_>>())
    }

    /// What of the target's is missing for an event, where nothing is called for it.
    pub fn silence(&self, event: &Event) -> Option<&'static str> {
        let is_silent = match &self.form {
            Form::Paths(_) | Form::Tags { .. } => {
                let mut gathered = Gathered::default();
                gathered.add_event(&self.form, event);
                gathered.tags.is_empty() && gathered.paths.is_empty()
            }
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
            Form::Tags { .. } => "no_tag",
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

    /// Posts of at most so many words of a member each. Tags and plain paths are one, where that is
    /// short.
    fn posts(&self, due: Vec<Due>) -> Vec<Call> {
        let is_plain = |it: &Due| it.kind == Kind::Path && it.words.len() <= NAMED_MAX;
        let (plain, others): (Vec<Due>, Vec<Due>) = due.into_iter().partition(is_plain);
        let mut calls = Vec::new();
        if !plain.is_empty() {
            calls.push(self.post(&plain.iter().collect::<Vec<_>>()));
        }
        for one in others {
            let chunks = one.words.chunks(NAMED_MAX);
            calls.extend(chunks.map(|words| self.post(&[&Due { words: words.to_vec(), ..one }])));
        }
        calls
    }

    fn post(&self, parts: &[&Due]) -> Call {
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
        let says = |part: &&Due| {
            let words = part.words.iter();
            words.map(|word| key(part.member, part.kind, word)).collect::<Vec<_>>()
        };
        Call {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(Value::Object(body).to_string()),
            timeout: self.timeout,
            paths: of(PATHS),
            tags: of(TAGS),
            says: parts.iter().flat_map(says).collect(),
            is_soft: false,
            reach: if parts.iter().any(|part| part.is_every_path()) {
                Reach::Paths
            } else {
                Reach::Itself
            },
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
            is_soft: false,
            reach: Reach::Itself,
        })
    }
}

/// A path and a tag may be spelt alike, and a path may be asked for in several ways.
fn key(member: &str, kind: Kind, word: &str) -> String {
    format!("{member} {} {word}", kind.as_str().unwrap_or_default())
}

/// What a key stands for.
fn unkey(key: &str) -> Option<(&'static str, Kind, &str)> {
    let mut parts = key.splitn(3, ' ');
    let member = [PATHS, TAGS].into_iter().find(|member| parts.clone().next() == Some(member))?;
    let kind = parts.nth(1)?;
    let kinds = [Kind::Path, Kind::Page, Kind::Layout];
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
fn facts<'a>(event: &'a Event, any: &'a TypeName) -> Facts<'a> {
    let is_several = event.source == Source::Webhook && event.demand.members() > 1;
    let action = (event.covers.len() <= 1 && !is_several).then_some(event.action);
    Facts { name: any, id: None, action, changed: &event.changed, fields: &event.fields }
}

impl Revalidate {
    fn gather(&self, backlog: &Backlog) -> Gathered {
        let mut gathered = Gathered::default();
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

impl Gathered {
    fn add_event(&mut self, form: &Form, event: &Event) {
        let selectors = event.demand.selectors();
        let routes = match form {
            Form::Names(_) => BTreeMap::new(),
            _ => route::named(&event.routes),
        };
        self.add(form, &selectors, &facts(event, &any()), &routes);
        self.add_unknown(form, &event.cascade);
    }

    /// Of what was merged past naming, and of a cascade, nobody knows more than the selectors.
    fn add_unknown(&mut self, form: &Form, selectors: &Selectors) {
        let (any, nothing) = (any(), BTreeMap::new());
        let unknown = Facts { name: &any, id: None, action: None, changed: &[], fields: &nothing };
        self.add(form, selectors, &unknown, &BTreeMap::new());
    }

    /// `routes` are told instead of the prefixes that they are read as.
    fn add(
        &mut self,
        form: &Form,
        selectors: &Selectors,
        facts: &Facts<'_>,
        routes: &BTreeMap<String, BTreeSet<UrlPath>>,
    ) {
        if selectors.is_empty() {
            return;
        }
        let paths = match form {
            Form::Paths(paths) => filled(paths, Writing::Path, selectors, facts),
            Form::Tags { tags, paths } => {
                let named = filled(tags, Writing::Tag, selectors, facts);
                self.tags.extend(named.into_iter().map(|word| word.text));
                self.tags.extend(selectors.tags().iter().map(ToString::to_string));
                filled(paths, Writing::Path, selectors, facts)
            }
            Form::Names(_) => BTreeSet::new(),
        };
        let plain = |text: String| Word { text, is_layout: false };
        let own = selectors.paths().iter().map(|path| plain(path.to_string()));
        let told: BTreeSet<&UrlPath> = routes.values().flatten().collect();
        let prefixes = selectors.prefixes().iter().filter(|prefix| !told.contains(prefix));
        let prefixes = prefixes.map(|prefix| plain(format!("{prefix}*")));
        let routes = routes.keys().cloned().map(plain);
        let every = selectors.is_all().then(|| plain(EVERY_PATH.into()));
        for word in paths.into_iter().chain(own).chain(prefixes).chain(routes).chain(every) {
            self.paths.insert(Word { text: address(&word.text), ..word });
        }
    }

    /// What is to be said, member by member.
    fn due(self, reader: Reader) -> Vec<Due> {
        let mut paths: BTreeMap<Kind, Asked> = BTreeMap::new();
        for Word { text, is_layout } in self.paths {
            let mut say = |kind, word| _ = paths.entry(kind).or_default().insert(word);
            match reader {
                Reader::Site => route::add(&text, is_layout, say),
                Reader::Gateway => {
                    if is_layout {
                        say(Kind::Path, format!("{}/*", text.trim_end_matches('/')));
                    }
                    // An older one does not know routes.
                    route::prefixes(&text).into_iter().flatten().for_each(|it| say(Kind::Path, it));
                    say(Kind::Path, text);
                }
            }
        }
        let members = std::iter::once((TAGS, Kind::Path, self.tags))
            .chain(paths.into_iter().map(|(kind, words)| (PATHS, kind, words)));
        let due = members.map(|(member, kind, words)| Due {
            member,
            kind,
            words: words.into_iter().collect(),
        });
        due.filter(|due| !due.words.is_empty()).collect()
    }
}

/// What templates say of some selectors.
fn filled(
    of: &Templates,
    writing: Writing,
    selectors: &Selectors,
    facts: &Facts<'_>,
) -> BTreeSet<Word> {
    let mut named = BTreeSet::new();
    named.extend(of.always.iter().filter_map(|template| template.word(facts, writing)));
    if selectors.is_all() {
        of.fill_all(facts, writing, &mut named);
    }
    for name in selectors.types() {
        of.fill(&Facts { name, ..*facts }, writing, &mut named);
    }
    for (name, ids) in selectors.ids() {
        for id in ids {
            of.fill(&Facts { name, id: Some(id.as_str()), ..*facts }, writing, &mut named);
        }
    }
    named
}

/// A path as the site's pages have it: a `#` there is none of a fragment.
fn address(path: &str) -> String {
    path.replace('#', "%23")
}
