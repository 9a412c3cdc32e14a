//! Caches and CDNs that are asked to forget: `[purge]` and `[[purge.targets]]`.
//!
//! A target with several hosts becomes several destinations, so that each has a cursor, a limit and
//! retries of its own, and a dead one holds up none of the others. A field that means nothing for a
//! kind is refused: whoever wrote it expects something that would not happen.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use toml::{Table, Value};
use url::Url;

use super::fields::CACHE;
use super::reader::Reader;
use super::{bounds, logins, mirrors, peers};
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

/// Bytes of a page that is read through a cache.
const PAGE_BYTES: (i64, i64) = (1024, 1 << 30);
const PAGE_BYTES_DEFAULT: i64 = 16 << 20;

/// Fields that every kind has.
const SHARED: &[&str] =
    &["name", "kind", "token", "token_file", "ca_file", "rate_per_second", "burst", "timeout_ms"];

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
    /// Where its API is; without one it is told at `hosts`.
    api: Option<&'static str>,
    /// Requests a second, and at once.
    limit: (f64, u32),
    build: fn(&mut Reader, &Written) -> Dialect,
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
        build: http,
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
        limit: PLANS[0].1,
        build: |from, written| Dialect::Cloudflare(Cloudflare { zone: id(from, written, "zone") }),
    },
    Kind {
        word: "fastly",
        is_tagged: true,
        fields: &["api", "service"],
        api: Some("https://api.fastly.com/"),
        limit: (20.0, 100),
        build: |from, written| Dialect::Fastly(Fastly { service: id(from, written, "service") }),
    },
    Kind {
        word: "bunny",
        is_tagged: true,
        fields: &["api", "pull_zone"],
        api: Some("https://api.bunny.net/"),
        // What it allows for wildcards; single URLs might go ten times as fast.
        limit: (0.5, 20),
        build: |from, written| Dialect::Bunny(Bunny { pull_zone: id(from, written, "pull_zone") }),
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

/// What Cloudflare allows by plan, the smallest first: a second, and at once.
const PLANS: [(&str, (f64, u32)); 4] = [
    ("free", (5.0 / 60.0, 25)),
    ("pro", (5.0, 25)),
    ("business", (10.0, 50)),
    ("enterprise", (50.0, 500)),
];

/// One entry as it was written, and the name of its place.
struct Written<'a> {
    table: &'a Table,
    key: String,
}

impl Written<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.table.get(field).and_then(Value::as_str)
    }

    fn list(&self, field: &str) -> Vec<String> {
        let items = self.table.get(field).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn key(&self, field: &str) -> String {
        format!("{}.{field}", self.key)
    }

    fn refuse(&self, from: &mut Reader, field: &str, expected: impl Into<String>) {
        let unset = Value::String(String::new());
        let value = self.table.get(field).unwrap_or(&unset).clone();
        from.refuse_value(&self.key(field), &value, expected);
    }

    /// A header's name; `None` where it is written as empty.
    fn header(&self, from: &mut Reader, field: &str, default: &str) -> Option<HeaderName> {
        let text = self.text(field).unwrap_or(default);
        if text.is_empty() {
            return None;
        }
        let name = HeaderName::try_from(text).ok();
        if name.is_none() {
            self.refuse(from, field, "expected a header's name");
        }
        name
    }

    /// An integer within the range of a key, or of its own.
    fn count(&self, from: &mut Reader, field: &str, (min, max): (i64, i64)) -> Option<i64> {
        let given = self.table.get(field).and_then(Value::as_integer)?;
        if !(min..=max).contains(&given) {
            self.refuse(from, field, format!("expected an integer from {min} to {max}"));
        }
        Some(given.clamp(min, max))
    }
}

/// Adds every host of every target to the destinations.
pub(super) fn add_targets(from: &mut Reader, peers: &mut Vec<PeerConfig>) {
    let mut found = 0;
    for (index, table) in from.tables("purge.targets").iter().enumerate() {
        let written = Written { table, key: format!("purge.targets[{index}]") };
        for target in target(from, &written) {
            found += 1;
            if peers.iter().any(|peer| peer.name == target.name) {
                let expected = "another destination has the same name: give one of them another";
                written.refuse(from, "name", expected);
            }
            peers.push(target);
        }
    }
    if found > HOSTS_MAX {
        let found = Value::Integer(i64::try_from(found).unwrap_or(i64::MAX));
        from.refuse_value("purge.targets", &found, format!("expected at most {HOSTS_MAX} hosts"));
    }
}

