//! `[[ingest.hooks]]`: which webhooks are taken, how they are told from forgeries, what they mean.
//!
//! A preset is the same table, filled in for one sender and embedded; what the user writes lies
//! over it, field by field. Everything that a delivery would stumble over is refused here.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::header::HeaderName;
use toml::{Table, Value};

use super::reader::Reader;
use super::sections::is_name;
use super::{logins, mapping};
use crate::ingest::webhook::{
    Config, Content, Encoding, Form, Hmac, Hook, JsonPath, KeyForm, Mapping, Scheme, Timestamp,
    TimestampAt, WebhookTemplate,
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

/// Longest tolerance of a timestamp.
const TOLERANCE_S_MAX: i64 = 86_400;

/// Secrets that senders make up themselves are longer; a shorter one is a person's, and may be
/// guessed. Some senders allow no more, so that it is a warning only.
const SECRET_BYTES_ADVISED: usize = 16;

/// One hook as it was written, over its preset.
pub(super) struct Written<'a> {
    from: &'a mut Reader,
    prefix: String,
    table: Table,
    /// What the user wrote of it, without the preset.
    own: Table,
}

impl Written<'_> {
    /// What stands at a dotted key.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        let mut names = key.split('.');
        let first = self.table.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }

    /// A string; empty where unset.
    pub(super) fn text(&self, key: &str) -> String {
        self.value(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A list of strings.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let items = self.value(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A map of strings.
    pub(super) fn map(&self, key: &str) -> BTreeMap<String, String> {
        let table = self.value(key).and_then(Value::as_table).into_iter().flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        table.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
    }

    /// Says that a value cannot be used.
    pub(super) fn refuse(&mut self, key: &str, expected: impl Into<String>) {
        let unset = Value::String(String::new());
        let value = self.value(key).cloned().unwrap_or(unset);
        self.from.refuse_value(&format!("{}.{key}", self.prefix), &value, expected);
    }

    /// One of some words; the first where nothing is written.
    pub(super) fn word<T: Copy>(&mut self, key: &str, known: &[(&str, T)]) -> T {
        let text = self.text(key);
        let found = known.iter().find(|(word, _)| *word == text || text.is_empty());
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            self.refuse(key, format!("expected {}", words.join(" or ")));
        }
        found.unwrap_or(&known[0]).1
    }

    /// What a text is read as, where it is given.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = Some(self.text(key)).filter(|text| !text.is_empty())?;
        parse(&text).map_err(|problem| self.refuse(key, problem)).ok()
    }

    fn header(&mut self, key: &str) -> Option<HeaderName> {
        let parse = |text: &str| HeaderName::try_from(text);
        self.parsed(key, |text| parse(text).map_err(|_| "expected a header's name".to_owned()))
    }
}

/// The webhooks.
pub(super) fn ingest(from: &mut Reader) -> Config {
    let mut hooks: Vec<Hook> = Vec::new();
    for (index, table) in from.tables("ingest.hooks").iter().enumerate() {
        let prefix = format!("ingest.hooks[{index}]");
        let own = table.clone();
        let Some(table) = over_preset(from, &prefix, table) else { continue };
        let mut written = Written { from, prefix, table, own };
        let name = written.text("name");
        if !is_name(&name) {
            written.refuse("name", "expected 1 to 64 of A-Z a-z 0-9 _ . -");
        } else if hooks.iter().any(|hook| hook.name == name) {
            written.refuse("name", "given twice");
        }
        hooks.extend(hook(&mut written, name));
    }
    Config { hooks, ids_max: from.count("ingest.delivery_ids_max") }
}

/// A hook's table over that of its preset; `None` where there is no such preset.
fn over_preset(from: &mut Reader, prefix: &str, table: &Table) -> Option<Table> {
    let name = table.get("preset").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Some(table.clone());
    }
    let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
        let expected = unknown_preset(name);
        from.refuse_value(&format!("{prefix}.preset"), &Value::String(name.into()), expected);
        return None;
    };
    let mut merged: Table = text.parse().expect("the embedded presets are TOML, as a test shows");
    lay_over(&mut merged, table);
    Some(merged)
}

