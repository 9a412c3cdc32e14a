//! The law of completeness: the calls of every target purge everything that a demand selects, at
//! least in its mode, or the selector is reported as unsupported.
//!
//! Tested against a model of each cache: pages with a site, a path and tags, and the effect of a
//! call.

use std::time::Duration;

use proptest::prelude::*;
use reqwest::header::HeaderName;
use serde_json::Value;
use url::{Position, Url};

use super::super::address::{at, host};
use super::super::*;
use crate::domain::{Glob, Label, TypeName};

/// A page in a cache.
#[derive(Debug, Clone)]
struct Page {
    site: Url,
    path: String,
    of_type: TypeName,
    /// `None` if the page is a list of its type.
    id: Option<Label>,
    tag: Label,
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a label")
}

impl Page {
    /// Whether a selector selects it. The key of a page is its path.
    fn is_selected(&self, selector: &Selector) -> bool {
        match selector {
            Selector::All => true,
            Selector::Type(name) => *name == self.of_type,
            Selector::Entity(name, id) => {
                *name == self.of_type && self.id.as_ref().is_none_or(|own| own == id)
            }
            Selector::Tag(tag) => *tag == self.tag,
            Selector::Path(path) => *path == self.canonical(),
            Selector::Key(key) => key.as_str() == self.path,
            Selector::PathPrefix(prefix) => self.canonical().starts_with(prefix),
            Selector::Pattern(glob) => glob.matches(&self.path),
        }
    }

    fn canonical(&self) -> UrlPath {
        UrlPath::parse(&self.path).expect("a path")
    }

    /// The tags that the page carries for a cache.
    fn tags(&self, purge: &Purge) -> Vec<String> {
        let tag_names = &purge.tag_names;
        let mut tags = vec![
            tag_names.of_type(&self.of_type),
            match &self.id {
                Some(id) => tag_names.of_entity(&self.of_type, id),
                None => tag_names.of_lists(&self.of_type),
            },
            tag_names.of_tag(&self.tag),
            tag_names.all_tag.clone(),
        ];
        tags.extend(tag_names.of_path(self.canonical().as_str()));
        tags.retain(|tag| purge.takes(tag));
        tags
    }

    /// The target of the request that stored it, with as few escapes as possible.
    fn url(&self) -> String {
        let url = at(&self.site, &self.path.replace('#', "%23"));
        url.as_ref().map_or_else(|| sparsely_escaped(&self.site, &self.path), path_of)
    }
}

fn sparsely_escaped(site: &Url, path: &str) -> String {
    let (mut out, mut before) = (String::new(), "/");
    for c in path.chars() {
        let alone = at(site, &format!("{before}{c}x")).as_ref().map(path_of);
        match alone.as_ref().and_then(|alone| alone.strip_prefix(before)?.strip_suffix('x')) {
            _ if c == '#' => out.push_str("%23"),
            Some(escaped) => out.push_str(escaped),
            None => out.push(c),
        }
        before = if c == '?' { "/?" } else { before };
    }
    out
}

/// The effect of a call on a page; `None` if it has none.
fn effect(purge: &Purge, call: &TargetCall, page: &Page) -> Option<Mode> {
    let json: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    match &purge.dialect {
        Dialect::Http(http) => effect_of_http(purge, http, call, page),
        Dialect::Refresh(_) => {
            let is_it = is_here(purge, call, page) && path_of(&call.url) == page.url();
            is_it.then_some(Mode::Hard)
        }
        Dialect::Cloudflare(_) => effect_of_cloudflare(purge, &json, page),
        Dialect::Fastly(_) => {
            let is_soft = call.headers.iter().any(|(name, _)| name == "fastly-soft-purge");
            let is_all = call.url.path().ends_with("/purge_all");
            let address = format!("/purge/{}{}", host(&page.site), page.url());
            let is_it = is_all
                || carries(purge, &json["surrogate_keys"], page)
                || path_of(&call.url) == address;
            let mode = if is_soft && !is_all { Mode::Soft } else { Mode::Hard };
            is_it.then_some(mode)
        }
        Dialect::Bunny(_) => effect_of_bunny(purge, call, &json, page),
        Dialect::Vercel(_) => {
            let is_soft = call.url.path().ends_with("/invalidate-by-tags");
            let mode = if is_soft { Mode::Soft } else { Mode::Hard };
            carries(purge, &json["tags"], page).then_some(mode)
        }
    }
}

