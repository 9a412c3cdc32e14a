//! Destinations that call back with what they receive, under credentials that do not identify them:
//! the calls come to rest, and no other destination is delayed.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    INVALIDATE, Node, Reply, SERVICE_EMAIL, Scene, Spec, StubPeer, client, eventually,
    eventually_within, id_of, mint,
};

const ROUTE: &str = "/api/revalidate";
const SECRET: &str = "a-secret-of-the-site-0123456789";
const HOOK: &str = "hook-secret-0123456";
/// The first hold. The ones after it are 0.4, 0.8, 1.6 s and so on.
const HOLD_MS: u64 = 200;

/// Calls back at every call to `path`, and only then answers it: the hardest order.
fn call_back(stub: &StubPeer, path: &'static str, node: &Node, to: &str, token: &str, body: Value) {
    let (client, url) = (client(), format!("{}{to}", node.base));
    let token = token.to_owned();
    stub.on_request(move |seen| {
        if seen.path.split('?').next() != Some(path) {
            return Box::pin(async {});
        }
        let request = client.post(&url).bearer_auth(&token).json(&body);
        Box::pin(async move { drop(request.send().await) })
    });
}

/// The echo is detected, the calls come to rest, and it is logged once.
async fn comes_to_rest(node: &Node, stub: &StubPeer, path: &str, name: &str) {
    eventually("it is found out", async || node.mirror(name).await["echoing"] == true).await;
    let until_found = stub.seen_at(path).len();
    assert!(until_found <= 16, "{until_found} calls until it was found out");
    // That few calls come can only be shown by waiting for more.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let calls = stub.seen_at(path).len() - until_found;
    assert!(calls <= 3, "{calls} calls in 2.5 s");
    let is_alert =
        |line: &Value| line["event"] == "alert" && line["reason"] == "echo" && line["peer"] == name;
    node.logged("its alert", is_alert).await;
    let lines = node.log_lines();
    let began = lines.iter().filter(|line| line["status"] == "echoing" && line["peer"] == name);
    assert_eq!(began.count(), 1);
    assert!(lines.iter().any(|line| line["reason"] == "echo" && line["wait_ms"] == HOLD_MS));
}

fn damped(spec: Spec) -> Spec {
    spec.set("mirrors.echo_ms_min", HOLD_MS).set("mirrors.echo_ms_max", 60_000)
}

