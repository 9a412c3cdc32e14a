//! Key pairs between instances: one signs, another verifies with the published key, and they share
//! no secret.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Node, SERVICE_EMAIL, SERVICE_PASSWORD, Spec, client, eventually};

const JWKS: &str = "/.well-known/jwks.json";

fn ed_pem() -> String {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("generates");
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn signing(name: &str) -> Spec {
    Spec::new(name).env("CACHE_MIRROR__AUTH__SIGNING_KEY", &ed_pem())
}

/// The public key document.
async fn published(node: &Node) -> Vec<Value> {
    let answer = client().get(format!("{}{JWKS}", node.base)).send().await.expect("answers");
    assert_eq!(answer.status(), 200);
    let set: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    set["keys"].as_array().expect("a list of keys").clone()
}

async fn log_in(node: &Node) -> String {
    let account = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD });
    let answer = node.post("/api/auth/login", account).await.expect(200);
    answer["access_token"].as_str().expect("a token").to_owned()
}

/// Invalidates under a token and gives the status.
async fn status(node: &Node, token: &str) -> u16 {
    node.invalidate_as(token, json!({ "type": "posts" })).await.status
}

/// A logs in at B, which signs with a pair; C takes B's tokens by what B publishes.
#[tokio::test]
async fn a_token_is_verified_with_the_published_key_of_its_issuer() {
    let b = signing("b").start().await;
    let a = Spec::new("a").mirrors([b.address()]).start().await;
    let c = Spec::new("c").set("auth.jwks_url", format!("{}{JWKS}", b.base));
    let c = c.set("auth.jwks_issuer", "b").start().await;
    a.invalidate(json!({ "type": "posts" })).await;
    eventually("b has it", async || b.journal().await.len() == 1).await;
    let token = log_in(&b).await;
    assert_eq!(status(&c, &token).await, 200);
    assert_eq!(c.journal().await[0]["scope"], "local", "a service account's is a peer's");
    assert_eq!(status(&a, &token).await, 401, "a knows nothing of b's key");
    let account = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD });
    c.post("/api/auth/login", account).await.expect(401);
    let stream = c.request_as(&token, Method::GET, "/api/stream").send().await.expect("answers");
    assert_eq!(stream.status(), 403, "verified, and not allowed to read");
}

#[tokio::test]
async fn only_public_keys_are_published() {
    let plain = Spec::new("plain").start().await;
    assert_eq!(published(&plain).await, [] as [Value; 0]);
    let (now, before) = (ed_pem(), ed_pem());
    let node = Spec::new("a")
        .env("CACHE_MIRROR__AUTH__SIGNING_KEY", &now)
        .env("CACHE_MIRROR__AUTH__SIGNING_KEY_PREVIOUS", &before);
    let node = node.start().await;
    let keys = published(&node).await;
    assert_eq!(keys.len(), 2, "both during a rotation");
    for key in keys {
        let mut members: Vec<&str> =
            key.as_object().expect("a key").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert_eq!((&key["alg"], &key["use"]), (&json!("EdDSA"), &json!("sig")));
    }
}

/// After a restart with a new key and the old one as second key, existing tokens remain valid.
#[tokio::test]
async fn a_key_rotation_refuses_no_caller() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (ed_pem(), ed_pem());
    let start = |key: &str, before: Option<&str>| {
        let spec = Spec::new("a").dir(dir.path()).env("CACHE_MIRROR__AUTH__SIGNING_KEY", key);
        match before {
            Some(before) => spec.env("CACHE_MIRROR__AUTH__SIGNING_KEY_PREVIOUS", before),
            None => spec,
        }
    };
    let mut node = start(&old, None).start().await;
    let token = log_in(&node).await;
    node.stop().await;
    let mut node = start(&new, Some(&old)).start().await;
    assert_eq!(status(&node, &token).await, 200);
    let newer = log_in(&node).await;
    node.stop().await;
    let node = start(&new, None).start().await;
    assert_eq!((status(&node, &token).await, status(&node, &newer).await), (401, 200));
}