/// The request target: a client never sends the fragment.
fn path_of(url: &Url) -> String {
    url[Position::BeforePath..Position::AfterQuery].to_owned()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn carries(purge: &Purge, list: &Value, page: &Page) -> bool {
    let tags = page.tags(purge);
    texts(list).iter().any(|tag| tags.iter().any(|own| own == tag))
}

/// Whether a call applies to the site of the page, or to a cache with one site.
fn is_here(purge: &Purge, call: &TargetCall, page: &Page) -> bool {
    let named = call.headers.iter().find(|(name, _)| *name == reqwest::header::HOST);
    named.map_or(purge.sites.is_empty(), |(_, value)| *value == host(&page.site))
}

fn effect_of_cloudflare(purge: &Purge, json: &Value, page: &Page) -> Option<Mode> {
    let whole = format!("{}{}", host(&page.site), page.url());
    let is_it = json["purge_everything"] == true
        || carries(purge, &json["tags"], page)
        || texts(&json["files"]).contains(&&*format!("https://{whole}"))
        || texts(&json["prefixes"]).iter().any(|prefix| whole.starts_with(prefix))
        || texts(&json["hosts"]).contains(&&*host(&page.site));
    is_it.then_some(Mode::Hard)
}

fn effect_of_bunny(purge: &Purge, call: &TargetCall, json: &Value, page: &Page) -> Option<Mode> {
    let is_zone = call.url.path().ends_with("/purgeCache");
    let is_it = match json["CacheTag"].as_str() {
        Some(tag) => is_zone && page.tags(purge).iter().any(|own| own == tag),
        None if is_zone => true,
        None => {
            let (_, url) = call.url.query_pairs().next().expect("a URL to purge");
            let whole = format!("https://{}{}", host(&page.site), page.url());
            match url.strip_suffix('*') {
                Some(beginning) => whole.starts_with(beginning),
                None => whole == url,
            }
        }
    };
    is_it.then_some(Mode::Hard)
}

fn effect_of_http(purge: &Purge, http: &Http, call: &TargetCall, page: &Page) -> Option<Mode> {
    let header = |name: &Option<HeaderName>| {
        let found = call.headers.iter().find(|(known, _)| Some(known) == name.as_ref());
        found.map(|(_, value)| value.as_str())
    };
    let carries = |list: &str| {
        let tags = page.tags(purge);
        list.split(http.tag_separator).any(|tag| tags.iter().any(|own| own == tag))
    };
    if let Some(list) = header(&http.tag_header) {
        return carries(list).then_some(Mode::Hard);
    }
    if let Some(list) = header(&http.soft_tag_header) {
        return carries(list).then_some(Mode::Soft);
    }
    let is_hit = match header(&http.ban_header) {
        Some(regex) => {
            let regex = regex::bytes::Regex::new(&format!("(?-u){regex}")).expect("an expression");
            regex.is_match(page.url().as_bytes())
        }
        None => path_of(&call.url) == page.url(),
    };
    let mode = if header(&http.soft_header).is_some() { Mode::Soft } else { Mode::Hard };
    (is_here(purge, call, page) && is_hit).then_some(mode)
}

fn tag_names(path_tag: &str, all_tag: &str) -> TagNames {
    let list_tag = if all_tag.is_empty() { "" } else { "{type}:list" };
    TagNames {
        type_tag: "t-{type}".into(),
        entity_tag: "{type}:{id}".into(),
        list_tag: list_tag.into(),
        custom_tag: "{tag}".into(),
        path_tag: path_tag.into(),
        all_tag: all_tag.into(),
    }
}

fn target(tag_names: TagNames, sites: &[&str], dialect: Dialect) -> Purge {
    Purge {
        name: "t".into(),
        base: Url::parse("http://cache.example/").expect("url"),
        sites: sites.iter().map(|site| Url::parse(site).expect("url")).collect(),
        tag_names,
        token: Secret::new("secret"),
        timeout: Duration::from_secs(5),
        calls_max: 50,
        dialect,
    }
}

const SITES: [&str; 2] = ["https://a.example/", "https://b.example/"];

/// Every dialect, with and without its optional settings.
pub fn targets() -> Vec<Purge> {
    let name = HeaderName::from_static;
    let plain = Http {
        token_header: reqwest::header::AUTHORIZATION,
        tag_header: Some(name("xkey-purge")),
        soft_tag_header: None,
        soft_header: None,
        ban_header: Some(name("x-ban-url")),
        tag_separator: ' ',
        absent_status: None,
    };
    let soft = Http {
        soft_tag_header: Some(name("xkey-softpurge")),
        soft_header: Some(name("soft-purge")),
        ..plain.clone()
    };
    let soft_paths = Http { soft_header: Some(name("soft-purge")), ..plain.clone() };
    let banless = Http { ban_header: None, tag_separator: ',', ..soft.clone() };
    let tagless = Http { tag_header: None, ..plain.clone() };
    let mut targets = vec![
        target(tag_names("", ""), &[], Dialect::Http(plain)),
        target(tag_names("", "every"), &SITES, Dialect::Http(soft)),
        target(tag_names("p:{path}", ""), &[], Dialect::Http(soft_paths)),
        target(tag_names("", ""), &SITES, Dialect::Http(banless.clone())),
        target(tag_names("", "every"), &[], Dialect::Http(banless)),
        target(tag_names("", ""), &[], Dialect::Http(tagless)),
    ];
    let refresh = Refresh { bypass_header: name("x-refresh"), page_bytes_max: 1 << 20 };
    let cdns = [
        Dialect::Refresh(refresh),
        Dialect::Cloudflare(Cloudflare { zone: "z1".into() }),
        Dialect::Fastly(Fastly { service: "s1".into() }),
        Dialect::Bunny(Bunny { pull_zone: "1".into() }),
        Dialect::Vercel(Vercel { project: "p".into(), team: "t".into() }),
    ];
    for dialect in cdns {
        targets.push(target(tag_names("", ""), &[], dialect.clone()));
        targets.push(target(tag_names("", "every"), &SITES, dialect.clone()));
        targets.push(target(tag_names("p:{path}", ""), &SITES, dialect));
    }
    targets
}

fn text() -> impl Strategy<Value = Label> {
    prop_oneof![
        8 => "[ab]{1,2}".prop_map(|text| label(&text)),
        1 => "[ab ,é*\"{}]{1,4}".prop_map(|text| label(&text)),
        1 => Just(label(&"x".repeat(1024))),
    ]
}

fn path() -> impl Strategy<Value = Label> {
    prop_oneof![
        6 => "/[ab#]{0,2}(/[ab]{0,2})?".prop_map(|text| label(&text)),
        2 => "/[ab.%#?' é*\\\\\"{}^+]{0,5}".prop_map(|text| label(&text)),
        1 => Just(label("/a/../b")),
        1 => Just(label(&format!("/{}", "(".repeat(1000)))),
    ]
}

fn name() -> impl Strategy<Value = TypeName> {
    prop::sample::select(vec!["posts", "feed", "a:b"])
        .prop_map(|text| TypeName::parse(text).expect("a type"))
}

fn selector() -> impl Strategy<Value = Selector> {
    let glob = |text: String| Selector::Pattern(Glob::parse(&text).expect("a pattern"));
    prop_oneof![
        1 => Just(Selector::All),
        4 => name().prop_map(Selector::Type),
        8 => (name(), text()).prop_map(|(name, id)| Selector::Entity(name, id)),
        4 => text().prop_map(Selector::Tag),
        6 => path().prop_map(|path| Selector::path(path.as_str()).expect("a path")),
        3 => path().prop_map(|path| Selector::path(&format!("{path}*")).expect("a prefix")),
        2 => path().prop_map(Selector::Key),
        2 => text().prop_map(Selector::Key),
        3 => "[/ab*?.]{1,4}".prop_map(glob),
    ]
}

fn union(most: usize) -> impl Strategy<Value = Selectors> {
    prop::collection::vec(selector(), 0..most).prop_map(Selectors::from_iter)
}

fn page() -> impl Strategy<Value = Page> {
    let site = prop::sample::select(SITES.to_vec());
    let id = prop::option::weighted(0.7, text());
    // A cache stores a page requested with dot segments as a different page, which no path names.
    let path = path().prop_filter("has no dot segments", |path| {
        !path.as_str().split(['/', '?']).any(|segment| matches!(segment, "." | ".."))
    });
    (site, path, name(), id, text()).prop_map(|(site, path, of_type, id, tag)| Page {
        site: Url::parse(site).expect("url"),
        path: path.to_string(),
        of_type,
        id,
        tag,
    })
}

fn event(demand: Demand, cascade: Selectors) -> Event {
    Event { seq: 1, cascade, ..Event::of(demand) }
}

fn backlog() -> impl Strategy<Value = Backlog> {
    let demand = |most| {
        (union(most), union(most)).prop_map(|(hard, soft)| {
            let mut demand = Demand::new(Mode::Hard, hard);
            demand.join(&Demand::new(Mode::Soft, soft));
            demand
        })
    };
    let events = prop::collection::vec((demand(3), union(2)), 0..3);
    (demand(4), union(2), events).prop_map(|(merged, merged_cascade, events)| Backlog {
        merged,
        merged_cascade,
        events: events.into_iter().map(|(d, c)| std::sync::Arc::new(event(d, c))).collect(),
        ..Backlog::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn calls_cover_every_selector_or_report_it_as_unsupported(
        backlog in backlog(),
        pages in prop::collection::vec(page(), 1..12),
        calls_max in 1_usize..12,
        is_poisoned: bool,
    ) {
        for mut purge in targets() {
            purge.calls_max = calls_max;
            let calls = purge.calls(&backlog, is_poisoned);
            let unsupported = purge.unsupported(&backlog);
            let demand = footprint(&backlog);
            for (selectors, mode) in [(&demand.hard, Mode::Hard), (&demand.soft, Mode::Soft)] {
                let sent = selectors.iter().filter(|one| !unsupported.contains(one));
                let pairs = sent.flat_map(|one| pages.iter().map(move |page| (one.clone(), page)));
                for (selector, page) in pairs {
                    if !page.is_selected(&selector) {
                        continue;
                    }
                    let effects: Vec<_> =
                        calls.iter().filter_map(|call| effect(&purge, call, page)).collect();
                    let is_done = effects.contains(&Mode::Hard)
                        || (mode == Mode::Soft && effects.contains(&Mode::Soft));
                    prop_assert!(is_done, "{selector} of {page:?} by {:?}", purge.dialect);
                }
            }
            let most = calls_max.max(purge.sites.len());
            let is_bounded = calls.len() <= most || purge.everything() == PurgeItem::Unsupported;
            prop_assert!(is_bounded, "{} calls of {:?}", calls.len(), purge.dialect);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The parts of a call purge the same pages in the same mode, and a call that settles others
    /// purges every page.
    #[test]
    fn the_parts_of_a_call_purge_what_the_call_purges(
        backlog in backlog(),
        pages in prop::collection::vec(page(), 1..12),
        nth in 0_usize..4,
    ) {
        for purge in targets() {
            for call in purge.calls(&backlog, false) {
                let halves = purge.halves(&call);
                let item = call.tags.iter().chain(&call.paths).nth(nth);
                let named = call.tags.len() + call.paths.len();
                let is_separate = |key: &String| {
                    item.is_some_and(|item| key.ends_with(&format!("[{item:?}] []"))
                        || key.ends_with(&format!("[] [{item:?}]")))
                };
                let (rest, alone) = purge.separate(&call, is_separate);
                let parts: Vec<TargetCall> = rest.into_iter().chain(alone.clone()).collect();
                prop_assert_eq!(alone.is_empty(), item.is_none(), "{:?}", purge.dialect);
                prop_assert!(halves.len() == 2 || named < 2, "{:?}", purge.dialect);
                for page in &pages {
                    let whole = effect(&purge, &call, page);
                    for parts in [&halves, &parts].into_iter().filter(|parts| !parts.is_empty()) {
                        let found = parts.iter().find_map(|part| effect(&purge, part, page));
                        prop_assert_eq!(found, whole, "{:?} {:?}", purge.dialect, page);
                    }
                    let is_here = call.reach == Reach::Everything
                        || (call.reach == Reach::Host && is_here(&purge, &call, page));
                    prop_assert!(!is_here || whole == Some(Mode::Hard), "{:?}", purge.dialect);
                }
            }
        }
    }
}

/// If a cache can purge everything, only selectors that match no page are unsupported.
#[test]
fn a_cache_that_can_purge_everything_supports_every_page() {
    let whole = &targets()[0];
    for selector in [
        Selector::All,
        Selector::Tag(label("with blank")),
        Selector::path("/a/../b").expect("a path"),
        Selector::path("/a*").expect("a prefix"),
        Selector::Key(label("/a")),
        Selector::Pattern(Glob::parse("*a").expect("a pattern")),
    ] {
        assert!(!whole.items_for(&selector).contains(&PurgeItem::Unsupported), "{selector}");
    }
    for selector in [
        Selector::Key(label("user:1")),
        Selector::Pattern(Glob::parse("user:*").expect("a pattern")),
    ] {
        assert_eq!(whole.items_for(&selector), [PurgeItem::Unsupported], "{selector}");
    }
}

/// A list of the type may show the entity, so it is purged too; no other entity is, if lists have a
/// tag of their own.
#[test]
fn an_entity_purges_the_lists_of_its_type() {
    let of = |list_tag: &str| {
        let tag_names = TagNames { list_tag: list_tag.into(), ..tag_names("", "") };
        target(tag_names, &[], Dialect::Fastly(Fastly { service: "s1".into() }))
    };
    let posts = TypeName::parse("posts").expect("a type");
    let entity = Selector::Entity(posts.clone(), label("42"));
    let tag = |text: &str| PurgeItem::Tag(text.to_owned());
    assert_eq!(of("{type}:list").items_for(&entity), [tag("posts:42"), tag("posts:list")]);
    assert_eq!(of("").items_for(&entity), [tag("posts:42"), tag("t-posts")]);
    assert_eq!(of("{type}:list").items_for(&Selector::Type(posts)), [tag("t-posts")]);
    // A tag that the cache does not accept is widened, for lists as well.
    assert_eq!(of("{type} list").items_for(&entity), [tag("posts:42"), tag("t-posts")]);
}
