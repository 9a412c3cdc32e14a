//! Frameworks that are asked to render pages anew: `[revalidate]`.
//!
//! The plain names that applications have set already make a target each; further ones are tables.
//! A site of which the URL or the secret is missing is no error: it is reported once, and nothing
//! else fails for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;
use url::Url;

use super::reader::Reader;
use super::sections::Sections;
use super::templates::{Item, Lists, type_name};
use super::types::*;
use super::{alerts, mask, peers};
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

/// Frameworks that are asked to render pages anew.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Section {
    url: Parsed<Address>,
    secret: Secret,
    form: Parsed<Spoken>,
    site: Parsed<Address>,
    token: Secret,
    allow_http: bool,
    rate_per_second: Rate,
    burst: Burst,
    timeout_ms: Timeout,
    targets: Vec<TargetKeys>,
    paths: Map<Vec<Item>>,
    tags: Map<Vec<Item>>,
    groups: Map<Vec<String>>,
    names: Map<String>,
}

/// A further target; what it leaves out is as in [revalidate].
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct TargetKeys {
    /// The route, or the site.
    url: Parsed<Address>,
    /// What operators call it; left out: its host.
    name: Parsed<Option<Name>>,
    /// What the route is sent: paths, tags and paths, or a name in its URL.
    form: Parsed<Spoken>,
    /// What it knows us by.
    secret: Secret,
    /// For the headers of Standard Webhooks.
    signing_secret: Secret,
    /// Signs too, while you rotate.
    signing_secret_previous: Secret,
    /// As [revalidate.paths], and instead of all of it.
    paths: Option<Map<Vec<Item>>>,
    /// As [revalidate.tags], and instead of all of it.
    tags: Option<Map<Vec<Item>>>,
    /// As [revalidate.names], and instead of all of it.
    names: Option<Map<String>>,
    /// all: every address behind the name, for sites of many replicas.
    resolve: Parsed<ForAll>,
    /// Calls a second.
    rate_per_second: Option<Rate>,
    /// Calls that may go at once after a pause.
    burst: Option<Burst>,
    /// One call, from connect to the last byte of the answer.
    timeout_ms: Option<Timeout>,
}

/// What a target is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Spoken {
    #[default]
    Paths,
    Tags,
    Names,
}

words!(
    Spoken,
    "expected nextjs, nextjs-tags or names",
    "" = Self::Paths,
    "nextjs" = Self::Paths,
    "nextjs-tags" = Self::Tags,
    "names" = Self::Names
);
two_words!(ForAll, "expected one or all", "one", "all");

/// A site that was to be revalidated, with its URL or its secret missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRevalidated {
    /// Its URL without secrets; empty where it is missing.
    pub url: String,
    /// Whether there is a secret.
    pub has_secret: bool,
}

/// One target, the section, and where the target's fields stand.
struct At<'a> {
    all: &'a Sections,
    rules: Option<&'a Rules>,
    /// `revalidate.targets[0].`, or `revalidate.`.
    prefix: String,
    /// The keys of its URL and of its secret.
    keys: [&'static str; 2],
    target: &'a TargetKeys,
}

/// All of them, and what to say where the plain names are set by half.
pub(super) fn targets(
    from: &mut Reader,
    all: &Sections,
    rules: &resolve::Config,
) -> (Vec<PeerConfig>, Option<NotRevalidated>) {
    let rules = Rules::new(rules).ok();
    let rules = rules.as_ref();
    let section = &all.revalidate;
    let mut made = Vec::new();
    for (index, target) in section.targets.iter().enumerate() {
        let prefix = format!("revalidate.targets[{index}].");
        if target.secret.is_empty() {
            from.refuse(&format!("{prefix}secret"), "expected the target's secret");
        }
        let keys = ["url", "secret"];
        made.extend(At { all, rules, prefix, keys, target }.destination(from));
    }
    if let Some(target) = &plain_site(from, section) {
        let (prefix, keys) = ("revalidate.".to_owned(), ["site", "token"]);
        made.extend(At { all, rules, prefix, keys, target }.destination(from));
    }
    let (target, missing) = plain_nextjs(from, all, made.is_empty());
    if let Some(target) = &target {
        let (prefix, keys) = ("revalidate.".to_owned(), ["url", "secret"]);
        made.extend(At { all, rules, prefix, keys, target }.destination(from));
    }
    from.refuse_many("revalidate.targets", made.len(), TARGETS_MAX, "targets");
    (made, missing)
}

