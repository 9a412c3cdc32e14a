//! Keys of tokens: private ones in PEM, and the place where another issuer publishes its own.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn ed_pem() -> String {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("generates");
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

#[test]
fn private_keys_come_from_files_and_two_are_valid() {
    let scene = Scene::env(&[("CACHE_MIRROR__AUTH__SIGNING_KEY_FILE", "now.pem")])
        .and_file("auth.signing_key_previous_file = 'before.pem'")
        .write("now.pem", &ed_pem())
        .write("before.pem", &ed_pem());
    let mut settings = scene.good();
    let [now, before] = &settings.gate.signing_keys[..] else { panic!("two keys") };
    assert_ne!(now.id(), before.id());
    settings.complete().expect("completes");
    assert!(settings.gate.jwt_secrets.is_empty(), "no secret is made beside a private key");
    let shown = format!("{:?} {:?}", show(&scene.sources), settings.gate);
    assert!(!shown.contains("PRIVATE KEY"), "{shown}");
}

#[test]
fn a_key_of_no_use_is_told_without_being_shown() {
    let (pem, other) = (ed_pem(), ed_pem());
    let body = pem.lines().nth(1).expect("its text").to_owned();
    let toml = |key: &str, text: &str| format!("auth.{key} = '''\n{text}'''\n");
    for (text, expected) in [
        (toml("signing_key", "no key at all"), "expected an unencrypted private key"),
        (toml("signing_key", &pem.replace("PRIVATE", "PUBLIC")), "expected an unencrypted"),
        (toml("signing_key_previous", &pem), "expected only beside auth.signing_key"),
        (
            toml("signing_key", &pem) + &toml("signing_key_previous", &pem),
            "the same key as auth.signing_key",
        ),
        (toml("jwt_secret", &pem), "a PEM is no secret"),
        (toml("jwt_secret_previous", &pem), "a PEM is no secret"),
    ] {
        let problems = Scene::file(&text).bad();
        assert!(problems.contains(expected), "{problems}");
        assert!(!problems.contains(&body), "{problems}");
    }
    Scene::file(&(toml("signing_key", &pem) + &toml("signing_key_previous", &other))).good();
}

#[test]
fn keys_are_fetched_over_https_or_from_loopback() {
    for url in ["https://idp.example.org/jwks.json?v=1", "http://127.0.0.1:4400/jwks"] {
        let settings = Scene::new().and_flag("auth.jwks_url", url).good();
        let jwks = settings.gate.jwks.clone().expect("configured");
        assert_eq!(jwks.url.as_str(), url);
        assert_eq!(jwks.issuer, settings.instance.name, "who issues is ourselves until told");
        assert!(settings.keys_network().is_some());
    }
    for (url, expected) in [
        ("idp.example.org/jwks", "expected a whole URL"),
        ("http://idp.example.org/jwks", "http only to loopback"),
        ("https://me:hunter2@idp.example.org/jwks", "no user or password"),
        ("https://169.254.169.254/jwks", "metadata"),
        ("file:///etc/jwks", "expected https"),
    ] {
        let scene = Scene::file("mirrors.allow_http = true").and_flag("auth.jwks_url", url);
        let problems = scene.bad();
        assert!(problems.contains(expected) && !problems.contains("hunter2"), "{problems}");
        assert!(!problems.contains("allow_http"), "{problems}");
    }
}

/// Who is to log in somewhere else does not log in here by the way.
#[test]
fn another_issuer_knows_the_accounts() {
    let service = [("SERVICE_EMAIL", "own@example.org"), ("SERVICE_PASSWORD", "swordfish")];
    let scene = Scene::env(&service).and_flag("auth.jwks_url", "https://idp.org/jwks");
    let gate = scene.good().gate;
    assert!(gate.service_accounts.is_empty());
    assert_eq!(gate.service_emails, ["own@example.org"], "its tokens are still a peer's");
    assert_eq!(Scene::env(&service).good().gate.service_accounts.len(), 1);
}
