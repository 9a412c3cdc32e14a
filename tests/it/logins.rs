//! Ways to a token at a peer, over real sockets: what is sent is what such servers expect, and what
//! they answer is what the invalidation carries.

use serde_json::{Value, json};

use crate::support::{
    INVALIDATE, LOGIN, Node, Reply, SERVICE_EMAIL, SERVICE_PASSWORD, Scene, Spec, StubPeer,
    effects, eventually, id_of,
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
    let requests = stub.seen_at(INVALIDATE);
    assert_eq!(requests[0].header("authorization"), format!("Bearer {expected}"));
    node
}

#[tokio::test]
async fn a_login_at_supabase_sends_its_key() {
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
async fn a_login_with_oauth2_sends_client_credentials_as_a_form() {
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
async fn a_static_token_needs_no_login() {
    let stub = StubPeer::start().await;
    delivers(&stub, &[("preset", "bearer"), ("token", "given-to-us")], "given-to-us").await;
    assert!(stub.seen_at(LOGIN).is_empty());
}

/// A `.env` of an application that knows no service account: each instance knows the other by it.
#[tokio::test]
async fn two_instances_can_mirror_with_a_personal_account() {
    let person = "ann@example.test";
    let scene = Scene::mesh_with(2, |spec| {
        let spec = spec.without_env("SERVICE_EMAIL").without_env("SERVICE_PASSWORD");
        // Each has its own keys.
        let spec = spec.unset("auth.jwt_secret");
        spec.env("TEST_EMAIL", person).env("TEST_PASSWORD", "her-own-password")
    })
    .await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    let login = json!({ "email": person, "password": "her-own-password" });
    let token = a.post("/api/auth/login", login).await.expect(200)["access_token"].clone();
    let token = token.as_str().expect("a token").to_owned();
    let mut ids = Vec::new();
    for n in 0..4 {
        assert!(b.put_entry("k", &format!("type=posts&id={n}"), "old").await);
        let answer = a.invalidate_as(&token, json!({ "type": "posts", "id": n })).await;
        let id = id_of(&answer.expect(200));
        eventually("b has it", async || effects(&b.journal().await).get(&id) == Some(&1)).await;
        assert_eq!(b.get_entry("k").await, None);
        ids.push(id);
    }
    let back = id_of(&b.invalidate(json!({ "type": "pages" })).await);
    eventually("a has it", async || effects(&a.journal().await).get(&back) == Some(&1)).await;
    // What b gets from a ends there. A later event has passed where an echo would have come.
    for node in [a, b] {
        let journal = node.journal().await;
        assert_eq!(journal.len(), ids.len() + 1, "no echo: {journal:?}");
        let of_peer = journal.iter().filter(|event| event["principal"] == person);
        let is_here = |event: &&Value| event["origin"] == node.name();
        let (own, others): (Vec<_>, Vec<_>) = of_peer.partition(is_here);
        assert!(own.iter().all(|event| event["scope"] == "mirrored"), "{own:?}");
        assert!(others.iter().all(|event| event["scope"] == "local"), "{others:?}");
    }
    // A further edit of the same entity may wait for a moment, as that of any caller on this host.
    assert!(b.put_entry("k", "type=posts&id=1", "old").await);
    a.invalidate_as(&token, json!({ "type": "posts", "id": 1 })).await.expect(200);
    eventually("b has it too", async || b.get_entry("k").await.is_none()).await;
    let states: Vec<Value> = a.mirrors().await.values().map(|it| it["state"].clone()).collect();
    assert!(states.iter().all(|state| state == "ok" || state == "self"), "{states:?}");
}

/// S3 3.5: with a shared key no login is needed, and the calls still count as those of a peer.
#[tokio::test]
async fn with_a_shared_key_a_token_signed_here_is_enough() {
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