fn plain(name: &str, url: &Parsed<Address>, secret: &Secret, form: Spoken) -> TargetKeys {
    TargetKeys {
        name: Parsed(Some(Name(name.to_owned()))),
        url: url.clone(),
        secret: secret.clone(),
        form: Parsed(form),
        ..TargetKeys::default()
    }
}

/// `NEXT_REVALIDATE_URL` with its secret.
fn plain_nextjs(
    from: &mut Reader,
    all: &Sections,
    is_alone: bool,
) -> (Option<TargetKeys>, Option<NotRevalidated>) {
    let Section { url, secret, form, paths, .. } = &all.revalidate;
    if !url.is_empty() && !secret.is_empty() {
        return (Some(plain("nextjs", url, secret, **form)), None);
    }
    // REVALIDATE_SECRET alone may be meant for callers of ours.
    let is_meant = !from.origin("revalidate.secret").contains(" REVALIDATE_SECRET");
    let has_secret = !secret.is_empty();
    let is_asked = !url.is_empty() || (has_secret && is_meant);
    let is_expected = is_alone && !paths.is_empty();
    if url.is_empty() && has_secret && is_meant && all.compat.revalidate_secret.is_empty() {
        from.warn(
            "NEXT_REVALIDATE_SECRET is what this instance sends to a site, and there is no \
             NEXT_REVALIDATE_URL to send it to; it does not accept calls (set REVALIDATE_SECRET to \
             accept POST /api/revalidate with it)",
        );
    }
    let missing = NotRevalidated { url: mask::url(url), has_secret };
    (None, (is_asked || is_expected).then_some(missing))
}

/// `NEXT_PUBLIC_SITE_URL` with its token, for the names that are configured.
fn plain_site(from: &mut Reader, section: &Section) -> Option<TargetKeys> {
    let Section { site: url, token: secret, targets, .. } = section;
    let has_names = targets.iter().any(|target| *target.form == Spoken::Names);
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
    Some(plain("web", url, secret, Spoken::Names))
}

