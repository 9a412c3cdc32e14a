//! Caches and CDNs that are asked to forget: `[purge]` and `[[purge.targets]]`.
//!
//! A target with several hosts becomes several destinations, so that each has a cursor, a limit and
//! retries of its own, and a dead one holds up none of the others. A field that means nothing for a
//! kind is refused, because it suggests an effect that it would not have.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use super::{mirrors, peers};
use crate::deliver::targets::purge::{
    Bunny, Cloudflare, Dialect, Fastly, Http, Refresh, TagNames, Vercel,
};
use crate::deliver::targets::{Purge, Target};
use crate::deliver::{DestinationClass, Login, LoginMethod, PeerConfig};
use crate::support::Secret;

/// Each host has a worker, a connection and a cursor.
const HOSTS_MAX: usize = 100;
/// Each path is called for once for every site.
const SITES_MAX: usize = 50;
const PAGE_BYTES_DEFAULT: usize = 16 << 20;

/// Caches and CDNs that are asked to forget.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Section {
    timeout_ms: Timeout,
    calls_max: CallsMax,
    targets: Vec<TargetKeys>,
}

type CallsMax = Int<1, 10_000>;
/// A header; none where it is empty.
type Header = Option<Parsed<Option<HeaderName>>>;

/// A cache or CDN. Which of it means something depends on its kind: docs/PURGE.md.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct TargetKeys {
    /// What operators call it.
    name: Parsed<Option<Name>>,
    /// http, refresh, cloudflare, fastly, bunny or vercel.
    kind: String,
    /// The caches themselves, as http://HOST:PORT.
    hosts: Vec<Parsed<Address>>,
    /// Names of the site in the cache, as https://HOST; empty: the host's own.
    sites: Vec<Parsed<Address>>,
    /// What may purge.
    token: Secret,
    /// Carries the token.
    token_header: Header,
    /// Certificates in PEM that are trusted for this target, besides the system's authorities.
    ca_file: String,
    /// Calls a second.
    rate_per_second: Option<Rate>,
    /// Calls that may go at once after a pause.
    burst: Option<Burst>,
    /// Instead of purge.timeout_ms.
    timeout_ms: Option<Timeout>,
    /// Instead of purge.calls_max.
    calls_max: Option<CallsMax>,
    /// The tag of a type, with {type}.
    type_tag: Option<String>,
    /// The tag of one entity, with {type} and {id}.
    entity_tag: Option<String>,
    /// The tag of lists of a type, with {type}.
    list_tag: Option<String>,
    /// A tag that callers name, with {tag}.
    custom_tag: Option<String>,
    /// The tag of a path, with {path}.
    path_tag: Option<String>,
    /// A tag that every page carries.
    all_tag: Option<String>,
    /// Carries tags; empty: there are none.
    tag_header: Header,
    /// Carries tags that are to become stale.
    soft_tag_header: Header,
    /// Marks the purge of a path as soft.
    soft_header: Header,
    /// Carries the expression of a ban; empty: there are none.
    ban_header: Header,
    /// Between two tags.
    tag_separator: Parsed<Separator>,
    /// A status that says that nothing of it was there; 0 for none.
    absent_status: Option<Int<0, 599>>,
    /// What makes a request pass by the cache; its value is the token.
    bypass_header: Option<Parsed<HeaderName>>,
    /// The longest page that is read through the cache.
    page_bytes_max: Option<Int<1024, { 1 << 30 }>>,
    /// Where the API of the CDN is.
    api: Option<Parsed<Address>>,
    /// The zone at Cloudflare.
    zone: String,
    /// The plan at Cloudflare, which says how much it takes.
    plan: Parsed<Option<Plan>>,
    /// The service at Fastly.
    service: String,
    /// The pull zone at Bunny.
    pull_zone: String,
    /// The project at Vercel.
    project: String,
    /// The team at Vercel, if any.
    team: String,
}

#[derive(Debug, Clone, Copy)]
struct Separator(char);

impl Default for Separator {
    fn default() -> Self {
        Self(' ')
    }
}

