//! The revalidation route of a site: `{secret, paths}` or `{secret, tags}` as Next.js sites have
//! it, or one route for each name with a bearer token.
//!
//! This module only builds calls. The invariant: everything that a backlog affects is in one of its
//! calls, if the templates or names of the target cover it.

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

/// The usual path of such a route.
pub const PATH: &str = "/api/revalidate";
/// The prefix of all paths, which stands for everything.
const EVERY_PATH: &str = "/*";
/// Paths or tags in one call: enough for a bulk import, and the body stays far below the limits of
/// servers. If a target accepts fewer, it refuses and the call is split.
const NAMED_MAX: usize = 2000;
/// Members of a body.
const PATHS: &str = "paths";
const TAGS: &str = "tags";

/// The revalidation route of one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Revalidate {
    /// The URL; with [`RevalidateForm::Names`], the name is appended to it.
    pub url: Url,
    /// The value of `secret`, or the bearer token.
    pub secret: Secret,
    /// The form of its calls.
    pub form: RevalidateForm,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
    /// Whether every address of the host name is called.
    pub is_for_all_addresses: bool,
    /// Signs the calls, if secrets are configured.
    pub signer: Option<Signer>,
}

/// The form of the calls to a site.
#[derive(Debug, Clone, PartialEq)]
pub enum RevalidateForm {
    /// `{secret, paths}`, with `type` if Next.js needs it.
    Paths(NameTemplates),
    /// `{secret, tags}`, with `paths` for path selectors and templates of paths.
    Tags {
        /// Templates of tags.
        tags: NameTemplates,
        /// Templates of paths.
        paths: NameTemplates,
    },
    /// One call with an empty body for each name: type → its name at the site.
    Names(BTreeMap<TypeName, String>),
}

/// The log messages for one call.
pub struct CallMessages {
    /// For a call that was acknowledged.
    pub done: String,
    /// For any other answer.
    pub refused: String,
    /// For a call without an answer.
    pub broken: String,
}

/// The tags and paths that a backlog affects at a site.
#[derive(Default)]
struct TouchedNames {
    tags: BTreeSet<String>,
    paths: BTreeSet<RenderedName>,
}

/// Who receives the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallReader {
    /// A framework: paths must be arguments of `revalidatePath`.
    Site,
    /// Another cache-mirror, which supports prefixes.
    Gateway,
}

/// The names of one member of a body, with one `type`.
struct BodyMember {
    member: &'static str,
    kind: RouteKind,
    names: Vec<String>,
}

impl BodyMember {
    /// Whether it covers every page: by the root layout for a site, by the prefix of all paths for
    /// a gateway.
    fn is_every_path(&self) -> bool {
        let every = match self.kind {
            RouteKind::Layout => route::ROOT,
            RouteKind::Path => EVERY_PATH,
            RouteKind::Page => return false,
        };
        self.member == PATHS && self.names.iter().any(|name| name == every)
    }
}

impl Revalidate {
    /// The calls to a site for everything that a backlog affects.
    pub fn calls(&self, backlog: &Backlog) -> Vec<TargetCall> {
        self.calls_for(backlog, CallReader::Site)
    }

    /// The calls for everything that a backlog affects.
    pub fn calls_for(&self, backlog: &Backlog, reader: CallReader) -> Vec<TargetCall> {
        match &self.form {
            RevalidateForm::Paths(_) | RevalidateForm::Tags { .. } => {
                self.posts(self.touched(backlog).members(reader))
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

    /// Splits a call with several items into two; empty if it has only one.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        if call.items.len() < 2 {
            return vec![];
        }
        let (one, other) = call.items.split_at(call.items.len() / 2);
        [one, other].into_iter().map(|items| self.post_of(items)).collect()
    }

    /// The rest of a call, and the items that match in calls of their own.
    pub fn separate(
        &self,
        call: &TargetCall,
        is_separate: impl Fn(&String) -> bool,
    ) -> (Option<TargetCall>, Vec<TargetCall>) {
        if !call.items.iter().any(&is_separate) {
            return (Some(call.clone()), vec![]);
        }
        if call.items.len() == 1 {
            return (None, vec![call.clone()]);
        }
        let (alone, rest): (Vec<String>, Vec<String>) =
            call.items.iter().cloned().partition(is_separate);
        let rest = (!rest.is_empty()).then(|| self.post_of(&rest));
        (rest, alone.chunks(1).map(|item| self.post_of(item)).collect())
    }

    /// The post with these items, which were part of one post.
    fn post_of(&self, items: &[String]) -> TargetCall {
        let mut members: Vec<BodyMember> = vec![];
        for (member, kind, name) in items.iter().filter_map(|item| unkey(item)) {
            match members.iter_mut().find(|one| one.member == member && one.kind == kind) {
                Some(one) => one.names.push(name.to_owned()),
                None => members.push(BodyMember { member, kind, names: vec![name.to_owned()] }),
            }
        }
        self.post(&members.iter().collect::<Vec<_>>())
    }

    /// Why no call is made for an event; `None` if one is made.
    pub fn reason_skipped(&self, event: &Event) -> Option<&'static str> {
        let is_silent = match &self.form {
            RevalidateForm::Paths(_) | RevalidateForm::Tags { .. } => {
                let mut touched = TouchedNames::default();
                touched.add_event(&self.form, event);
                touched.tags.is_empty() && touched.paths.is_empty()
            }
            RevalidateForm::Names(names) => {
                let all = event.footprint();
                !names.keys().any(|name| is_touched(&all, name))
            }
        };
        is_silent.then_some(self.missing())
    }