/// The destinations of one entry.
fn target(from: &mut Reader, written: &Written) -> Vec<PeerConfig> {
    let word = written.text("kind").unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| kind.word == word) else {
        let words: Vec<_> = KINDS.iter().map(|kind| kind.word).collect();
        written.refuse(from, "kind", format!("expected {}", words.join(", ")));
        return vec![];
    };
    let is_known = |field: &&str| CACHE.iter().any(|(known, _)| known == field);
    // Others were refused when they were read.
    for field in written.table.keys().map(String::as_str).filter(is_known) {
        let is_tagging = kind.is_tagged && TAGGED.contains(&field);
        if !is_tagging && !SHARED.contains(&field) && !kind.fields.contains(&field) {
            written.refuse(from, field, format!("this means nothing for the kind {word}"));
        }
    }
    let name = written.text("name").unwrap_or_default().to_owned();
    if !super::sections::is_name(&name) {
        written.refuse(from, "name", "expected 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    let bases = match kind.api {
        None => hosts(from, written),
        Some(default) => api(from, written, default),
    };
    let purge = Purge {
        name,
        base: Url::parse("http://localhost/").expect("a fixed URL"),
        sites: sites(from, written),
        tag_names: tag_names(from, written),
        token: token(from, written),
        timeout: timeout(from, written),
        calls_max: calls_max(from, written),
        dialect: (kind.build)(from, written),
    };
    let is_one = bases.len() == 1;
    let of = |from: &mut Reader, base: Url| {
        let name = match is_one {
            true => purge.name.clone(),
            false => format!("{}@{}", purge.name, peers::name(&base)),
        };
        let purge = Arc::new(Purge { base: base.clone(), ..purge.clone() });
        destination(from, written, kind, name, base, Target::Purge(purge))
    };
    bases.into_iter().map(|base| of(from, base)).collect()
}

fn destination(
    from: &mut Reader,
    written: &Written,
    kind: &Kind,
    name: String,
    base: Url,
    target: Target,
) -> PeerConfig {
    let limit = limit(from, written, kind);
    let page_bytes_max = match &target {
        Target::Purge(purge) => match &purge.dialect {
            Dialect::Refresh(refresh) => Some(refresh.page_bytes_max),
            _ => None,
        },
        Target::Revalidate(_) => None,
    };
    let rate = written.table.get("rate_per_second").and_then(mirrors::as_float);
    let range = bounds::of("mirrors.burst").unwrap_or((1, i64::from(u32::MAX)));
    let burst = written.count(from, "burst", range).and_then(|burst| u32::try_from(burst).ok());
    let ca_file = written.text("ca_file").unwrap_or_default();
    PeerConfig {
        name,
        base,
        rate_per_second: match rate {
            Some(rate) => from.checked_rate(&written.key("rate_per_second"), rate),
            None => limit.0,
        },
        burst: burst.unwrap_or(limit.1),
        // Nobody logs in there: each call carries its token.
        login: Login { credentials: None, means: LoginMethod::Bearer(Secret::default()) },
        network: mirrors::network(from, &written.key("ca_file"), ca_file, page_bytes_max),
        class: DestinationClass::Target(target),
        kind: None,
    }
}

/// The limit where none is written.
fn limit(from: &mut Reader, written: &Written, kind: &Kind) -> (f64, u32) {
    let Some(plan) = written.text("plan") else { return kind.limit };
    let known = PLANS.iter().find(|(word, _)| *word == plan);
    if known.is_none() {
        written.refuse(from, "plan", "expected free, pro, business or enterprise");
    }
    known.map_or(kind.limit, |(_, limit)| *limit)
}

/// The API of a CDN, and who may use it.
fn api(from: &mut Reader, written: &Written, default: &str) -> Vec<Url> {
    if token(from, written).is_empty() {
        written.refuse(from, "token", "expected a token that may purge, here or in token_file");
    }
    match peers::base(written.text("api").unwrap_or(default), false) {
        Ok(base) => vec![base],
        Err(_) => {
            written.refuse(from, "api", "expected an https:// URL, or one on loopback");
            vec![]
        }
    }
}

