//! Webhooks as they are configured, and the presets against deliveries of their senders. Signatures
//! are those of the senders' own documents and libraries, else openssl's.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use toml::{Table, Value};

use super::*;
use crate::domain::Action;
use crate::ingest::webhook::{Hook, Limits, ReadWebhook, WebhookRefusal, WebhookRequest};
use crate::resolve::Rules;
use crate::support::Secret;

const LIMITS: Limits = Limits { selectors_max: 1000, depth_max: 64 };
const AT_MS: u64 = 1_700_000_000_000;

fn rules() -> Rules {
    Rules::new(&crate::resolve::Config::default()).unwrap()
}

pub(super) fn hook(fields: &str) -> Hook {
    let file = format!("[[ingest.hooks]]\nname = 'x'\n{fields}");
    Scene::file(&file).good().ingest.hooks.remove(0)
}

/// What comes from a sender.
pub(super) struct Sent {
    headers: HeaderMap,
    body: &'static str,
    now_ms: u64,
}

pub(super) fn sent(headers: &[(&'static str, &str)], body: &'static str) -> Sent {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    Sent { headers: headers.iter().map(pair).collect(), body, now_ms: AT_MS }
}

impl Sent {
    fn at(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    fn twice(mut self, name: &'static str) -> Self {
        let value = self.headers.get(name).unwrap().clone();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    fn delivery(&self) -> WebhookRequest<'_> {
        let (headers, body) = (&self.headers, self.body.as_bytes());
        WebhookRequest { target: "/api/hooks/cms", headers, body, now_ms: self.now_ms }
    }

    fn check(&self, hook: &Hook) -> Result<(), WebhookRefusal> {
        hook.check(&self.delivery())
    }

    fn read(&self, hook: &Hook) -> ReadWebhook {
        hook.read(&self.delivery(), LIMITS, &rules()).expect("can be read")
    }

    pub(super) fn means(&self, hook: &Hook) -> (String, Action) {
        let ReadWebhook { change, .. } = self.read(hook);
        (change.selectors.to_string(), change.action())
    }
}

#[test]
fn every_preset_is_whole_and_has_no_field_that_is_not_known() {
    for (name, text) in crate::config::webhooks::presets() {
        hook(&format!("preset = '{name}'\nsecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'"));
        let mut table: Table = text.parse().unwrap();
        table.insert("name".into(), Value::String((*name).into()));
        table.insert("secret".into(), Value::String("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()));
        let hooks = Value::Array(vec![Value::Table(table)]);
        let ingest = Table::from_iter([("hooks".to_owned(), hooks)]);
        let file = Table::from_iter([("ingest".to_owned(), Value::Table(ingest))]);
        Scene::file(&file.to_string()).good();
    }
}

#[test]
fn mistakes_are_named_and_secrets_are_not_shown() {
    let file = |fields: &str| format!("[[ingest.hooks]]\nname = 'x'\nsecret = 'hunter2'\n{fields}");
    for (fields, expected) in [
        ("preset = 'supabse'", "did you mean supabase"),
        ("preset = 'wordpress'", "unknown preset; known: cloudevents"),
        ("preset = 'supabase'\nmaping = {}", "ingest.hooks[0].maping"),
        ("preset = 'supabase'\nauth.schema = 'hmac'", "did you mean scheme?"),
        ("preset = 'standard-webhooks'", "expected base64"),
        ("auth.scheme = 'hmac'\nmapping.type = 'a'", "expected the header that the signature"),
        ("auth.scheme = 'rsa'\nmapping.type = 'a'", "expected secret or hmac"),
        ("preset = 'github'\nauth.content = '{boddy}'", "{boddy} is not known"),
        ("preset = 'github'\nauth.content = 'x'", "no {body}"),
        ("preset = 'github'\nauth.timestamp_header = 'x-time'", "a timestamp counts where it is"),
        ("preset = 'sanity'\nauth.tolerance_s = 0", "expected an integer from 1 to"),
        ("preset = 'sanity'\nauth.header = 'a b'", "expected a header's name"),
        ("preset = 'supabase'\nauth.encoding = 'hexx'", "expected hex or base64"),
        ("preset = 'supabase'\nauth.key = 'hex'", "expected text or base64"),
        ("preset = 'supabase'\nauth.tolerance_s = 60", "needs auth.timestamp_header"),
        ("preset = 'github'\nauth.tolerance_s = 60", "needs auth.timestamp_header"),
        ("preset = 'github'\nauth.signed_headers = 'x'", "belongs together with {headers}"),
        ("preset = 'supabase'\nmapping.type = '{table'", "a { without its }"),
        ("preset = 'supabase'\nmapping.ids = ['{}']", "names nothing"),
        ("preset = 'supabase'\nmapping.ids = ['{id upper}']", "is no step"),
        ("preset = 'supabase'\nmapping.types = { a = 'b c' }", "is not a type"),
        ("preset = 'supabase'\nmapping.actions = { a = 'erase' }", "a: expected create, update"),
        ("preset = 'supabase'\nmapping.compare = ['record']", "expected two paths"),
        ("preset = 'supabase'\nmapping.fields = { 'a b' = '{x}' }", "a name is 1 to 64"),
        ("preset = 'supabase'\nmapping.no_id = 'all'", "expected type or ignore"),
        ("", "expected a template, or tags, paths or keys"),
        ("mapping.ids = ['{id}']\nmapping.tags = ['x']", "ids need a mapping.type"),
    ] {
        let problems = Scene::file(&file(fields)).bad();
        assert!(problems.contains(expected), "{fields}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    for (text, expected) in [
        ("[[ingest.hooks]]\nname = 'x'\npreset = 'github'", "expected a secret"),
        ("[[ingest.hooks]]\nname = 'a/b'\npreset = 'github'\nsecret = 's'", "expected 1 to 64"),
    ] {
        let problems = Scene::file(text).bad();
        assert!(problems.contains(expected), "{problems}");
    }
    for (secret, warnings) in [("0123456789abcde", 1), ("0123456789abcdef", 0)] {
        let text = format!("[[ingest.hooks]]\nname='x'\npreset='github'\nsecret='{secret}'");
        let short = Scene::file(&text).good().warnings;
        let is_meant = |it: &&String| it.contains("ingest.hooks[0].secret is shorter");
        assert_eq!(short.iter().filter(is_meant).count(), warnings, "{short:?}");
        assert!(!short.concat().contains(secret), "{short:?}");
    }
    let twice = file("preset = 'github'") + "\n" + &file("preset = 'shopify'");
    assert!(Scene::file(&twice).bad().contains("given twice"));
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let scene = Scene::file(
        "[[ingest.hooks]]\nname = 'x'\npreset = 'github'\nsecret_file = 'now'\n\
         secret_previous = 'swordfish'",
    )
    .write("now", "hunter2\n");
    let hooks = scene.good().ingest.hooks;
    let secrets: Vec<&str> = hooks[0].secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["hunter2", "swordfish"]);
    let shown = format!("{:?} {hooks:?}", show(&scene.sources));
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
}

#[test]
fn what_is_written_lies_over_the_preset_field_by_field() {
    let hook = hook(
        "preset = 'supabase'\nsecret = 's'\nauth.header = 'x-webhook-secret'\n\
         mapping.types = { clients = 'client_configs' }\nmapping.actions = { DELETE = 'archive' }",
    );
    let body = r#"{"type":"DELETE","table":"clients","old_record":{"id":7},"record":null}"#;
    let sent = sent(&[("x-webhook-secret", "s")], body);
    assert_eq!(sent.check(&hook), Ok(()));
    assert_eq!(sent.means(&hook), ("client_configs/7".into(), Action::Archive));
}

/// S2 2.8: dashboard edits, scripts and jobs reach us through the database's webhooks.
#[test]
fn supabase() {
    let hook = hook(
        "preset = 'supabase'\nsecret = 's3cret'\nmapping.types = { \
         job_readiness_expert_sessions = 'expert_sessions', modules = 'module_content' }",
    );
    let bearer = |body| sent(&[("authorization", "Bearer s3cret")], body);
    for (body, selectors, action) in [
        (
            r#"{"type":"INSERT","table":"products","schema":"public","record":{"id":42},
                "old_record":null}"#,
            "products/42",
            Action::Create,
        ),
        (
            r#"{"type":"UPDATE","table":"job_readiness_expert_sessions","record":{"id":"b"},
                "old_record":{"id":"a"}}"#,
            "expert_sessions/a,expert_sessions/b",
            Action::Update,
        ),
        (
            r#"{"type":"DELETE","table":"modules","record":null,"old_record":{"key":1}}"#,
            "module_content",
            Action::Delete,
        ),
    ] {
        assert_eq!(bearer(body).check(&hook), Ok(()));
        assert_eq!(bearer(body).means(&hook), (selectors.into(), action), "{body}");
    }
    let update = r#"{"type":"UPDATE","table":"t","record":{"id":1,"a":1,"b":2,"d":0},
        "old_record":{"id":1,"a":1,"b":3,"c":4}}"#;
    assert_eq!(bearer(update).read(&hook).change.parts[0].changed, ["b", "d", "c"]);
    let slug = r#"{"type":"UPDATE","table":"t","record":{"id":1,"slug":"a"}}"#;
    assert_eq!(bearer(slug).read(&hook).change.fields["slug"], "a");
    for header in ["s3cret", "Bearer s3cre", "Bearer s3crett", "Basic s3cret", "Bearer", ""] {
        let sent = sent(&[("authorization", header)], "{}");
        assert!(sent.check(&hook).is_err(), "{header:?}");
    }
    assert!(sent(&[], "{}").check(&hook).is_err());
    assert!(bearer("{}").twice("authorization").check(&hook).is_err());
}

const STANDARD: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
];
const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;
const STANDARD_AT_MS: u64 = 1_614_265_330_000;

/// The vector of the Standard Webhooks libraries, and what may and may not be changed in it.
#[test]
fn standard_webhooks() {
    let rotating = hook(
        "preset = 'standard-webhooks'\nsecret = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'\n\
         secret_previous = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
    );
    let bare = hook("preset = 'standard-webhooks'\nsecret = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'");
    let good = || sent(&STANDARD, STANDARD_BODY).at(STANDARD_AT_MS);
    assert_eq!((good().check(&rotating), good().check(&bare)), (Ok(()), Ok(())));
    let tag = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let several = format!("v2,AAAA v1,!!! v1,AAAA {tag} v1a,BBBB");
    assert_eq!(good().with("webhook-signature", &several).check(&bare), Ok(()));
    for near in [-300_000, 300_000] {
        let now_ms = STANDARD_AT_MS.saturating_add_signed(near);
        assert_eq!(good().at(now_ms).check(&bare), Ok(()), "{near}");
        let past = good().at(now_ms.saturating_add_signed(near.signum()));
        assert_eq!(past.check(&bare), Err("a timestamp too far from our clock"), "{near}");
    }
    for bad in [
        good().body(r#"{"test":2432232314}"#),
        good().with("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJej"),
        good().with("webhook-timestamp", "1614265331"),
        good().with("webhook-timestamp", "+1614265330"),
        good().with("webhook-timestamp", "1614265330.0"),
        good().with("webhook-timestamp", ""),
        good().with("webhook-timestamp", "99999999999999999999999"),
        good().with("webhook-signature", "v1,"),
        good().with("webhook-signature", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        good().with("webhook-signature", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        good().with("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF="),
        good().with("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1A=="),
        good().twice("webhook-signature"),
        good().twice("webhook-id"),
        good().twice("webhook-timestamp"),
    ] {
        assert!(bad.check(&bare).is_err(), "{:?}", bad.headers);
    }
}

/// The same bytes signed, but cut into id and timestamp at another dot (A53).
#[test]
fn a_dot_in_an_id_is_refused() {
    let hook = hook(
        "preset = 'standard-webhooks'\nsecret = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\n\
         auth.content = '{header:webhook-id}.{timestamp}.{body}'",
    );
    let moved = sent(&STANDARD, "").with("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330");
    let refused = moved.at(STANDARD_AT_MS).check(&hook);
    assert_eq!(refused, Err("a signed header with the separator in it"));
}

#[test]
fn standard_webhooks_means() {
    let hook = hook("preset = 'standard-webhooks'\nsecret = 'AAAA'");
    let body = r#"{"type":"contact.deleted","timestamp":"2026-01-01T00:00:00Z","data":{"id":"7"}}"#;
    assert_eq!(sent(&[], body).means(&hook), ("contact/7".into(), Action::Delete));
    let read = sent(&[("webhook-id", "msg_1")], body).read(&hook);
    assert_eq!(read.delivery.as_deref(), Some("msg_1"));
    assert_eq!(sent(&[], body).read(&hook).delivery, None);
}

/// GitHub's own example: secret and payload of its documentation.
#[test]
fn github() {
    let hook = hook("preset = 'github'\nsecret = \"It's a Secret to Everybody\"");
    let tag = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signed =
        |header: &str| sent(&[("x-hub-signature-256", header)], "Hello, World!").check(&hook);
    assert_eq!(signed(&format!("sha256={tag}")), Ok(()));
    assert_eq!(signed(&format!("sha256={}", tag.to_uppercase())), Ok(()));
    for bad in [tag.to_owned(), format!("sha1={tag}"), format!("sha256={tag}0"), "sha256=é".into()]
    {
        assert!(signed(&bad).is_err(), "{bad}");
    }
    let event = |name, body| sent(&[("x-github-event", name)], body).means(&hook);
    let release = r#"{"action":"deleted","release":{"id":1},"repository":{"full_name":"a/b"}}"#;
    assert_eq!(event("release", release), ("release,tag:repository:a/b".into(), Action::Delete));
    assert_eq!(event("ping", r#"{"zen":"…","repository":{"full_name":"a/b"}}"#).0, "");
}

/// The vector of @sanity/webhook.
#[test]
fn sanity() {
    let hook = hook("preset = 'sanity'\nsecret = 'test'");
    let header = "t=1633519811129,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0";
    let good = || {
        let sent = sent(&[("sanity-webhook-signature", header)], r#"{"_id":"resume"}"#);
        sent.at(1_633_519_811_129 + 1_800_000)
    };
    assert_eq!(good().check(&hook), Ok(()), "tried again for half an hour");
    let spaced = header.replace(',', ", ");
    assert_eq!(good().with("sanity-webhook-signature", &spaced).check(&hook), Ok(()));
    for bad in [
        good().body(r#"{"_id":"structure"}"#),
        good().at(AT_MS),
        good().with("sanity-webhook-signature", &header.replace("129", "128")),
        good().with("sanity-webhook-signature", &header.replace("v1=", "v5=")),
        good().with("sanity-webhook-signature", &format!("{header},t=1633519811129")),
    ] {
        assert!(bad.check(&hook).is_err(), "{:?}", bad.headers);
    }
    let sent = sent(&[("sanity-operation", "delete")], r#"{"_id":"a","_type":"post"}"#);
    assert_eq!(sent.means(&hook), ("post/a".into(), Action::Delete));
}

#[test]
fn shopify() {
    let hook = hook("preset = 'shopify'\nsecret = 'shpss_hush'");
    let body = r#"{"id":788032119674292922,"title":"Example T-Shirt"}"#;
    let tag = ("x-shopify-hmac-sha256", "WlhH8dfVFCRXEAyzrBvZ9fObDzEYT/5rIUVu3LToqLQ=");
    let sent = sent(&[tag, ("x-shopify-topic", "products/delete")], body);
    assert_eq!(sent.check(&hook), Ok(()));
    assert_eq!(sent.means(&hook), ("products/788032119674292922".into(), Action::Delete));
    assert!(sent.body(r#"{"id": 788032119674292922}"#).check(&hook).is_err());
}

const CONTENTFUL_BODY: &str =
    r#"{"sys":{"type":"Entry","id":"4xyz","contentType":{"sys":{"id":"blogPost"}}}}"#;

#[test]
fn contentful() {
    let secret = "a-secret-of-sixty-four-characters-as-contentful-makes-them-000000";
    let preset = format!("preset = 'contentful'\nsecret = '{secret}'");
    let hook = hook(&preset);
    let listed =
        "content-type,x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic";
    let good = || {
        let tag = "a08061bb3cc896d506d72da566fb270e3be7fc35b99fa15d87e1636532d9cd79";
        let headers = [
            ("x-contentful-signature", tag),
            ("x-contentful-timestamp", "1700000000000"),
            ("x-contentful-signed-headers", listed),
            ("x-contentful-topic", "ContentManagement.Entry.publish"),
            ("content-type", "application/vnd.contentful.management.v1+json"),
            ("x-contentful-idempotency-key", "9f"),
        ];
        sent(&headers, CONTENTFUL_BODY)
    };
    assert_eq!(good().check(&hook), Ok(()));
    assert_eq!(good().at(AT_MS + 30_000).check(&hook), Ok(()));
    assert_eq!(good().means(&hook), ("blogPost/4xyz".into(), Action::Update));
    let asset = good().body(r#"{"sys":{"type":"DeletedAsset","id":"1"}}"#);
    let deleted = asset.with("x-contentful-topic", "ContentManagement.Asset.delete");
    assert_eq!(deleted.means(&hook), ("assets/1".into(), Action::Delete));
    for (body, selectors) in [
        (r#"{"sys":{"type":"ContentType","id":"1"}}"#, "all"),
        (r#"{"sys":{"type":"Release","id":"1"}}"#, "all"),
        (r#"{"sys":{"type":"Locale","id":"1"}}"#, "all"),
        (r#"{"sys":{"id":"1","contentType":{"sys":{"id":"release"}}}}"#, "release/1"),
        (r#"{"sys":{"type":"Task","id":"1"}}"#, "Task/1"),
    ] {
        assert_eq!(good().body(body).means(&hook).0, selectors, "{body}");
    }
    for bad in [
        good().at(AT_MS + 30_001),
        good().with("x-contentful-timestamp", "1700000000001"),
        good().with("x-contentful-topic", "ContentManagement.Entry.delete"),
        good().with("x-contentful-signed-headers", "x-contentful-topic"),
        good().twice("x-contentful-signed-headers"),
        good().body("{}"),
    ] {
        assert!(bad.check(&hook).is_err(), "{:?}", bad.headers);
    }
    let proxied = hook_at(&preset, "/hooks/contentful");
    assert!(good().check(&proxied).is_err(), "the path is signed");
    assert_eq!(good().check(&hook_at(&preset, "/api/hooks/cms")), Ok(()));
}

fn hook_at(preset: &str, path: &str) -> Hook {
    hook(&format!("{preset}\nauth.path = '{path}'"))
}

#[test]
fn strapi() {
    let hook = hook("preset = 'strapi'\nsecret = 's'");
    for (body, selectors, action) in [
        (
            r#"{"event":"entry.update","model":"article","uid":"api::article.article",
                "entry":{"id":10}}"#,
            "article/10",
            Action::Update,
        ),
        (
            r#"{"event":"entry.delete","model":"article","entry":{"id":10,"documentId":"ab"}}"#,
            "article/10,article/ab",
            Action::Delete,
        ),
        (r#"{"event":"media.create","media":{"id":3}}"#, "media/3", Action::Create),
        (r#"{"event":"trigger-test"}"#, "", Action::Update),
    ] {
        let sent = sent(&[("authorization", "Bearer s")], body);
        assert_eq!(sent.check(&hook), Ok(()));
        assert_eq!(sent.means(&hook), (selectors.into(), action), "{body}");
    }
}

/// CloudEvents HTTP binding 3.1 to 3.3: one event three ways, and a batch as one.
#[test]
fn cloudevents() {
    let hook = hook("preset = 'cloudevents'\nsecret = 's'");
    let structured = r#"{"specversion":"1.0","id":"1","source":"/blog","subject":"42",
        "type":"org.example.post.deleted","data":{"id":"7"}}"#;
    let binary = [
        ("content-type", "application/json; charset=utf-8"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/blog"),
        ("ce-type", "org.example.post.deleted"),
    ];
    let batch = r#"[
        {"specversion":"1.0","id":"1","source":"/","type":"a.post.created","subject":"1"},
        {"specversion":"1.0","id":"2","source":"/","type":"a.page.deleted","subject":"2"}]"#;
    let media = |media| [("content-type", media)];
    let one = sent(&media("application/cloudevents+json; charset=utf-8"), structured);
    assert_eq!(one.means(&hook), ("post/42".into(), Action::Delete));
    assert_eq!(one.read(&hook).delivery.as_deref(), Some("/blog 1"));
    assert_eq!(sent(&binary, r#"{"id":"7"}"#).means(&hook), ("post/7".into(), Action::Delete));
    assert_eq!(sent(&binary, "").means(&hook), ("post".into(), Action::Delete));
    assert_eq!(sent(&binary, r#"{"id":"7"#).means(&hook), ("post".into(), Action::Delete));
    for (subject, id) in
        [("caf%C3%A9%20%2542", "café %42"), ("\"a b\"", "a b"), ("100%", "100%"), ("é", "é")]
    {
        let escaped = [&binary[..], &[("ce-subject", subject)]].concat();
        let expected = (format!("post/{id}"), Action::Delete);
        assert_eq!(sent(&escaped, "").means(&hook), expected, "3.1.3.2");
    }
    let many = sent(&media("application/cloudevents-batch+json"), batch);
    assert_eq!(many.means(&hook), ("page/2,post/1".into(), Action::Update));
    for bad in [
        sent(&media("application/json"), structured),
        sent(&media("application/cloudevents+json"), "[]"),
        sent(&media("application/cloudevents+json"), r#"{"specversion":"0.3","type":"a.b.c"}"#),
        sent(&media("application/cloudevents-batch+json"), structured),
    ] {
        assert!(hook.read(&bad.delivery(), LIMITS, &rules()).is_err(), "{}", bad.body);
    }
}

/// Blocks of at most ten lines that do what they say.
#[test]
fn the_blocks_of_the_documentation_are_settings() {
    let text = include_str!("../../../docs/WEBHOOKS.md");
    let blocks: Vec<&str> = text.split("```toml\n").skip(1).collect();
    assert!(blocks.len() > 8);
    for block in blocks {
        let block = block.split("```").next().unwrap();
        assert!(block.lines().count() <= 10, "{block}");
        let whole = block.replace("# delivery", "delivery").replace("# auth", "auth");
        let whole = whole.replace("whsec_...", "whsec_AAAA");
        for text in [block.replace("whsec_...", "whsec_AAAA"), whole] {
            let named = text.split('"').filter(|part| part.ends_with(".secret"));
            let scene = named.fold(Scene::file(&text), |scene, file| scene.write(file, "s"));
            assert_eq!(scene.good().ingest.hooks.len(), 1, "{text}");
        }
    }
}
