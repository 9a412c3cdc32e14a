//! `[[ingest.hooks]]`: which webhooks are accepted, how they are authenticated, and what they
//! clear.
//!
//! A preset is the same table, filled in for one sender and embedded; what the user writes lies
//! over it, field by field. Everything that a delivery would stumble over is refused here.

use hyper::header::{AUTHORIZATION, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Table, Value};

use super::mapping;
use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use crate::ingest::webhook::{
    Config, Content, Encoding, Form, Hmac, Hook, JsonPath, KeyForm, Scheme, Timestamp, TimestampAt,
    WebhookTemplate,
};
use crate::support::Secret;

const PRESETS: &[(&str, &str)] = &[
    ("cloudevents", include_str!("../../config/webhooks/cloudevents.toml")),
    ("contentful", include_str!("../../config/webhooks/contentful.toml")),
    ("github", include_str!("../../config/webhooks/github.toml")),
    ("sanity", include_str!("../../config/webhooks/sanity.toml")),
    ("shopify", include_str!("../../config/webhooks/shopify.toml")),
    ("standard-webhooks", include_str!("../../config/webhooks/standard-webhooks.toml")),
    ("strapi", include_str!("../../config/webhooks/strapi.toml")),
    ("supabase", include_str!("../../config/webhooks/supabase.toml")),
];

/// Secrets that senders make up themselves are longer; a shorter one is a person's, and may be
/// guessed. Some senders allow no more, so that it is a warning only.
const SECRET_BYTES_ADVISED: usize = 16;

/// Webhooks of other systems.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Ingest {
    delivery_ids_max: Int<0, MANY>,
    hooks: Vec<Entry>,
}

/// A webhook, accepted at POST /api/hooks/NAME: docs/WEBHOOKS.md.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Entry {
    /// Its name in the URL.
    name: Parsed<Option<Name>>,
    /// The sender, which fills in what is not given.
    preset: String,
    /// What the sender knows us by.
    secret: Secret,
    /// Also accepted, while you rotate.
    secret_previous: Secret,
    /// Of what form deliveries are.
    form: Parsed<CloudEvents>,
    /// Where the events are in a delivery.
    events: Parsed<Option<JsonPath>>,
    /// The id of a delivery, as a template.
    delivery: Parsed<Option<WebhookTemplate>>,
    /// How deliveries are authenticated.
    auth: Auth,
    /// What they mean.
    mapping: mapping::Keys,
}

/// How deliveries are authenticated.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Auth {
    /// The secret itself, or a signature made with it.
    scheme: Parsed<IsHmac>,
    /// The header with the secret or the signature.
    header: Parsed<Option<HeaderName>>,
    /// Between several signatures.
    separator: Parsed<Option<OneChar>>,
    /// Before each signature.
    prefix: String,
    /// How the signature is spelt.
    encoding: Parsed<Option<Encoding>>,
    /// How the secret spells the key.
    key: Parsed<Option<KeyForm>>,
    /// What is signed, as a template; left out: the body.
    content: Parsed<Option<Content>>,
    /// The header with the time of the delivery.
    timestamp_header: Parsed<Option<HeaderName>>,
    /// What the time begins with, where it stands among the signatures.
    timestamp_prefix: String,
    /// The unit of the time.
    timestamp_unit: Parsed<IsMs>,
    /// How far the time may be from ours.
    tolerance_s: Option<Seconds<1, DAY_S>>,
    /// The header that names the headers that are signed.
    signed_headers: Parsed<Option<HeaderName>>,
    /// The path that the sender signs, where a proxy changes it.
    path: String,
}

two_words!(CloudEvents, "expected json or cloudevents", "json", "cloudevents");
two_words!(IsHmac, "expected secret or hmac", "secret", "hmac");
two_words!(IsMs, "expected s or ms", "s", "ms");
words!(
    Encoding,
    "expected hex or base64 or base64url",
    "hex" = Self::Hex,
    "base64" = Self::Base64,
    "base64url" = Self::Base64Url
);
words!(KeyForm, "expected text or base64", "text" = Self::Text, "base64" = Self::Base64);

#[derive(Debug, Clone, Copy)]
struct OneChar(char);

impl Text for OneChar {
    fn parse(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        let one = chars.next().filter(|_| chars.next().is_none());
        one.map(Self).ok_or_else(|| "expected one character".to_owned())
    }
}

impl Text for Content {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// Lays each hook over its preset.
pub(super) fn lay_over_presets(root: &mut Value) {
    let hooks = root.get_mut("ingest").and_then(|ingest| ingest.get_mut("hooks"));
    for hook in hooks.and_then(Value::as_array_mut).into_iter().flatten() {
        let preset = hook.get("preset").and_then(Value::as_str).unwrap_or_default();
        if let (Some((_, text)), Some(own)) = (preset_of(preset), hook.as_table()) {
            let mut merged: Table =
                text.parse().expect("the embedded presets are TOML, as a test shows");
            lay_over(&mut merged, own);
            *hook = Value::Table(merged);
        }
    }
}

fn preset_of(name: &str) -> Option<&'static (&'static str, &'static str)> {
    PRESETS.iter().find(|(preset, _)| *preset == name)
}

/// Tables field by field, everything else whole.
fn lay_over(below: &mut Table, above: &Table) {
    for (name, value) in above {
        match (below.get_mut(name), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            _ => drop(below.insert(name.clone(), value.clone())),
        }
    }
}

fn unknown_preset(name: &str) -> String {
    let known: Vec<&str> = PRESETS.iter().map(|(preset, _)| *preset).collect();
    let distance = |preset: &&&str| strsim::osa_distance(preset, name);
    let nearest = known.iter().min_by_key(distance).filter(|it| distance(it) <= 4);
    let hint = nearest.map(|it| format!("; did you mean {it}")).unwrap_or_default();
    format!("unknown preset{hint}; known: {}", known.join(", "))
}

