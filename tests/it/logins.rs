//! Ways to a token at a peer, over real sockets: what is sent is what such servers expect, and what
//! they answer is what the invalidation carries.

use serde_json::{Value, json};

use crate::support::{
    INVALIDATE, LOGIN, Node, Reply, SERVICE_EMAIL, SERVICE_PASSWORD, Spec, StubPeer, eventually,
};

fn token(text: &str) -> Reply {
    Reply::Json(200, json!({ "access_token": text, "expires_in": 3600, "refresh_token": "r" }))
}

/// Starts a node with these login settings and sees one event delivered under this token.
async fn delivers(stub: &StubPeer, settings: &[(&str, &str)], expected: &str) -> Node {
    let mut spec = Spec::new("a").mirrors([stub.name()]);
    for (key, value) in settings {
        spec = spec.set(&format!("mirrors.login.{key}"), value);
    }
    let node = spec.start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is delivered", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    let told = stub.seen_at(INVALIDATE);
    assert_eq!(told[0].header("authorization"), format!("Bearer {expected}"));
    node
}

#[tokio::test]
async fn supabase_is_logged_in_at_with_its_key() {
    let (stub, supabase) = (StubPeer::start().await, StubPeer::start().await);
    supabase.always("/auth/v1/token", token("from-supabase"));
    let url = format!("http://{}", supabase.name());
    let headers = r#"{apikey = "the-anon-key"}"#;
    let settings = [("preset", "supabase"), ("url", url.as_str()), ("headers", headers)];
    let node = delivers(&stub, &settings, "from-supabase").await;
    let asked = &supabase.seen()[0];
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/auth/v1/token?grant_type=password")
    );
    assert_eq!(asked.header("apikey"), "the-anon-key");
    let body: Value = serde_json::from_str(&asked.text()).expect("JSON");
    assert_eq!(body, json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD }));
    assert!(stub.seen_at(LOGIN).is_empty());
    let log = node.log_text();
    assert!(!log.contains("the-anon-key") && !log.contains("from-supabase"), "no secrets in it");
}

#[tokio::test]
async fn oauth2_gets_a_form_of_client_credentials() {
    let stub = StubPeer::start().await;
    stub.always("/oauth/token", token("from-oauth"));
    delivers(&stub, &[("preset", "oauth2"), ("scope", "cache:write")], "from-oauth").await;
    let asked = &stub.seen_at("/oauth/token")[0];
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    let expected = format!(
        "grant_type=client_credentials&client_id=mirror%40example.test\
         &client_secret={SERVICE_PASSWORD}&scope=cache%3Awrite"
    );
    assert_eq!(asked.text(), expected);
}

#[tokio::test]
async fn a_given_token_needs_no_login() {
    let stub = StubPeer::start().await;
    delivers(&stub, &[("preset", "bearer"), ("token", "given-to-us")], "given-to-us").await;
    assert!(stub.seen_at(LOGIN).is_empty());
}

/// S3 3.5: with a key in common nobody needs to log in, and what comes is a peer's all the same.
#[tokio::test]
async fn with_a_key_in_common_a_token_of_our_own_is_enough() {
    let issuer = ("auth.issuer", "the-family");
    let b = Spec::new("b").set(issuer.0, issuer.1).start().await;
    let a = Spec::new("a").set(issuer.0, issuer.1).mirrors([b.address()]);
    let a = a.without_env("SERVICE_PASSWORD").set("mirrors.login.preset", "self-signed");
    let a = a.start().await;
    a.invalidate(json!({ "type": "posts" })).await;
    eventually("b has it", async || b.journal().await.len() == 1).await;
    let event = &b.journal().await[0];
    assert_eq!((&event["principal"], &event["scope"]), (&json!(SERVICE_EMAIL), &json!("local")));
    let logins = b.log_lines().iter().filter(|line| line["event"] == "login").count();
    assert_eq!(logins, 0);
}