    /// The reason if no call is made: what the settings of the target lack.
    pub fn missing(&self) -> &'static str {
        match &self.form {
            RevalidateForm::Paths(_) => "no_path",
            RevalidateForm::Tags { .. } => "no_tag",
            RevalidateForm::Names(_) => "no_name",
        }
    }

    /// The log messages for a call.
    pub fn messages(&self, url: &Url) -> CallMessages {
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

    /// Posts with at most [`NAMED_MAX`] names in each member. Tags and plain paths share one post
    /// if they are short enough.
    fn posts(&self, members: Vec<BodyMember>) -> Vec<TargetCall> {
        let is_plain = |it: &BodyMember| it.kind == RouteKind::Path && it.names.len() <= NAMED_MAX;
        let (plain, others): (Vec<BodyMember>, Vec<BodyMember>) =
            members.into_iter().partition(is_plain);
        let mut calls = Vec::new();
        if !plain.is_empty() {
            calls.push(self.post(&plain.iter().collect::<Vec<_>>()));
        }
        for one in others {
            let chunks = one.names.chunks(NAMED_MAX);
            calls.extend(
                chunks.map(|names| self.post(&[&BodyMember { names: names.to_vec(), ..one }])),
            );
        }
        calls
    }

    fn post(&self, parts: &[&BodyMember]) -> TargetCall {
        let mut body = Map::new();
        body.insert("secret".into(), json!(self.secret.expose()));
        for part in parts {
            body.insert(part.member.into(), json!(part.names));
            if let Some(kind) = part.kind.as_str() {
                body.insert("type".into(), json!(kind));
            }
        }
        let of = |member: &str| -> Vec<String> {
            let parts = parts.iter().filter(|part| part.member == member);
            parts.flat_map(|part| part.names.iter().cloned()).collect()
        };
        let keys = |part: &&BodyMember| {
            let names = part.names.iter();
            names.map(|name| key(part.member, part.kind, name)).collect::<Vec<_>>()
        };
        TargetCall {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into())],
            body: Bytes::from(Value::Object(body).to_string()),
            timeout: self.timeout,
            paths: of(PATHS),
            tags: of(TAGS),
            items: parts.iter().flat_map(keys).collect(),
            is_soft: false,
            reach: if parts.iter().any(|part| part.is_every_path()) {
                Reach::Paths
            } else {
                Reach::Itself
            },
        }
    }

    /// The call for one name.
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

/// The key of an item. A path and a tag may have the same text, and a path may occur with several
/// values of `type`.
fn key(member: &str, kind: RouteKind, name: &str) -> String {
    format!("{member} {} {name}", kind.as_str().unwrap_or_default())
}

/// The member, `type` and name of a key.
fn unkey(key: &str) -> Option<(&'static str, RouteKind, &str)> {
    let mut parts = key.splitn(3, ' ');
    let member = [PATHS, TAGS].into_iter().find(|member| parts.clone().next() == Some(member))?;
    let kind = parts.nth(1)?;
    let kinds = [RouteKind::Path, RouteKind::Page, RouteKind::Layout];
    let kind = kinds.into_iter().find(|it| it.as_str().unwrap_or_default() == kind)?;
    Some((member, kind, parts.next()?))
}

/// What each part of a backlog affects, including cascades.
fn footprints(backlog: &Backlog) -> impl Iterator<Item = Selectors> + '_ {
    let mut merged = backlog.merged.selectors();
    merged.join(&backlog.merged_cascade);
    std::iter::once(merged).chain(backlog.events.iter().map(|event| event.footprint()))
}