fn unknown_preset(name: &str) -> String {
    let known: Vec<&str> = PRESETS.iter().map(|(preset, _)| *preset).collect();
    let distance = |preset: &&&str| strsim::osa_distance(preset, name);
    let nearest = known.iter().min_by_key(distance).filter(|it| distance(it) <= 4);
    let hint = nearest.map(|it| format!("; did you mean {it}")).unwrap_or_default();
    format!("unknown preset{hint}; known: {}", known.join(", "))
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

fn hook(written: &mut Written, name: String) -> Option<Hook> {
    let scheme = scheme(written);
    let secrets = secrets(written, scheme.as_ref());
    let form = match written.word("form", &[("json", false), ("cloudevents", true)]) {
        true => Form::CloudEvents,
        false => Form::Json(written.parsed("events", JsonPath::parse)),
    };
    let delivery = written.parsed("delivery", WebhookTemplate::parse);
    let mapping: Mapping = mapping::read(written);
    Some(Hook { name, scheme: scheme?, secrets, form, delivery, mapping })
}

fn secrets(written: &mut Written, scheme: Option<&Scheme>) -> Vec<Secret> {
    let (table, prefix) = (written.table.clone(), written.prefix.clone());
    let key = |field: &str| format!("{prefix}.{field}");
    let mut secrets = Vec::new();
    for field in ["secret", "secret_previous"] {
        let secret = logins::secret(written.from, &table, field, &key);
        if secret.is_empty() && field != "secret" {
            continue;
        }
        if secret.is_empty() {
            written.refuse(field, "expected a secret that the sender knows, or secret_file");
        } else if let Some(Scheme::Hmac(hmac)) = scheme
            && hmac.key.key(&secret).is_none()
        {
            written.refuse(field, "expected base64, perhaps behind whsec_");
        } else if secret.expose().len() < SECRET_BYTES_ADVISED {
            written.from.warn(format!(
                "{} is shorter than {SECRET_BYTES_ADVISED} bytes and may be guessed (make one: \
                 cache-mirror secret generate --bytes 48)",
                key(field)
            ));
        }
        secrets.push(secret);
    }
    secrets
}

fn scheme(written: &mut Written) -> Option<Scheme> {
    let encodings =
        [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
    // Read whatever the scheme is: a word that nobody knows is a slip in any case.
    let encoding = written.word("auth.encoding", &encodings);
    let key = written.word("auth.key", &[("text", KeyForm::Text), ("base64", KeyForm::Base64)]);
    let is_ms = written.word("auth.timestamp_unit", &[("s", false), ("ms", true)]);
    if !written.word("auth.scheme", &[("secret", false), ("hmac", true)]) {
        refuse_tolerance(written);
        let header = written.header("auth.header");
        let is_unset = written.text("auth.header").is_empty();
        return header.or(is_unset.then_some(hyper::header::AUTHORIZATION)).map(Scheme::Secret);
    }
    if written.text("auth.header").is_empty() {
        written.refuse("auth.header", "expected the header that the signature stands in");
    }
    let header = written.header("auth.header");
    let separator = written.text("auth.separator");
    if separator.chars().count() > 1 {
        written.refuse("auth.separator", "expected one character");
    }
    let content = match written.text("auth.content").is_empty() {
        true => Content::parse("{body}").ok(),
        false => written.parsed("auth.content", Content::parse),
    }?;
    let timestamp = timestamp(written, &content, is_ms);
    let signed_headers = written.header("auth.signed_headers");
    if content.has_headers() != signed_headers.is_some() {
        written.refuse("auth.signed_headers", "belongs together with {headers} in auth.content");
    }
    Some(Scheme::Hmac(Box::new(Hmac {
        header: header?,
        separator: separator.chars().next(),
        prefix: written.text("auth.prefix"),
        encoding,
        key,
        content,
        timestamp,
        signed_headers,
        path: Some(written.text("auth.path")).filter(|path| !path.is_empty()),
    })))
}

/// Where nothing tells the time, a tolerance would only seem to keep old deliveries out.
fn refuse_tolerance(written: &mut Written) {
    let auth = written.own.get("auth");
    if auth.and_then(|auth| auth.get("tolerance_s")).is_some() {
        let expected = "needs auth.timestamp_header or auth.timestamp_prefix, with scheme hmac";
        written.refuse("auth.tolerance_s", expected);
    }
}

fn timestamp(written: &mut Written, content: &Content, is_ms: bool) -> Option<Timestamp> {
    let header = written.header("auth.timestamp_header").map(TimestampAt::Header);
    let prefix = Some(written.text("auth.timestamp_prefix")).filter(|prefix| !prefix.is_empty());
    if header.is_some() && prefix.is_some() {
        written.refuse("auth.timestamp_prefix", "auth.timestamp_header is set as well");
    }
    let seconds = written.value("auth.tolerance_s").and_then(Value::as_integer).unwrap_or(300);
    if !(1..=TOLERANCE_S_MAX).contains(&seconds) {
        let expected = format!("expected an integer from 1 to {TOLERANCE_S_MAX}");
        written.refuse("auth.tolerance_s", expected);
    }
    let at = header.or(prefix.map(TimestampAt::WithSignature));
    if at.is_none() {
        refuse_tolerance(written);
    }
    if at.is_some() != content.has_timestamp() {
        written.refuse(
            "auth.content",
            "expected {timestamp} or {headers} in it, and auth.timestamp_header or \
             auth.timestamp_prefix, or none of them: a timestamp counts where it is signed",
        );
    }
    let tolerance = Duration::from_secs(seconds.unsigned_abs());
    at.map(|at| Timestamp { at, is_ms, tolerance })
}

/// Names and texts of the presets.
#[cfg(test)]
pub(super) fn presets() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    PRESETS.iter()
}