impl At<'_> {
    fn destination(&self, from: &mut Reader) -> Option<PeerConfig> {
        let (section, target) = (&self.all.revalidate, self.target);
        let is_by_name = *target.form == Spoken::Names;
        let (base, url) = match places(&target.url, section.allow_http, is_by_name) {
            Ok(places) => places,
            Err(expected) => {
                from.refuse(&format!("{}{}", self.prefix, self.keys[0]), expected);
                return None;
            }
        };
        let name = target.name.0.clone().map_or_else(|| peers::name(&base), |name| name.0);
        let form = self.form(from);
        self.warn_of_gaps(from, &name, &form);
        self.warn_if_short(from);
        let secrets = given([&target.signing_secret, &target.signing_secret_previous]);
        let revalidate = Revalidate {
            url,
            secret: target.secret.clone(),
            form,
            timeout: *target.timeout_ms.unwrap_or(section.timeout_ms),
            is_for_all_addresses: target.resolve.0.0,
            signer: alerts::signer(from, &format!("{}signing_secret", self.prefix), secrets),
        };
        Some(PeerConfig {
            name,
            base,
            rate_per_second: target.rate_per_second.unwrap_or(section.rate_per_second).0,
            burst: target.burst.unwrap_or(section.burst).to(),
            // Nobody logs in there: the call itself carries what it needs.
            login: Login { credentials: None, means: LoginMethod::Bearer(Secret::default()) },
            network: None,
            class: DestinationClass::Target(Target::Revalidate(Arc::new(revalidate))),
            kind: None,
        })
    }

    /// Says what the form of a target cannot express.
    fn warn_of_gaps(&self, from: &mut Reader, name: &str, form: &RevalidateForm) {
        match form {
            RevalidateForm::Paths(templates) if *templates == NameTemplates::default() => {
                let key = format!("{}paths", self.prefix);
                from.warn(format!(
                    "{name} is called for paths and all only, never for types: no {key}"
                ));
            }
            RevalidateForm::Paths(_) => from.warn(format!(
                "{name} is told paths alone (form = \"nextjs\"): it is not called for tags, nor \
                 for a type without paths in the settings; its route must pass `type` on to \
                 revalidatePath, else all, prefixes and [patterns] refresh nothing there (form = \
                 \"nextjs-tags\" tells tags too: docs/REVALIDATE.md)"
            )),
            RevalidateForm::Names(_) => from.warn(format!(
                "{name} is called by name (form = \"names\"): paths, tags, and types without a \
                 name in the settings are not told to it"
            )),
            RevalidateForm::Tags { .. } => {}
        }
    }

    /// A secret that callers of ours send as well is warned about where it is accepted.
    fn warn_if_short(&self, from: &mut Reader) {
        let (compat, secret) = (&self.all.compat, &self.target.secret);
        let is_taken = [&compat.revalidate_secret, &compat.revalidate_token]
            .iter()
            .any(|accepted| ***accepted == *secret);
        if is_taken || !(1..SECRET_BYTES_ADVISED).contains(&secret.expose().len()) {
            return;
        }
        from.warn(format!(
            "{}{} is shorter than {SECRET_BYTES_ADVISED} bytes and may be guessed at the site \
             (set another on both sides: cache-mirror secret generate)",
            self.prefix, self.keys[1]
        ));
    }

    fn form(&self, from: &mut Reader) -> RevalidateForm {
        let (section, target) = (&self.all.revalidate, self.target);
        let read = |from: &mut Reader, name: &str, own: &Option<_>, common| {
            let prefix = if own.is_some() { &self.prefix } else { "revalidate." };
            let lists = Lists {
                key: &format!("{prefix}{name}"),
                is_path: name == "paths",
                groups: &section.groups,
                rules: self.rules,
            };
            lists.read(from, own.as_ref().unwrap_or(common))
        };
        match *target.form {
            Spoken::Paths => {
                RevalidateForm::Paths(read(from, "paths", &target.paths, &section.paths))
            }
            Spoken::Tags => {
                let of_others = ["{type}", "{type}:{id}"].map(|text| {
                    NameTemplate::parse(text).expect("both are templates, as a test shows")
                });
                let tags = read(from, "tags", &target.tags, &section.tags);
                let paths = read(from, "paths", &target.paths, &section.paths);
                RevalidateForm::Tags {
                    tags: NameTemplates { of_others: of_others.to_vec(), ..tags },
                    paths,
                }
            }
            Spoken::Names => RevalidateForm::Names(self.names(from)),
        }
    }

    /// Types by the names that they have there.
    fn names(&self, from: &mut Reader) -> BTreeMap<TypeName, String> {
        let own = self.target.names.as_ref();
        let prefix = if own.is_some() { &self.prefix } else { "revalidate." };
        let mut names = BTreeMap::new();
        for (name, called) in own.unwrap_or(&self.all.revalidate.names) {
            let type_name = type_name(name, self.rules);
            let expected = match (type_name, Name::is_valid(called)) {
                (Ok(name), true) => {
                    names.insert(name, called.clone());
                    continue;
                }
                (Err(expected), _) => expected,
                (_, false) => "expected a name of 1 to 64 of A-Z a-z 0-9 _ . -".to_owned(),
            };
            let value = Value::String(called.clone());
            from.refuse_value(&format!("{prefix}names.{name}"), &value, expected);
        }
        names
    }
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
