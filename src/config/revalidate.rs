//! Frameworks beside this instance that are asked to render pages anew: `[revalidate]`.
//!
//! The plain names that applications have set already make a target each; further ones are tables.
//! A site that is known by half is no error: it is said once, and nothing else fails for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::{Table, Value};
use url::Url;

use super::reader::Reader;
use super::templates::{Writings, type_name};
use super::{bounds, mask, mirrors, peers, sections};
use crate::deliver::Signer;
use crate::deliver::targets::template::{NameTemplate, NameTemplates};
use crate::deliver::targets::{Revalidate, RevalidateForm, Target, revalidate};
use crate::deliver::{DestinationClass, Login, LoginMethod, PeerConfig};
use crate::domain::TypeName;
use crate::resolve::{self, Rules};
use crate::support::Secret;

/// Each has a worker, a connection and a cursor.
const TARGETS_MAX: usize = 50;

/// What `openssl rand -base64 32` gives, as the guides of such sites ask.
const SECRET_BYTES_ADVISED: usize = 44;

/// A site that was to be revalidated, with its URL or its secret missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRevalidated {
    /// Its URL without secrets; empty where it is missing.
    pub url: String,
    /// Whether there is a secret.
    pub has_secret: bool,
}

/// What targets have in common.
struct Section {
    paths: BTreeMap<String, Value>,
    tags: BTreeMap<String, Value>,
    names: BTreeMap<String, Value>,
    groups: BTreeMap<String, Vec<String>>,
    rules: Option<Rules>,
}

/// A target as it is written.
struct Written<'a> {
    /// `revalidate.targets[0].`, or `revalidate.`.
    prefix: String,
    table: &'a Table,
    name: String,
    url: String,
    secret: Secret,
    form: &'a str,
}

/// All of them, and what to say where the plain names are set by half.
pub(super) fn targets(
    from: &mut Reader,
    rules: &resolve::Config,
) -> (Vec<PeerConfig>, Option<NotRevalidated>) {
    let section = Section {
        paths: from.entries("revalidate.paths"),
        tags: from.entries("revalidate.tags"),
        names: from.entries("revalidate.names"),
        groups: groups(from),
        rules: Rules::new(rules).ok(),
    };
    let mut made = Vec::new();
    let tables = from.tables("revalidate.targets");
    for (index, table) in tables.iter().enumerate() {
        let prefix = format!("revalidate.targets[{index}].");
        let written = written(from, prefix, table);
        made.extend(target(from, &section, &written));
    }
    let has_names = tables.iter().any(|table| text(table, "form") == "names");
    made.extend(plain_site(from, &section, has_names));
    let (nextjs, missing) = plain_nextjs(from, &section, made.is_empty());
    made.extend(nextjs);
    if made.len() > TARGETS_MAX {
        let found = Value::Integer(i64::try_from(made.len()).unwrap_or(i64::MAX));
        let expected = format!("expected at most {TARGETS_MAX} targets");
        from.refuse_value("revalidate.targets", &found, expected);
    }
    (made, missing)
}

fn groups(from: &Reader) -> BTreeMap<String, Vec<String>> {
    let texts = |value: Value| {
        let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        items.map(str::to_owned).collect()
    };
    from.entries("revalidate.groups").into_iter().map(|(name, it)| (name, texts(it))).collect()
}

fn text<'a>(table: &'a Table, field: &str) -> &'a str {
    table.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn written<'a>(from: &mut Reader, prefix: String, table: &'a Table) -> Written<'a> {
    let secret = secret(from, &prefix, table, "secret");
    if secret.is_empty() {
        let unset = Value::String(String::new());
        from.refuse_value(&format!("{prefix}secret"), &unset, "expected the target's secret");
    }
    let name = text(table, "name").to_owned();
    Written {
        table,
        name,
        url: text(table, "url").into(),
        secret,
        form: text(table, "form"),
        prefix,
    }
}