/// One hook, and its place.
pub(super) struct At<'a> {
    pub(super) from: &'a mut Reader,
    index: usize,
}

impl At<'_> {
    pub(super) fn key(&self, field: &str) -> String {
        format!("ingest.hooks[{}].{field}", self.index)
    }

    pub(super) fn refuse(&mut self, field: &str, expected: impl Into<String>) {
        let key = self.key(field);
        self.from.refuse(&key, expected);
    }
}

/// The webhooks.
pub(super) fn ingest(from: &mut Reader, all: &Sections) -> Config {
    let entries = &all.ingest.hooks;
    let mut hooks: Vec<Hook> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = &mut At { from, index };
        if !entry.preset.is_empty() && preset_of(&entry.preset).is_none() {
            at.refuse("preset", unknown_preset(&entry.preset));
            continue;
        }
        let name = entry.name.0.clone().map(|name| name.0).unwrap_or_default();
        if name.is_empty() {
            at.refuse("name", Name::EXPECTED);
        } else if hooks.iter().any(|hook| hook.name == name) {
            at.refuse("name", "given twice");
        }
        hooks.extend(hook(at, entry, name));
    }
    Config { hooks, ids_max: all.ingest.delivery_ids_max.to() }
}

fn hook(at: &mut At, entry: &Entry, name: String) -> Option<Hook> {
    let scheme = scheme(at, &entry.auth);
    let secrets = secrets(at, entry, scheme.as_ref());
    let form = match entry.form.0.0 {
        true => Form::CloudEvents,
        false => Form::Json(entry.events.0.clone()),
    };
    let delivery = entry.delivery.0.clone();
    let mapping = mapping::build(at, &entry.mapping);
    Some(Hook { name, scheme: scheme?, secrets, form, delivery, mapping })
}

fn secrets(at: &mut At, entry: &Entry, scheme: Option<&Scheme>) -> Vec<Secret> {
    if entry.secret.is_empty() {
        at.refuse("secret", "expected a secret that the sender knows, or secret_file");
    }
    for (field, secret) in [("secret", &entry.secret), ("secret_previous", &entry.secret_previous)]
    {
        if secret.is_empty() {
            continue;
        }
        if let Some(Scheme::Hmac(hmac)) = scheme
            && hmac.key.key(secret).is_none()
        {
            at.refuse(field, "expected base64, perhaps behind whsec_");
        } else if secret.expose().len() < SECRET_BYTES_ADVISED {
            let key = at.key(field);
            at.from.warn(format!(
                "{key} is shorter than {SECRET_BYTES_ADVISED} bytes and may be guessed (make one: \
                 cache-mirror secret generate --bytes 48)"
            ));
        }
    }
    given([&entry.secret, &entry.secret_previous])
}

fn scheme(at: &mut At, auth: &Auth) -> Option<Scheme> {
    if !auth.scheme.0.0 {
        refuse_tolerance(at);
        return Some(Scheme::Secret(auth.header.0.clone().unwrap_or(AUTHORIZATION)));
    }
    if auth.header.is_none() {
        at.refuse("auth.header", "expected the header that the signature stands in");
    }
    let content = auth.content.0.clone().or_else(|| Content::parse("{body}").ok())?;
    let timestamp = timestamp(at, auth, &content);
    if content.has_headers() != auth.signed_headers.is_some() {
        at.refuse("auth.signed_headers", "belongs together with {headers} in auth.content");
    }
    Some(Scheme::Hmac(Box::new(Hmac {
        header: auth.header.0.clone()?,
        separator: auth.separator.map(|it| it.0),
        prefix: auth.prefix.clone(),
        encoding: auth.encoding.unwrap_or(Encoding::Hex),
        key: auth.key.unwrap_or(KeyForm::Text),
        content,
        timestamp,
        signed_headers: auth.signed_headers.0.clone(),
        path: Some(auth.path.clone()).filter(|path| !path.is_empty()),
    })))
}

/// Without a signed time a tolerance has no effect, so one in the settings is refused; that of a
/// preset is ignored.
fn refuse_tolerance(at: &mut At) {
    let field = "auth.tolerance_s";
    if at.from.is_given(&at.key(field)) {
        let expected = "needs auth.timestamp_header or auth.timestamp_prefix, with scheme hmac";
        at.refuse(field, expected);
    }
}

fn timestamp(at: &mut At, auth: &Auth, content: &Content) -> Option<Timestamp> {
    let header = auth.timestamp_header.0.clone().map(TimestampAt::Header);
    let prefix = Some(auth.timestamp_prefix.clone()).filter(|prefix| !prefix.is_empty());
    if header.is_some() && prefix.is_some() {
        at.refuse("auth.timestamp_prefix", "auth.timestamp_header is set as well");
    }
    let place = header.or(prefix.map(TimestampAt::WithSignature));
    if place.is_none() {
        refuse_tolerance(at);
    }
    if place.is_some() != content.has_timestamp() {
        at.refuse(
            "auth.content",
            "expected {timestamp} or {headers} in it, and auth.timestamp_header or \
             auth.timestamp_prefix, or none of them: a timestamp counts where it is signed",
        );
    }
    let tolerance = auth.tolerance_s.map_or(std::time::Duration::from_secs(300), |it| *it);
    place.map(|at| Timestamp { at, is_ms: auth.timestamp_unit.0.0, tolerance })
}

/// Names and texts of the presets.
#[cfg(test)]
pub(super) fn presets() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    PRESETS.iter()
}