/// The id of something at a CDN; it becomes part of a URL.
fn id(from: &mut Reader, written: &Written, field: &str) -> String {
    let text = written.text(field).unwrap_or_default();
    if !super::sections::is_name(text) {
        written.refuse(from, field, "expected its id: 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    text.to_owned()
}

fn vercel(from: &mut Reader, written: &Written) -> Dialect {
    let team = match written.text("team").unwrap_or_default() {
        "" => String::new(),
        _ => id(from, written, "team"),
    };
    Dialect::Vercel(Vercel { project: id(from, written, "project"), team })
}

fn refresh(from: &mut Reader, written: &Written) -> Dialect {
    let header = written.header(from, "bypass_header", "x-refresh");
    if header.is_none() {
        written.refuse(from, "bypass_header", "expected a header's name");
    }
    let bytes = written.count(from, "page_bytes_max", PAGE_BYTES).unwrap_or(PAGE_BYTES_DEFAULT);
    Dialect::Refresh(Refresh {
        bypass_header: header.unwrap_or(HeaderName::from_static("x-refresh")),
        page_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
    })
}

/// The caches themselves. Open-source Varnish speaks no TLS, so `http` is no exception here.
fn hosts(from: &mut Reader, written: &Written) -> Vec<Url> {
    let mut bases: Vec<Url> = vec![];
    for text in written.list("hosts") {
        match peers::base(&text, true) {
            Ok(_) if !text.contains("://") => {
                written.refuse(from, "hosts", "expected http:// or https:// before each host");
            }
            Ok(base) if base.path() != "/" => {
                written.refuse(from, "hosts", "expected hosts without a path");
            }
            Ok(base) if bases.contains(&base) => {}
            Ok(base) => bases.push(base),
            Err(expected) => written.refuse(from, "hosts", expected),
        }
    }
    if bases.is_empty() {
        written.refuse(from, "hosts", "expected at least one, such as http://127.0.0.1:6081");
    }
    let is_named = !written.list("sites").is_empty();
    if is_named && bases.iter().any(|base| base.scheme() == "https") {
        // Over HTTP/2 the name in the URL is the only one.
        written.refuse(from, "sites", "expected only beside http:// hosts");
    }
    bases
}

/// The sites in a cache, as origins.
fn sites(from: &mut Reader, written: &Written) -> Vec<Url> {
    let mut sites = vec![];
    for text in written.list("sites") {
        match peers::base(&text, true) {
            Ok(site) if site.path() == "/" => sites.push(site),
            Ok(_) => written.refuse(from, "sites", "expected origins, such as https://example.org"),
            Err(expected) => written.refuse(from, "sites", expected),
        }
    }
    if sites.len() > SITES_MAX {
        written.refuse(from, "sites", format!("expected at most {SITES_MAX} sites"));
    }
    sites
}

fn token(from: &mut Reader, written: &Written) -> Secret {
    let token = logins::secret(from, written.table, "token", &|field| written.key(field));
    if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        written.refuse(from, "token", "expected a token without blanks");
    }
    token
}

fn timeout(from: &mut Reader, written: &Written) -> Duration {
    let range = bounds::of("purge.timeout_ms").unwrap_or((1, 1));
    let own = written.count(from, "timeout_ms", range).and_then(|ms| u64::try_from(ms).ok());
    own.map_or_else(|| from.ms("purge.timeout_ms"), Duration::from_millis)
}

fn calls_max(from: &mut Reader, written: &Written) -> usize {
    let range = bounds::of("purge.calls_max").unwrap_or((1, 1));
    let own = written.count(from, "calls_max", range).and_then(|max| usize::try_from(max).ok());
    own.unwrap_or_else(|| from.count("purge.calls_max"))
}

/// The templates of tags, each with what makes two of them differ.
fn tag_names(from: &mut Reader, written: &Written) -> TagNames {
    let mut template = |field: &str, default: &str, needed: &str| {
        let text = written.text(field).unwrap_or(default).to_owned();
        let is_unused = text.is_empty() && default.is_empty();
        if !is_unused && !text.contains(needed) {
            written.refuse(from, field, format!("expected a text with {needed} in it"));
        }
        text
    };
    TagNames {
        type_tag: template("type_tag", "{type}", "{type}"),
        entity_tag: template("entity_tag", "{type}:{id}", "{type}"),
        list_tag: template("list_tag", "", "{type}"),
        custom_tag: template("custom_tag", "{tag}", "{tag}"),
        path_tag: template("path_tag", "", "{path}"),
        all_tag: template("all_tag", "", ""),
    }
}

fn http(from: &mut Reader, written: &Written) -> Dialect {
    let token_header = written.header(from, "token_header", "authorization");
    let separator = written.text("tag_separator").unwrap_or(" ");
    if ![" ", ","].contains(&separator) {
        written.refuse(from, "tag_separator", "expected a blank or a comma");
    }
    let absent = written.count(from, "absent_status", (0, 599)).filter(|status| *status != 0);
    Dialect::Http(Http {
        token_header: token_header.unwrap_or(reqwest::header::AUTHORIZATION),
        tag_header: written.header(from, "tag_header", "xkey-purge"),
        soft_tag_header: written.header(from, "soft_tag_header", ""),
        soft_header: written.header(from, "soft_header", ""),
        ban_header: written.header(from, "ban_header", "x-ban-url"),
        tag_separator: separator.chars().next().unwrap_or(' '),
        absent_status: absent.and_then(|status| u16::try_from(status).ok()),
    })
}