words!(Separator, "expected a blank or a comma", " " = Self(' '), "," = Self(','));

/// What Cloudflare allows by plan: a second, and at once.
#[derive(Debug, Clone, Copy)]
struct Plan(f64, u32);

words!(
    Plan,
    "expected free, pro, business or enterprise",
    "free" = Self(5.0 / 60.0, 25),
    "pro" = Self(5.0, 25),
    "business" = Self(10.0, 50),
    "enterprise" = Self(50.0, 500)
);

/// Fields that every kind has.
const SHARED: &[&str] =
    &["name", "kind", "token", "ca_file", "rate_per_second", "burst", "timeout_ms"];

/// Fields of every kind that has tags.
const TAGGED: &[&str] = &[
    "sites",
    "calls_max",
    "type_tag",
    "entity_tag",
    "list_tag",
    "custom_tag",
    "path_tag",
    "all_tag",
];

/// One sort of target: its word, its further fields, and the limit that it takes by default.
struct Kind {
    word: &'static str,
    is_tagged: bool,
    fields: &'static [&'static str],
    /// Where its API is; without one `hosts` are called.
    api: Option<&'static str>,
    /// Requests a second, and at once.
    limit: (f64, u32),
    build: fn(&mut Reader, &At) -> Dialect,
}

const KINDS: &[Kind] = &[
    Kind {
        word: "http",
        is_tagged: true,
        fields: &[
            "hosts",
            "token_header",
            "tag_header",
            "soft_tag_header",
            "soft_header",
            "ban_header",
            "tag_separator",
            "absent_status",
        ],
        api: None,
        limit: (50.0, 200),
        build: |_, at| http(at),
    },
    Kind {
        word: "refresh",
        is_tagged: false,
        fields: &["hosts", "sites", "bypass_header", "page_bytes_max"],
        api: None,
        // Each call is a page that the origin makes.
        limit: (10.0, 10),
        build: refresh,
    },
    Kind {
        word: "cloudflare",
        is_tagged: true,
        fields: &["api", "zone", "plan"],
        api: Some("https://api.cloudflare.com/client/v4/"),
        limit: (5.0 / 60.0, 25),
        build: |from, at| {
            Dialect::Cloudflare(Cloudflare { zone: at.id(from, "zone", &at.target.zone) })
        },
    },
    Kind {
        word: "fastly",
        is_tagged: true,
        fields: &["api", "service"],
        api: Some("https://api.fastly.com/"),
        limit: (20.0, 100),
        build: |from, at| {
            Dialect::Fastly(Fastly { service: at.id(from, "service", &at.target.service) })
        },
    },
    Kind {
        word: "bunny",
        is_tagged: true,
        fields: &["api", "pull_zone"],
        api: Some("https://api.bunny.net/"),
        // What it allows for wildcards; single URLs might go ten times as fast.
        limit: (0.5, 20),
        build: |from, at| {
            Dialect::Bunny(Bunny { pull_zone: at.id(from, "pull_zone", &at.target.pull_zone) })
        },
    },
    Kind {
        word: "vercel",
        is_tagged: true,
        fields: &["api", "project", "team"],
        api: Some("https://api.vercel.com/"),
        limit: (1.0, 10),
        build: vercel,
    },
];

/// One entry, and its place.
struct At<'a> {
    all: &'a Sections,
    target: &'a TargetKeys,
    key: String,
}

impl At<'_> {
    fn key(&self, field: &str) -> String {
        format!("{}.{field}", self.key)
    }

    fn refuse(&self, from: &mut Reader, field: &str, expected: impl Into<String>) {
        from.refuse(&self.key(field), expected);
    }

    /// The id of something at a CDN; it becomes part of a URL.
    fn id(&self, from: &mut Reader, field: &str, id: &str) -> String {
        if !Name::is_valid(id) {
            self.refuse(from, field, "expected its id: 1 to 64 of A-Z a-z 0-9 _ . -");
        }
        id.to_owned()
    }
}