/// A secret of a target's, or that in the file which its `_file` names.
fn secret(from: &mut Reader, prefix: &str, table: &Table, field: &str) -> Secret {
    let file = format!("{field}_file");
    match (text(table, field), text(table, &file)) {
        ("", "") => Secret::default(),
        ("", path) => from.secret_file(&format!("{prefix}{file}"), path),
        (given, "") => Secret::new(given),
        (_, path) => {
            let given = Value::String(path.to_owned());
            from.refuse_value(
                &format!("{prefix}{file}"),
                &given,
                format!("{field} is set as well"),
            );
            Secret::default()
        }
    }
}

/// `NEXT_REVALIDATE_URL` with its secret.
fn plain_nextjs(
    from: &mut Reader,
    section: &Section,
    is_alone: bool,
) -> (Option<PeerConfig>, Option<NotRevalidated>) {
    let (url, secret) = (from.text("revalidate.url"), from.secret("revalidate.secret"));
    if !url.is_empty() && !secret.is_empty() {
        let (prefix, name) = ("revalidate.".to_owned(), "nextjs".to_owned());
        let table = &Table::new();
        let form = from.text("revalidate.form");
        let written = Written { prefix, table, name, url, secret, form: &form };
        return (target(from, section, &written), None);
    }
    // REVALIDATE_SECRET alone may be meant for callers of ours.
    let is_meant = !from.origin("revalidate.secret").contains(" REVALIDATE_SECRET");
    let is_asked = !url.is_empty() || (!secret.is_empty() && is_meant);
    let is_expected = is_alone && !section.paths.is_empty();
    let has_secret = !secret.is_empty();
    if url.is_empty() && has_secret && is_meant && from.text("compat.revalidate_secret").is_empty()
    {
        from.warn(
            "NEXT_REVALIDATE_SECRET is what this instance sends to a site, and there is no \
             NEXT_REVALIDATE_URL to send it to; it does not accept calls (set REVALIDATE_SECRET to \
             accept POST /api/revalidate with it)",
        );
    }
    let missing = NotRevalidated { url: mask::url(&url), has_secret };
    (None, (is_asked || is_expected).then_some(missing))
}

/// `NEXT_PUBLIC_SITE_URL` with its token, for the names that are configured.
fn plain_site(from: &mut Reader, section: &Section, has_names: bool) -> Option<PeerConfig> {
    let (url, secret) = (from.text("revalidate.site"), from.secret("revalidate.token"));
    if section.names.is_empty() || (has_names && url.is_empty()) {
        return None;
    }
    for (is_missing, name) in
        [(secret.is_empty(), "REVALIDATE_SECRET_TOKEN"), (url.is_empty(), "NEXT_PUBLIC_SITE_URL")]
    {
        if is_missing {
            from.warn(format!("{name} not set, skipping web cache invalidation"));
            return None;
        }
    }
    let table = &Table::new();
    let (prefix, name) = ("revalidate.".to_owned(), "web".to_owned());
    target(from, section, &Written { prefix, table, name, url, secret, form: "names" })
}