/// An instance and its mirror on one host: an address that all share is no evidence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editors_saves_reach_a_mirror_on_the_same_host_at_once() {
    let mirror = Spec::new("b").start().await;
    let node = Spec::new("a").mirrors([mirror.address()]).start().await;
    for (token, count) in [(mint("a", "tom@x.example", "TRAINER"), 6), (node.token.clone(), 6)] {
        for nth in 0..count {
            let path = format!("{INVALIDATE}?wait=all&timeout=20s");
            let begun = Instant::now();
            let request = node.request_as(&token, Method::POST, &path);
            let answer = request.json(&json!({ "type": "posts", "id": 42 })).send().await;
            let answer: Value = answer.expect("an answer").json().await.expect("JSON");
            assert_eq!(answer["mirrors"][0]["status"], "delivered", "{answer}");
            let took = begun.elapsed();
            assert!(nth == 0 || took < Duration::from_millis(900), "save {nth}: {took:?}");
            assert_eq!(answer["warnings"], json!([]), "{answer}");
        }
    }
    assert_eq!(node.mirror(mirror.address()).await["echoing"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_strips_the_mark_comes_to_rest_under_any_credential() {
    for is_admin in [false, true] {
        let stub = StubPeer::start().await;
        let node = damped(Spec::new("a").mirrors([stub.name()])).start().await;
        let editor = mint("a", "editor@example.test", "ADMIN");
        let token = if is_admin { node.token.clone() } else { editor };
        call_back(&stub, INVALIDATE, &node, INVALIDATE, &token, json!({ "type": "posts" }));
        node.invalidate(json!({ "type": "posts" })).await;
        comes_to_rest(&node, &stub, INVALIDATE, &stub.name()).await;
        // Others are not delayed.
        let before = stub.seen_at(INVALIDATE).len();
        let begun = Instant::now();
        node.invalidate(json!({ "type": "pages" })).await;
        eventually("another type goes", async || {
            let calls = stub.seen_at(INVALIDATE);
            calls[before..].iter().any(|seen| seen.text().contains("pages"))
        })
        .await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

/// A site that calls an invalidation route with its own request whenever it is revalidated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_calls_back_comes_to_rest_whichever_route_it_takes() {
    let row = json!({ "type": "INSERT", "table": "posts", "record": { "id": 42 } });
    let editor = mint("a", "editor@example.test", "ADMIN");
    for (to, token, body) in [
        (INVALIDATE, &*editor, json!({ "type": "posts" })),
        (ROUTE, SECRET, json!({ "secret": SECRET, "path": "/posts" })),
        ("/api/hooks/h", HOOK, row.clone()),
    ] {
        let stub = StubPeer::start().await;
        stub.always(ROUTE, Reply::Json(200, json!({ "success": true })));
        let node = damped(Spec::new("a"))
            .file("[revalidate.paths]\nposts = [\"/posts\", \"/posts/{id}\"]")
            .set(
                "ingest.hooks",
                "[{ name = 'h', preset = 'supabase', secret = 'hook-secret-0123456' }]",
            )
            .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
            .env("NEXT_REVALIDATE_SECRET", SECRET)
            .env("REVALIDATE_SECRET_TOKEN", SECRET)
            .start()
            .await;
        call_back(&stub, ROUTE, &node, to, token, body);
        node.invalidate(json!({ "type": "posts", "id": 42 })).await;
        let name = node.mirrors().await.into_keys().next().expect("a site");
        comes_to_rest(&node, &stub, ROUTE, &name).await;
    }
}

/// A site that calls several routes each time, whatever it was sent: each of the calls looks like
/// the echo of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_calls_all_routes_back_comes_to_rest() {
    let stub = StubPeer::start().await;
    stub.always(ROUTE, Reply::Json(200, json!({ "success": true })));
    let node = damped(Spec::new("a"))
        .file("[revalidate.paths]\nposts = [\"/posts\", \"/posts/{id}\"]")
        .set(
            "ingest.hooks",
            "[{ name = 'h', preset = 'supabase', secret = 'hook-secret-0123456' }]",
        )
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .env("REVALIDATE_SECRET_TOKEN", SECRET)
        .start()
        .await;
    let row = json!({ "type": "INSERT", "table": "posts", "record": { "id": 42 } });
    let calls = [
        (ROUTE, SECRET.to_owned(), json!({ "secret": SECRET, "path": "/posts" })),
        (INVALIDATE, node.token.clone(), json!({ "type": "posts" })),
        ("/api/hooks/h", HOOK.to_owned(), row),
    ];
    let (client, base) = (client(), node.base.clone());
    stub.on_request(move |_| {
        for (to, token, body) in &calls {
            let request = client.post(format!("{base}{to}")).bearer_auth(token).json(body);
            tokio::spawn(async move { drop(request.send().await) });
        }
        Box::pin(async {})
    });
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    let name = node.mirrors().await.into_keys().next().expect("a site");
    eventually_within(Duration::from_secs(150), "it is found out", async || {
        node.mirror(&name).await["echoing"] == true
    })
    .await;
    let mut before = stub.seen_at(ROUTE).len();
    // In about one run of 40 a test is lost to timing, and the next one comes after 100 s.
    let patience = Duration::from_secs(150);
    eventually_within(patience, "the calls come to rest", async || {
        // That few calls come can only be shown by looking again after a while.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = stub.seen_at(ROUTE).len();
        std::mem::replace(&mut before, all) + 8 >= all
    })
    .await;
}

/// A cache that calls back when it is purged; once it stops, it is called at once again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_calls_back_comes_to_rest_and_recovers() {
    let stub = StubPeer::start().await;
    stub.answer_by(|_| Reply::Json(200, json!({})));
    let targets = format!(
        "[[purge.targets]]\nname = \"cache\"\nkind = \"http\"\nhosts = [\"http://{}\"]\n",
        stub.name()
    );
    let node = damped(Spec::new("a")).file(&targets).start().await;
    let token = mint("a", "editor@example.test", "ADMIN");
    call_back(&stub, "/posts", &node, INVALIDATE, &token, json!({ "path": "/posts" }));
    node.invalidate(json!({ "path": "/posts" })).await;
    comes_to_rest(&node, &stub, "/posts", "cache").await;
    stub.on_request(|_| Box::pin(async {}));
    node.logged("its end", |line| line["status"] == "ended" && line["peer"] == "cache").await;
    assert_eq!(node.mirror("cache").await["echoing"], false);
}

/// A script that waits for each delivery, in both ways that an instance can see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_waits_for_each_delivery_is_never_held() {
    let mirror = Spec::new("b").start().await;
    let node = Spec::new("a").mirrors([mirror.address()]).start().await;
    for is_asking in [false, true] {
        for nth in 0..60 {
            let begun = Instant::now();
            let path = match is_asking {
                true => INVALIDATE.to_owned(),
                false => format!("{INVALIDATE}?wait=all&timeout=20s"),
            };
            let answer = node.post(&path, json!({ "type": "posts", "id": 42 })).await.json();
            let warnings = answer["warnings"].to_string();
            assert!(!warnings.contains("held"), "save {nth}: {answer}");
            if is_asking {
                let id = id_of(&answer);
                eventually("it is delivered", async || {
                    node.event(&id).await["mirrors"][0]["status"] == "delivered"
                })
                .await;
            }
            let took = begun.elapsed();
            assert!(nth == 0 || took < Duration::from_millis(900), "save {nth}: {took:?}");
        }
    }
    assert_eq!(node.mirror(mirror.address()).await["echoing"], false);
    let lines = node.log_lines();
    assert!(!lines.iter().any(|line| line["reason"] == "echo"), "nothing was held");
}