/// Adds every host of every target to the destinations.
pub(super) fn add_targets(from: &mut Reader, all: &Sections, peers: &mut Vec<PeerConfig>) {
    let before = peers.len();
    for (index, target) in all.purge.targets.iter().enumerate() {
        let at = At { all, target, key: format!("purge.targets[{index}]") };
        for destination in destinations(from, &at) {
            if peers.iter().any(|peer| peer.name == destination.name) {
                let expected = "another destination has the same name: give one of them another";
                at.refuse(from, "name", expected);
            }
            peers.push(destination);
        }
    }
    from.refuse_many("purge.targets", peers.len() - before, HOSTS_MAX, "hosts");
}

/// The destinations of one entry.
fn destinations(from: &mut Reader, at: &At) -> Vec<PeerConfig> {
    let target = at.target;
    let Some(kind) = KINDS.iter().find(|kind| kind.word == target.kind) else {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.word).collect();
        at.refuse(from, "kind", format!("expected {}", names.join(", ")));
        return vec![];
    };
    for field in from.fields(&at.key) {
        let is_tagging = kind.is_tagged && TAGGED.contains(&&*field);
        if !is_tagging && !SHARED.contains(&&*field) && !kind.fields.contains(&&*field) {
            at.refuse(from, &field, format!("this means nothing for the kind {}", kind.word));
        }
    }
    if target.name.is_none() {
        at.refuse(from, "name", Name::EXPECTED);
    }
    if !target.token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        at.refuse(from, "token", "expected a token without blanks");
    }
    let bases = match kind.api {
        None => hosts(from, at),
        Some(default) => api(from, at, default),
    };
    let purge = Purge {
        name: target.name.0.clone().map(|name| name.0).unwrap_or_default(),
        base: Url::parse("http://localhost/").expect("a fixed URL"),
        sites: sites(from, at),
        tag_names: tag_names(from, at),
        token: target.token.clone(),
        timeout: *target.timeout_ms.unwrap_or(at.all.purge.timeout_ms),
        calls_max: target.calls_max.unwrap_or(at.all.purge.calls_max).to(),
        dialect: (kind.build)(from, at),
    };
    let is_one = bases.len() == 1;
    let of = |base: Url| {
        let name = match is_one {
            true => purge.name.clone(),
            false => format!("{}@{}", purge.name, peers::name(&base)),
        };
        destination(from, at, kind, name, Purge { base, ..purge.clone() })
    };
    bases.into_iter().map(of).collect()
}

fn destination(from: &mut Reader, at: &At, kind: &Kind, name: String, purge: Purge) -> PeerConfig {
    let target = at.target;
    let (rate, burst) = target.plan.map_or(kind.limit, |Plan(rate, burst)| (rate, burst));
    let page_bytes_max = match &purge.dialect {
        Dialect::Refresh(refresh) => Some(refresh.page_bytes_max),
        _ => None,
    };
    PeerConfig {
        name,
        base: purge.base.clone(),
        rate_per_second: target.rate_per_second.map_or(rate, |rate| rate.0),
        burst: target.burst.map_or(burst, Int::to),
        // Nobody logs in there: each call carries its token.
        login: Login { credentials: None, means: LoginMethod::Bearer(Secret::default()) },
        network: mirrors::network(
            from,
            at.all,
            &at.key("ca_file"),
            &target.ca_file,
            page_bytes_max,
        ),
        class: DestinationClass::Target(Target::Purge(Arc::new(purge))),
        kind: None,
    }
}

/// The API of a CDN, and who may use it.
fn api(from: &mut Reader, at: &At, default: &str) -> Vec<Url> {
    if at.target.token.is_empty() {
        at.refuse(from, "token", "expected a token that may purge, here or in token_file");
    }
    match peers::base(at.target.api.as_ref().map_or(default, |api| api), false) {
        Ok(base) => vec![base],
        Err(_) => {
            at.refuse(from, "api", "expected an https:// URL, or one on loopback");
            vec![]
        }
    }
}