fn target(from: &mut Reader, section: &Section, it: &Written<'_>) -> Option<PeerConfig> {
    let key = |field: &str| format!("{}{field}", it.prefix);
    let url_key = key(if it.name == "web" && it.table.is_empty() { "site" } else { "url" });
    let (base, url) = match places(&it.url, from.flag("revalidate.allow_http"), it.form == "names")
    {
        Ok(places) => places,
        Err(expected) => {
            from.refuse_value(&url_key, &Value::String(it.url.clone()), expected);
            return None;
        }
    };
    let name = if it.name.is_empty() { peers::name(&base) } else { it.name.clone() };
    if !it.name.is_empty() && !sections::is_name(&name) {
        let given = Value::String(name.clone());
        from.refuse_value(&key("name"), &given, "expected 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    let form = form(from, section, it)?;
    warn_of_gaps(from, it, &name, &form);
    warn_if_short(from, it);
    let revalidate = Revalidate {
        url,
        secret: it.secret.clone(),
        form,
        timeout: Duration::from_millis(number(from, it, "timeout_ms")),
        is_for_all_addresses: is_for_all(from, it),
        signer: signer(from, it),
    };
    let rate_per_second = match it.table.get("rate_per_second").and_then(mirrors::as_float) {
        Some(rate) => from.checked_rate(&key("rate_per_second"), rate),
        None => from.float("revalidate.rate_per_second"),
    };
    Some(PeerConfig {
        name,
        base,
        rate_per_second,
        burst: u32::try_from(number(from, it, "burst")).unwrap_or(1),
        // Nobody logs in there: the call itself carries what it needs.
        login: Login { credentials: None, means: LoginMethod::Bearer(Secret::default()) },
        network: None,
        class: DestinationClass::Target(Target::Revalidate(Arc::new(revalidate))),
        kind: None,
    })
}

/// Says what the form of a target has no words for.
fn warn_of_gaps(from: &mut Reader, it: &Written<'_>, name: &str, form: &RevalidateForm) {
    match form {
        RevalidateForm::Paths(templates) if *templates == NameTemplates::default() => {
            let key = format!("{}paths", it.prefix);
            from.warn(format!(
                "{name} is called for paths and all only, never for types: no {key}"
            ));
        }
        RevalidateForm::Paths(_) => from.warn(format!(
            "{name} is told paths alone (form = \"nextjs\"): it is not called for tags, nor for a \
             type without paths in the settings; its route must pass `type` on to revalidatePath, \
             else all, prefixes and [patterns] refresh nothing there (form = \"nextjs-tags\" tells \
             tags too: docs/REVALIDATE.md)"
        )),
        RevalidateForm::Names(_) => from.warn(format!(
            "{name} is called by name (form = \"names\"): paths, tags, and types without a name in \
             the settings are not told to it"
        )),
        RevalidateForm::Tags { .. } => {}
    }
}

/// A secret that callers of ours send as well is warned about where it is taken.
fn warn_if_short(from: &mut Reader, it: &Written<'_>) {
    let is_taken = ["compat.revalidate_secret", "compat.revalidate_token"]
        .iter()
        .any(|key| from.secret(key) == it.secret);
    let length = it.secret.expose().len();
    if is_taken || !(1..SECRET_BYTES_ADVISED).contains(&length) {
        return;
    }
    let field = if it.table.is_empty() && it.name == "web" { "token" } else { "secret" };
    from.warn(format!(
        "{}{field} is shorter than {SECRET_BYTES_ADVISED} bytes and may be guessed at the site \
         (set another on both sides: cache-mirror secret generate)",
        it.prefix
    ));
}

/// Where the site is asked who it is, and what is called there.
fn places(text: &str, allow_http: bool, is_by_name: bool) -> Result<(Url, Url), String> {
    let whole =
        peers::base(text, allow_http).map_err(|it| it.replace("mirrors.", "revalidate."))?;
    let path = match whole.path() {
        "/" => revalidate::PATH.to_owned(),
        path if is_by_name && !path.trim_end_matches('/').ends_with(revalidate::PATH) => {
            format!("{}{}", path.trim_end_matches('/'), revalidate::PATH)
        }
        path if text.ends_with('/') => path.to_owned(),
        path => path.trim_end_matches('/').to_owned(),
    };
    let (mut base, mut url) = (whole.clone(), whole);
    let root = path.trim_end_matches('/').strip_suffix(revalidate::PATH).unwrap_or_default();
    base.set_path(&format!("{root}/"));
    url.set_path(&path);
    Ok((base, url))
}

fn form(from: &mut Reader, section: &Section, it: &Written<'_>) -> Option<RevalidateForm> {
    let own = |field: &str| it.table.get(field).and_then(Value::as_table).map(as_map);
    let read = |from: &mut Reader, field: &'static str, common: &BTreeMap<String, Value>| {
        let (entries, key) = match own(field) {
            Some(entries) => (entries, format!("{}{field}", it.prefix)),
            None => (common.clone(), format!("revalidate.{field}")),
        };
        let member = if field == "paths" { "path" } else { "tag" };
        let (groups, rules) = (&section.groups, section.rules.as_ref());
        Writings { key: &key, member, groups, rules }.read(from, &entries)
    };
    Some(match it.form {
        "" | "nextjs" => RevalidateForm::Paths(read(from, "paths", &section.paths)),
        "nextjs-tags" => {
            let of_others = ["{type}", "{type}:{id}"].map(|text| {
                NameTemplate::parse(text).expect("both are templates, as a test shows")
            });
            let tags = read(from, "tags", &section.tags);
            let paths = read(from, "paths", &section.paths);
            RevalidateForm::Tags {
                tags: NameTemplates { of_others: of_others.to_vec(), ..tags },
                paths,
            }
        }
        "names" => RevalidateForm::Names(names(from, section, it, own("names"))),
        other => {
            let expected = "expected nextjs, nextjs-tags or names";
            let given = Value::String(other.into());
            from.refuse_value(&format!("{}form", it.prefix), &given, expected);
            return None;
        }
    })
}

fn as_map(table: &Table) -> BTreeMap<String, Value> {
    table.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Types by the names that they have there.
fn names(
    from: &mut Reader,
    section: &Section,
    it: &Written<'_>,
    own: Option<BTreeMap<String, Value>>,
) -> BTreeMap<TypeName, String> {
    let prefix = if own.is_some() { it.prefix.as_str() } else { "revalidate." };
    let mut names = BTreeMap::new();
    for (name, value) in own.unwrap_or_else(|| section.names.clone()) {
        let called = value.as_str().unwrap_or_default();
        let type_name = type_name(&name, section.rules.as_ref());
        match (type_name, sections::is_name(called)) {
            (Ok(name), true) => drop(names.insert(name, called.to_owned())),
            (Err(expected), _) => {
                from.refuse_value(&format!("{prefix}names.{name}"), &value, expected);
            }
            (_, false) => {
                let expected = "expected a name of 1 to 64 of A-Z a-z 0-9 _ . -";
                from.refuse_value(&format!("{prefix}names.{name}"), &value, expected);
            }
        }
    }
    names
}

/// A number of the target's own within its range, or the common one.
fn number(from: &mut Reader, it: &Written<'_>, field: &str) -> u64 {
    let common = format!("revalidate.{field}");
    let Some(given) = it.table.get(field).and_then(Value::as_integer) else {
        return from.count(&common);
    };
    let (min, max) = bounds::of(&common).unwrap_or((1, i64::MAX));
    if !(min..=max).contains(&given) {
        let expected = format!("expected an integer from {min} to {max}");
        from.refuse_value(&format!("{}{field}", it.prefix), &Value::Integer(given), expected);
    }
    u64::try_from(given).unwrap_or(1)
}

fn is_for_all(from: &mut Reader, it: &Written<'_>) -> bool {
    match text(it.table, "resolve") {
        "" | "one" => false,
        "all" => true,
        other => {
            let given = Value::String(other.to_owned());
            from.refuse_value(&format!("{}resolve", it.prefix), &given, "expected one or all");
            false
        }
    }
}

fn signer(from: &mut Reader, it: &Written<'_>) -> Option<Signer> {
    let fields = ["signing_secret", "signing_secret_previous"];
    let secrets = fields.map(|field| secret(from, &it.prefix, it.table, field));
    let secrets: Vec<Secret> = secrets.into_iter().filter(|it| !it.is_empty()).collect();
    if secrets.is_empty() {
        return None;
    }
    let signer = Signer::new(secrets);
    if let Err(expected) = &signer {
        let masked = Value::String("***".into());
        from.refuse_value(&format!("{}signing_secret", it.prefix), &masked, *expected);
    }
    signer.ok()
}