fn is_touched(selectors: &Selectors, name: &TypeName) -> bool {
    selectors.is_all() || selectors.named_types().any(|named| named == name)
}

/// A placeholder where the facts have no type.
fn any() -> TypeName {
    TypeName::parse("all").expect("three letters are a type")
}

/// What an event reports about its entity. If it covers several events, its action may not apply to
/// each of them; the same holds for a webhook event with several members.
fn facts<'a>(event: &'a Event, any: &'a TypeName) -> EntityFacts<'a> {
    let is_several = event.source == Source::Webhook && event.demand.members() > 1;
    let action = (event.covers.len() <= 1 && !is_several).then_some(event.action);
    EntityFacts { name: any, id: None, action, changed: &event.changed, fields: &event.fields }
}

impl Revalidate {
    fn touched(&self, backlog: &Backlog) -> TouchedNames {
        let mut touched = TouchedNames::default();
        if !backlog.merged.is_empty() {
            touched.add_unknown(&self.form, &backlog.merged.selectors());
            touched.add_unknown(&self.form, &backlog.merged_cascade);
        }
        for event in &backlog.events {
            touched.add_event(&self.form, event);
        }
        touched
    }
}

impl TouchedNames {
    fn add_event(&mut self, form: &RevalidateForm, event: &Event) {
        let selectors = event.demand.selectors();
        let routes = match form {
            RevalidateForm::Names(_) => BTreeMap::new(),
            _ => route::nextjs_routes(&event.routes),
        };
        self.add(form, &selectors, &facts(event, &any()), &routes);
        self.add_unknown(form, &event.cascade);
    }

    /// Adds merged events or a cascade, of which only the selectors are known.
    fn add_unknown(&mut self, form: &RevalidateForm, selectors: &Selectors) {
        let (any, nothing) = (any(), BTreeMap::new());
        let unknown =
            EntityFacts { name: &any, id: None, action: None, changed: &[], fields: &nothing };
        self.add(form, selectors, &unknown, &BTreeMap::new());
    }

    /// Adds selectors. `routes` replace the prefixes that they were parsed as.
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
                self.tags.extend(named.into_iter().map(|name| name.text));
                self.tags.extend(selectors.tags().iter().map(ToString::to_string));
                filled(paths, Escaping::Path, selectors, facts)
            }
            RevalidateForm::Names(_) => BTreeSet::new(),
        };
        let plain = |text: String| RenderedName { text, is_layout: false };
        let own = selectors.paths().iter().map(|path| plain(path.to_string()));
        let replaced: BTreeSet<&UrlPath> = routes.values().flatten().collect();
        let prefixes = selectors.prefixes().iter().filter(|prefix| !replaced.contains(prefix));
        let prefixes = prefixes.map(|prefix| plain(format!("{prefix}*")));
        let routes = routes.keys().cloned().map(plain);
        let every = selectors.is_all().then(|| plain(EVERY_PATH.into()));
        for name in paths.into_iter().chain(own).chain(prefixes).chain(routes).chain(every) {
            self.paths.insert(RenderedName { text: address(&name.text), ..name });
        }
    }

    /// The members of the bodies.
    fn members(self, reader: CallReader) -> Vec<BodyMember> {
        let mut paths: BTreeMap<RouteKind, BTreeSet<String>> = BTreeMap::new();
        for RenderedName { text, is_layout } in self.paths {
            let mut add_path = |kind, name| _ = paths.entry(kind).or_default().insert(name);
            match reader {
                CallReader::Site => route::add(&text, is_layout, add_path),
                CallReader::Gateway => {
                    if is_layout {
                        add_path(RouteKind::Path, format!("{}/*", text.trim_end_matches('/')));
                    }
                    // Older versions do not support routes.
                    route::prefixes(&text)
                        .into_iter()
                        .flatten()
                        .for_each(|it| add_path(RouteKind::Path, it));
                    add_path(RouteKind::Path, text);
                }
            }
        }
        let members = std::iter::once((TAGS, RouteKind::Path, self.tags))
            .chain(paths.into_iter().map(|(kind, names)| (PATHS, kind, names)));
        let members = members.map(|(member, kind, names)| BodyMember {
            member,
            kind,
            names: names.into_iter().collect(),
        });
        members.filter(|members| !members.names.is_empty()).collect()
    }
}

/// The names that templates render for some selectors.
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

/// Encodes `#`, which is part of a path here and not the start of a fragment.
fn address(path: &str) -> String {
    path.replace('#', "%23")
}
