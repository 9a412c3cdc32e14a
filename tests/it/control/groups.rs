//! The admin routes, groups and hooks of a job-readiness site, called as it does (S2), and the
//! rules of fields.

use serde_json::{Value, json};

use super::curl::{assert_golden, curl};
use crate::support::{Node, Spec, StubPeer, eventually};

const CLEAR: &str = "/api/admin/cache/clear";

fn spec() -> Spec {
    Spec::new("a").set("graph.preset", "job-readiness")
}

async fn clear(node: &Node, json: &str) -> (u16, String) {
    let bearer = format!("Authorization: Bearer {}", node.token);
    let arguments =
        ["-X", "POST", "-H", "Content-Type: application/json", "-H", &bearer, "-d", json];
    curl(node, CLEAR, &arguments).await
}

/// Products of two clients, sessions of two products, a module, a client's settings.
async fn fill(node: &Node) {
    for (key, query) in [
        ("p1", "type=products&id=1&tags=products:client:7"),
        ("p2", "type=products&id=2&tags=products:client:7"),
        ("p3", "type=products&id=3&tags=products:client:8"),
        ("s1", "type=expert_sessions&id=1&tags=expert_sessions:product:1"),
        ("s2", "type=expert_sessions&id=2&tags=expert_sessions:product:2"),
        ("m1", "type=module_content&id=1"),
        ("m2", "type=module_content&id=2"),
        ("c7", "type=client_configs&id=7"),
    ] {
        assert!(node.put_entry(key, query, "v").await, "{key}");
    }
}

async fn left(node: &Node) -> String {
    let mut left = vec![];
    for key in ["p1", "p2", "p3", "s1", "s2", "m1", "m2", "c7"] {
        if node.get_entry(key).await.is_some() {
            left.push(key);
        }
    }
    left.join(" ")
}