fn vercel(from: &mut Reader, at: &At) -> Dialect {
    let TargetKeys { project, team, .. } = at.target;
    let is_team = !team.is_empty();
    Dialect::Vercel(Vercel {
        project: at.id(from, "project", project),
        team: if is_team { at.id(from, "team", team) } else { String::new() },
    })
}

fn refresh(_: &mut Reader, at: &At) -> Dialect {
    let header = at.target.bypass_header.as_ref().map(|header| header.0.clone());
    Dialect::Refresh(Refresh {
        bypass_header: header.unwrap_or(HeaderName::from_static("x-refresh")),
        page_bytes_max: at.target.page_bytes_max.map_or(PAGE_BYTES_DEFAULT, Int::to),
    })
}

/// The caches themselves. Open-source Varnish speaks no TLS, so `http` is no exception here.
fn hosts(from: &mut Reader, at: &At) -> Vec<Url> {
    let mut bases: Vec<Url> = vec![];
    for text in &at.target.hosts {
        match peers::base(text, true) {
            Ok(_) if !text.contains("://") => {
                at.refuse(from, "hosts", "expected http:// or https:// before each host");
            }
            Ok(base) if base.path() != "/" => {
                at.refuse(from, "hosts", "expected hosts without a path");
            }
            Ok(base) if bases.contains(&base) => {}
            Ok(base) => bases.push(base),
            Err(expected) => at.refuse(from, "hosts", expected),
        }
    }
    if bases.is_empty() {
        at.refuse(from, "hosts", "expected at least one, such as http://127.0.0.1:6081");
    }
    let is_named = !at.target.sites.is_empty();
    if is_named && bases.iter().any(|base| base.scheme() == "https") {
        // Over HTTP/2 the name in the URL is the only one.
        at.refuse(from, "sites", "expected only beside http:// hosts");
    }
    bases
}

/// The sites in a cache, as origins.
fn sites(from: &mut Reader, at: &At) -> Vec<Url> {
    let mut sites = vec![];
    for text in &at.target.sites {
        match peers::base(text, true) {
            Ok(site) if site.path() == "/" => sites.push(site),
            Ok(_) => at.refuse(from, "sites", "expected origins, such as https://example.org"),
            Err(expected) => at.refuse(from, "sites", expected),
        }
    }
    from.refuse_many(&at.key("sites"), sites.len(), SITES_MAX, "sites");
    sites
}

/// The templates of tags, each with what makes two of them differ.
fn tag_names(from: &mut Reader, at: &At) -> TagNames {
    let mut template = |field: &str, given: &Option<String>, default: &str, needed: &str| {
        let text = given.as_deref().unwrap_or(default).to_owned();
        let is_unused = text.is_empty() && default.is_empty();
        if !is_unused && !text.contains(needed) {
            at.refuse(from, field, format!("expected a text with {needed} in it"));
        }
        text
    };
    let it = at.target;
    TagNames {
        type_tag: template("type_tag", &it.type_tag, "{type}", "{type}"),
        entity_tag: template("entity_tag", &it.entity_tag, "{type}:{id}", "{type}"),
        list_tag: template("list_tag", &it.list_tag, "", "{type}"),
        custom_tag: template("custom_tag", &it.custom_tag, "{tag}", "{tag}"),
        path_tag: template("path_tag", &it.path_tag, "", "{path}"),
        all_tag: template("all_tag", &it.all_tag, "", ""),
    }
}

fn http(at: &At) -> Dialect {
    let it = at.target;
    let or = |header: &Header, default: Option<&'static str>| match header {
        None => default.map(HeaderName::from_static),
        Some(header) => header.0.clone(),
    };
    Dialect::Http(Http {
        token_header: or(&it.token_header, None).unwrap_or(AUTHORIZATION),
        tag_header: or(&it.tag_header, Some("xkey-purge")),
        soft_tag_header: or(&it.soft_tag_header, None),
        soft_header: or(&it.soft_header, None),
        ban_header: or(&it.ban_header, Some("x-ban-url")),
        tag_separator: it.tag_separator.0.0,
        absent_status: it.absent_status.map(Int::to).filter(|status| *status != 0),
    })
}