/// Two instances mirror each other, and each has a site that calls its own instance whenever it is
/// revalidated: one edit reaches all of them, and then they come to rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_whose_sites_call_back_come_to_rest() {
    let sites = [StubPeer::start().await, StubPeer::start().await];
    sites.iter().for_each(|site| site.always(ROUTE, Reply::Json(200, json!({ "ok": true }))));
    // The mesh settles its instances in order, however often it tries.
    let turn = std::cell::Cell::new(0);
    let scene = Scene::mesh_with(2, |spec| {
        let site = &sites[turn.replace(turn.get() + 1) % 2];
        damped(spec)
            .file("[revalidate.paths]\nposts = [\"/posts\"]")
            .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", site.name()))
            .env("NEXT_REVALIDATE_SECRET", SECRET)
    })
    .await;
    for (node, site) in scene.nodes.iter().zip(&sites) {
        call_back(site, ROUTE, node, INVALIDATE, &node.token, json!({ "type": "posts" }));
    }
    let edit = id_of(&scene.nodes[0].invalidate(json!({ "type": "posts" })).await);
    for node in &scene.nodes {
        eventually("the edit is here", async || {
            node.journal().await.iter().any(|event| event.to_string().contains(&edit))
        })
        .await;
    }
    let calls = || sites.iter().map(|site| site.seen_at(ROUTE).len()).sum::<usize>();
    // That few calls come can only be shown by looking again after a while.
    let mut before = calls();
    eventually("the calls come to rest", async || {
        // As long as the first holds together: a loop goes round many times meanwhile.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let all = calls();
        std::mem::replace(&mut before, all) + 6 >= all
    })
    .await;
    assert!(sites.iter().all(|site| !site.seen_at(ROUTE).is_empty()));
    for node in &scene.nodes {
        assert_eq!(node.get("/healthz").await.status, 200);
    }
}

/// Calls under the service account are not mirrored, so a peer that logs in and calls back with
/// what it received does not receive it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_back_under_the_service_account_are_not_mirrored() {
    let stub = StubPeer::start().await;
    let node = damped(Spec::new("a").mirrors([stub.name()])).start().await;
    let token = mint("a", SERVICE_EMAIL, "service");
    call_back(&stub, INVALIDATE, &node, INVALIDATE, &token, json!({ "type": "posts" }));
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the return is here", async || node.journal().await.len() == 2).await;
    let returned = &node.journal().await[1];
    assert_eq!(
        (&returned["scope"], &returned["principal"]),
        (&json!("local"), &json!(SERVICE_EMAIL))
    );
    // A later event shows that nothing else was sent before it.
    node.invalidate(json!({ "type": "pages" })).await;
    eventually("a later event is there", async || {
        stub.seen_at(INVALIDATE).iter().any(|seen| seen.text().contains("pages"))
    })
    .await;
    assert_eq!(stub.seen_at(INVALIDATE).len(), 2);
    assert_eq!(node.mirror(&stub.name()).await["echoing"], false);
}

/// A personal account with the same email as the service account of a peer: calls back under it are
/// detected at once, and other destinations are not affected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_calls_back_under_a_shared_account_comes_to_rest() {
    let stub = StubPeer::start().await;
    let email = "both@example.test";
    let node = damped(Spec::new("a").mirrors([stub.name()]))
        .without_env("SERVICE_EMAIL")
        .without_env("SERVICE_PASSWORD")
        .env("TEST_EMAIL", email)
        .env("TEST_PASSWORD", "a-password-of-the-tests")
        .start()
        .await;
    let token = mint("a", email, "ADMIN");
    call_back(&stub, INVALIDATE, &node, INVALIDATE, &token, json!({ "type": "posts" }));
    node.invalidate(json!({ "type": "posts" })).await;
    comes_to_rest(&node, &stub, INVALIDATE, &stub.name()).await;
}