/// S2 2.6: each group, with and without its id; an absent id is the whole type; true counts.
#[tokio::test]
async fn a_group_is_cleared_with_or_without_its_id() {
    let node = spec().start().await;
    fill(&node).await;
    let (status, text) = clear(&node, r#"{"type":"products","clientId":"7"}"#).await;
    assert_eq!(status, 200, "{text}");
    assert_golden("admin_clear_200.json", &text);
    for (json, count, expected) in [
        (r#"{"type":"products","clientId":7}"#, 2, "p3 s1 s2 m1 m2 c7"),
        (r#"{"type":"products","clientId":null}"#, 3, "s1 s2 m1 m2 c7"),
        (r#"{"type":"products","clientId":""}"#, 3, "s1 s2 m1 m2 c7"),
        (r#"{"products":true,"clientId":""}"#, 3, "s1 s2 m1 m2 c7"),
        (r#"{"type":"expert_sessions","productId":"1"}"#, 1, "p1 p2 p3 s2 m1 m2 c7"),
        (r#"{"type":"expert_sessions","clientId":"7"}"#, 2, "p1 p2 p3 m1 m2 c7"),
        (r#"{"type":"module_content","moduleId":2}"#, 1, "p1 p2 p3 s1 s2 m1 c7"),
        (r#"{"type":"module_content"}"#, 2, "p1 p2 p3 s1 s2 c7"),
        (r#"{"type":"client_configs","clientId":"7"}"#, 1, "p1 p2 p3 s1 s2 m1 m2"),
        (r#"{"type":"client_configs","clientId":"8"}"#, 0, "p1 p2 p3 s1 s2 m1 m2 c7"),
        (r#"{"type":"client_configs","moduleContent":true}"#, 3, "p1 p2 p3 s1 s2"),
        (r#"{"clientConfigs":"true","moduleContent":1,"products":"false"}"#, 3, "p1 p2 p3 s1 s2"),
        (r#"{"type":"all_phase2"}"#, 8, ""),
    ] {
        fill(&node).await;
        let (status, text) = clear(&node, json).await;
        let text: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, &text["invalidated_entries"]), (200, &json!(count)), "{json} {text}");
        assert_eq!(left(&node).await, expected, "{json}");
    }
}

/// S2 2.8: a row that was inserted, deleted or moved clears itself, the lists of its type, and the
/// pages of its old and its new parent.
#[tokio::test]
async fn a_row_clears_the_pages_of_its_parents() {
    let hooks = "[{ name = 'db', preset = 'supabase', secret = 's', \
                 mapping.types = { modules = 'module_content' } }]";
    let node = spec().set("ingest.hooks", hooks).start().await;
    let row = async |json: Value| {
        fill(&node).await;
        for client in [7, 8] {
            let list = format!("type=products&tags=products:client:{client}");
            assert!(node.put_entry(&format!("list{client}"), &list, "v").await);
            let page = format!("tags=products:client:{client}");
            assert!(node.put_entry(&format!("page{client}"), &page, "v").await);
        }
        let header = "Authorization: Bearer s";
        let arguments = ["-H", header, "-d", &json.to_string()];
        let (status, text) = curl(&node, "/api/hooks/db", &arguments).await;
        assert_eq!(status, 202, "{text}");
        let mut left = vec![left(&node).await];
        for key in ["list7", "page7", "page8"] {
            if node.get_entry(key).await.is_some() {
                left.push(key.to_owned());
            }
        }
        left.join(" ")
    };
    let new = json!({ "type": "INSERT", "table": "products",
        "record": { "id": 9, "client_id": 7 }, "old_record": null });
    assert_eq!(row(new).await, "p3 s1 s2 m1 m2 c7 page8");
    let moved = json!({ "type": "UPDATE", "table": "job_readiness_products",
        "record": { "id": 9, "client_id": 8 }, "old_record": { "id": 9, "client_id": 7 } });
    assert_eq!(row(moved).await, "s1 s2 m1 m2 c7");
    let gone = json!({ "type": "DELETE", "table": "job_readiness_expert_sessions",
        "record": null, "old_record": { "id": 5, "product_id": 1 } });
    assert_eq!(row(gone).await, "p1 p2 p3 s2 m1 m2 c7 list7 page7 page8");
}

/// S2 2.6: another type is a 400, and a body that is not JSON a 500, with the messages of the
/// original.
#[tokio::test]
async fn an_unknown_group_is_refused_as_existing_callers_expect() {
    let node = spec().start().await;
    for json in [
        r#"{"type":"posts"}"#,
        r#"{"type":7}"#,
        r#"{"type":null,"products":true}"#,
        "{}",
        "[]",
        r#"{"products":false}"#,
        r#"{"products":true,"unheardOf":true}"#,
        r#"{"type":"products","dry_run":true}"#,
        r#"{"type":"products","dryRun":"x"}"#,
        r#"{"products":true,"expertSesions":1}"#,
        r#"{"products":1,"expertSesions":"true"}"#,
        r#"{"type":"products","unheardOf":"yes"}"#,
        r#"{"mirror":true}"#,
    ] {
        let (status, text) = clear(&node, json).await;
        assert_eq!(status, 400, "{json}: {text}");
        assert_golden("admin_clear_400.json", &text);
    }
    for slip in [
        r#"{"type":"products","mirror":"x"}"#,
        r#"{"type":"products","mirror":null}"#,
        r#"{"type":"products","Mirror":false}"#,
        r#"{"type":"products","mirrors":false}"#,
    ] {
        let (status, text) = clear(&node, slip).await;
        assert_eq!((status, text.contains("Invalid mirror")), (400, true), "{slip}: {text}");
    }
    let mut many: Vec<String> = (0..200).map(|n| format!(r#""a{n}":"x""#)).collect();
    many.push(r#""zUnheardOf":true,"products":true"#.into());
    assert_eq!(clear(&node, &format!("{{{}}}", many.join(","))).await.0, 400);
    let many: Vec<String> = (0..1001).map(|n| format!(r#""a{n}":"x""#)).collect();
    let (status, text) = clear(&node, &format!(r#"{{"products":true,{}}}"#, many.join(","))).await;
    assert_eq!((status, text.contains("1002 members")), (400, true), "{text}");
    let (status, text) = clear(&node, "{").await;
    assert_eq!(status, 500);
    assert_golden("admin_clear_500.json", &text);
    assert_eq!(node.journal().await.len(), 0);
}

/// A meaningless member could only have narrowed what is cleared; the answer still names it.
#[tokio::test]
async fn a_meaningless_member_gets_a_warning() {
    let node = spec().start().await;
    fill(&node).await;
    let (status, text) = clear(&node, r#"{"type":"products","clientID":"7"}"#).await;
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, &answer["invalidated_entries"]), (200, &json!(3)), "{text}");
    assert!(text.contains("unknown \\\"clientID\\\""), "{text}");
    node.logged("the member", |line| line["status"] == "partly_read").await;
}

/// S2 2.4, 2.7: related groups in one call are one event and one message to each mirror.
#[tokio::test]
async fn related_groups_are_one_event() {
    let peer = StubPeer::start().await;
    let node = spec().mirrors([peer.name()]).start().await;
    fill(&node).await;
    let asked = json!({
        "products": true, "expertSessions": true, "moduleContent": true, "clientConfigs": false,
        "clientId": "7", "productId": 2,
    });
    let (status, text) = clear(&node, &asked.to_string()).await;
    assert_eq!(status, 200, "{text}");
    assert_golden("admin_clear_200_related.json", &text);
    assert_eq!(left(&node).await, "p3 s1 c7");
    let events = node.journal().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["source"], "compat");
    let local = r#"{"type":"products","mirror":false}"#;
    assert_eq!(clear(&node, local).await.0, 200);
    assert_eq!(node.journal().await[1]["scope"], "local");
    eventually("the peer receives the module", async || {
        peer.bodies().iter().any(|request| request.contains("module_content"))
    })
    .await;
    assert!(!peer.bodies().iter().any(|request| request.contains("\"products\"")));
}

/// S2 2.5, 2.11: figures in the names that dashboards read, and advice where there is some.
#[tokio::test]
async fn statistics_come_with_recommendations() {
    let node = spec().start().await;
    let empty = node.get("/api/admin/cache/stats").await.expect(200);
    let stats = &empty["cache_stats"];
    assert_eq!(
        (&stats["hitRate"], &stats["totalEntries"], &stats["expiredEntries"]),
        (&json!(0.0), &json!(0), &json!(0))
    );
    assert_eq!(
        empty["recommendations"],
        json!({
            "hit_rate_status": "needs_improvement", "expired_entries_status": "normal",
            "advice": [],
        })
    );
    fill(&node).await;
    assert_eq!(left(&node).await.split(' ').count(), 8);
    let full = node.get("/api/admin/cache/stats").await.expect(200);
    assert_eq!(full["cache_stats"]["hitRate"], json!(100.0));
    assert_eq!(full["recommendations"]["hit_rate_status"], "excellent");
    node.invalidate(json!({ "type": "products", "id": 1 })).await;
    let broad = node.invalidate(json!({ "type": "products" })).await;
    let warning = broad["warnings"][0].as_str().expect("advice").to_owned();
    assert!(warning.starts_with("all of products was cleared, though"), "{warning}");
    let advised = node.get("/api/admin/cache/stats").await.expect(200);
    assert_eq!(advised["recommendations"]["advice"], json!([warning]));
}

/// S2 2.7: a loop of single events gets the advice to send a batch: in answers, and once in the
/// log.
#[tokio::test]
async fn a_loop_of_single_events_gets_a_recommendation() {
    let node = spec().start().await;
    // On a busy machine a second may be too short for seventeen answers in turn.
    let calls = (0..60).map(|id| node.invalidate(json!({ "type": "products", "id": id })));
    let answers = futures_util::future::join_all(calls).await;
    let is_advice = |text: &Value| {
        text.as_str().is_some_and(|text| text.starts_with("17 single events of products within"))
    };
    let advised = answers.iter().filter(|answer| is_advice(&answer["warnings"][0])).count();
    assert!((1..=44).contains(&advised), "{advised}: neither the first sixteen nor none");
    node.logged("the advice", |line| is_advice(&line["msg"]) && line["status"] == "advice").await;
    let count = node.log_lines().iter().filter(|line| line["status"] == "advice").count();
    assert_eq!(count, 1, "it is logged once a minute");
    let ids: Vec<u32> = (0..60).collect();
    let batch = node.invalidate(json!({ "type": "modules", "ids": ids })).await;
    assert_eq!(batch["warnings"], json!([]), "a batch is what was asked for");
}

/// S2 2.2: webhooks state what happened; with all fields they clear less.
#[tokio::test]
async fn a_webhook_clears_what_the_settings_define() {
    let node = spec().start().await;
    for (hook, body, expected) in [
        ("onProductCreated", json!({ "id": 9, "clientId": "7" }), "p3 s1 s2 m1 m2 c7"),
        ("onProductCreated", json!({ "id": 9 }), "s1 s2 m1 m2 c7"),
        ("onProductCreated", json!({ "id": "1", "clientId": "" }), "s1 s2 m1 m2 c7"),
        ("onExpertSessionModified", json!({ "productId": "" }), "p1 p2 p3 m1 m2 c7"),
        ("onExpertSessionModified", json!({ "productId": 1 }), "p1 p2 p3 s2 m1 m2 c7"),
        ("onModuleContentModified", json!({ "moduleId": "1" }), "p1 p2 p3 s1 s2 m2 c7"),
        ("onClientConfigModified", json!({ "clientId": "7" }), "p1 p2 p3 s1 s2 m1 m2"),
        ("onBulkDataImport", json!({}), ""),
    ] {
        fill(&node).await;
        let answer = node.post(&format!("/api/cache/hooks/{hook}"), body.clone()).await;
        let answer = answer.expect(200);
        assert!(answer["id"].is_string(), "{answer}");
        assert_eq!(left(&node).await, expected, "{hook} {body}");
    }
    let unknown = node.post("/api/cache/hooks/onProductCreate", json!({})).await;
    let detail = unknown.expect(404)["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.ends_with("did you mean onProductCreated?"), "{detail}");
    assert_eq!(node.post("/api/cache/hooks/onBulkDataImport", json!([])).await.status, 400);
    let slip = node.post("/api/cache/hooks/onBulkDataImport", json!({ "Mirror": false })).await;
    assert_eq!(slip.expect(400)["code"], "bad_json");
}

/// S1 1.31: an update of ignored fields alone has no effect, and the answer states it; S1 1.9, 1.8:
/// any other field, or any other action, has an effect.
#[tokio::test]
async fn ignored_fields_clear_nothing() {
    let node = Spec::new("a").set("graph.preset", "laravel-next").start().await;
    assert!(node.put_entry("page", "type=Product&id=1", "v").await);
    let quiet = json!({ "type": "products", "id": 1, "changed": ["admin_notes", "internal_sku"] });
    let answer = node.invalidate(quiet.clone()).await;
    assert_eq!((&answer["id"], &answer["invalidated_entries"]), (&json!(null), &json!(0)));
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.starts_with("products was not cleared"), "{answer}");
    assert_eq!(node.get_entry("page").await.as_deref(), Some("v"));
    assert_eq!(node.journal().await.len(), 0, "nothing was journalled");
    let loud = json!({ "type": "products", "id": 1, "changed": ["admin_notes", "slug"] });
    assert!(node.invalidate(loud).await["id"].is_string());
    assert_eq!(node.get_entry("page").await, None);
    for action in ["create", "delete", "restore", "force_delete", "archive"] {
        let mut gone = quiet.clone();
        gone["action"] = json!(action);
        assert!(node.invalidate(gone).await["id"].is_string(), "{action}");
    }
    let mut half = quiet.clone();
    half["tag"] = json!("home");
    let answer = node.invalidate(half).await;
    assert!(answer["id"].is_string() && answer["warnings"][0].is_string(), "{answer}");
    let event = node.journal().await.pop().expect("an event");
    assert_eq!(event["selectors"], json!(["tag:home"]));
    let explained = node.post("/api/cache/explain", quiet).await;
    assert_eq!(explained.status, 400);
}

/// S1 1.10: the eight models of the preset, by class name and by table, clear what shows them.
#[tokio::test]
async fn the_preset_contains_the_eight_models_of_laravel_next() {
    let node = Spec::new("a").set("graph.preset", "laravel-next").start().await;
    for (model, cascade) in [
        ("Menu", json!([])),
        ("MenuBlock", json!(["menus"])),
        ("MenuBlockItem", json!(["menu_blocks", "menus"])),
        ("HomeComponent", json!(["home"])),
        ("Product", json!(["home"])),
        ("Article", json!(["home"])),
        ("Image", json!(["articles", "home", "home_components", "products"])),
        ("CatalogTerm", json!(["home", "products"])),
    ] {
        let request = json!({ "type": model, "id": 1, "dry_run": true });
        let answer = node.invalidate(request).await;
        let mut cleared = answer["cascade"].as_array().cloned().unwrap_or_default();
        cleared.sort_by_key(Value::to_string);
        assert_eq!((json!(cleared), &answer["warnings"]), (cascade, &json!([])), "{model}");
    }
    let shown = |json: &str| {
        let json = json.to_owned();
        let node = &node;
        async move {
            assert_eq!(clear(node, &json).await.0, 200, "{json}");
            node.journal().await.pop().expect("an event")["selectors"].clone()
        }
    };
    // S1 1.6: the named groups.
    assert_eq!(shown(r#"{"type":"home"}"#).await, json!(["path:/"]));
    let all = json!(["path:/", "path:/filter", "path:/products"]);
    assert_eq!(shown(r#"{"type":"all"}"#).await, all);
    let product = json!(["path:/", "path:/products", "path:/products/merlot"]);
    assert_eq!(shown(r#"{"type":"product","slug":"merlot"}"#).await, product);
}
