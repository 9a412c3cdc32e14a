//! `/openapi.json` against a real process: every operation is called with its examples, and every
//! answer matches the document.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, Node, Spec, StubPeer};

/// The account of the example of the login.
const EMAIL: &str = "mirror@example.org";
const PASSWORD: &str = "correct horse battery";
/// The secret of the example of a revalidation.
const SECRET: &str = "use-strong-random-64-char-string-here";

/// What stands for the parts of a path, because no document can know them.
struct Known {
    event: String,
    mirror: String,
}

struct Document(Value);

impl Document {
    async fn of(node: &Node) -> Self {
        Self(node.get("/openapi.json").await.expect(200))
    }

    /// Method, path and operation; what makes comes before what looks, and what removes last.
    fn operations(&self) -> Vec<(Method, String, &Map<String, Value>)> {
        let order = ["options", "post", "patch", "put", "get", "head", "delete"];
        let mut all = vec![];
        for method in order {
            for (path, item) in self.0["paths"].as_object().expect("paths") {
                if let Some(operation) = item[method].as_object() {
                    let method = method.to_uppercase().parse().expect("a method");
                    all.push((method, path.clone(), operation));
                }
            }
        }
        all
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(pointer) => self.0.pointer(&pointer[1..]).expect("a reference leads somewhere"),
            None => value,
        }
    }

    /// A schema that can be used by itself: its references lead into the document.
    fn validator(&self, schema: &Value) -> Validator {
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        jsonschema::draft202012::new(&whole).expect("a valid schema")
    }

    /// Fails unless the answer is one of those that are promised.
    fn judge(&self, operation: &Map<String, Value>, answer: &Answer) {
        let id = operation["operationId"].as_str().expect("an id");
        let promised = self.resolve(&operation["responses"][answer.status.to_string()]);
        let text = String::from_utf8_lossy(&answer.body);
        assert!(promised["description"].is_string(), "{id}: {} {text}", answer.status);
        let Some(content) = promised["content"].as_object() else { return };
        let given = answer.header("content-type").expect("a media type");
        let media = given.split(';').next().expect("it begins");
        let promised = content.get(media).or_else(|| content.get("*/*"));
        let promised = promised.unwrap_or_else(|| panic!("{id}: {media} is not promised"));
        if media.ends_with("json") {
            let json = answer.json();
            if let Err(error) = self.validator(&promised["schema"]).validate(&json) {
                panic!("{id}: {error} at {} in {json}", error.instance_path());
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The path with its part filled in, and every query parameter as its example has it.
fn target(path: &str, operation: &Map<String, Value>, known: &Known) -> String {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut path = path.to_owned();
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        let example = text(&parameter["example"]);
        match (parameter["in"].as_str().expect("a place"), name) {
            ("path", "id") if path.contains("/events/") => {
                path = path.replace("{id}", &known.event);
            }
            ("path", "name") if path.contains("/mirrors/") => {
                path = path.replace("{name}", &known.mirror);
            }
            ("path", _) => path = path.replace(&format!("{{{name}}}"), &example),
            // A real ticket is another answer's.
            ("query", "ticket") => {}
            // It stands for another that has one.
            ("query", _) if parameter.get("example").is_none() => {}
            ("query", _) => drop(query.append_pair(name, &example)),
            _ => {}
        }
    }
    format!("{path}?{}", query.finish())
}

/// The examples of the body; one empty body where there are none.
fn bodies(operation: &Map<String, Value>) -> Vec<(String, Option<Value>)> {
    let Some(body) = operation.get("requestBody") else { return vec![(String::new(), None)] };
    let (media, content) =
        body["content"].as_object().expect("content").iter().next().expect("one");
    let named = content["examples"].as_object().into_iter().flat_map(Map::values);
    let mut all: Vec<Value> = named.map(|example| example["value"].clone()).collect();
    all.extend(content.get("example").cloned());
    assert!(!all.is_empty(), "{operation:?} has no example of its body");
    all.into_iter().map(|example| (media.clone(), Some(example))).collect()
}

/// Calls it, without reading a stream that does not end.
async fn call(
    node: &Node,
    method: &Method,
    target: &str,
    body: &(String, Option<Value>),
) -> Answer {
    let mut request = node.request(method.clone(), target);
    if let (media, Some(value)) = body {
        let sent = if media == "application/json" { value.to_string() } else { text(value) };
        request = request.header("content-type", media.as_str()).body(sent);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let is_endless =
        headers.get("content-type").is_some_and(|it| it == "text/event-stream; charset=utf-8");
    let body =
        if is_endless { Default::default() } else { response.bytes().await.expect("a body") };
    Answer { status, headers, body }
}

/// A key to publish.
fn ed_pem() -> String {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("generates");
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

const SCHEDULES: &str =
    "[{ id = 'activate-tournaments', cron = '@yearly', invalidate = { all = true } }]";
const HOOKS: &str =
    "[{ name = 'database', preset = 'supabase', secret = 'admin-token-of-a-0123456789' }]";

async fn scene() -> (Node, StubPeer, Known) {
    let peer = StubPeer::start().await;
    let node = Spec::new("a")
        .env("SERVICE_EMAIL", EMAIL)
        .env("SERVICE_PASSWORD", PASSWORD)
        .env("REVALIDATE_SECRET", SECRET)
        .set("groups.products", r#"{ clears = ["posts"] }"#)
        .set("hooks.onProductCreated", r#"{ clears = ["posts"], narrowed = ["posts/{id}"] }"#)
        .env("CACHE_MIRROR__AUTH__SIGNING_KEY", &ed_pem())
        // Its secret is the token that is sent with everything.
        .set("ingest.hooks", HOOKS)
        .set("schedules", SCHEDULES)
        // A wrong token for every operation: each is to be refused for what it is.
        .set("auth.token_failures_per_minute", 1000)
        .mirrors([peer.name()])
        .start()
        .await;
    let answer = node.invalidate(json!({ "type": "posts", "id": 1 })).await;
    let known = Known { event: answer["id"].as_str().expect("an id").into(), mirror: peer.name() };
    (node, peer, known)
}

/// Every example succeeds, with the answer that is promised for success.
#[tokio::test]
async fn every_example_works_and_is_answered_as_promised() {
    let (node, _peer, known) = scene().await;
    let document = Document::of(&node).await;
    let mut count = 0;
    for (method, path, operation) in document.operations() {
        let target = target(&path, operation, &known);
        for body in bodies(operation) {
            let answer = call(&node, &method, &target, &body).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            // `/` only leads to the dashboard.
            let succeeded = matches!(answer.status, 200..300 | 302);
            assert!(succeeded, "{method} {target} {body:?}: {text}");
            document.judge(operation, &answer);
            count += 1;
        }
    }
    assert!(count > 30, "{count} examples");
}

/// Every example of a body keeps to the schema that is promised for it.
#[tokio::test]
async fn every_example_of_a_body_keeps_to_its_schema() {
    let (node, _peer, _) = scene().await;
    let document = Document::of(&node).await;
    for (method, path, operation) in document.operations() {
        let json = operation.get("requestBody").map(|body| &body["content"]["application/json"]);
        let Some(content) = json.filter(|content| content.is_object()) else { continue };
        let validator = document.validator(&content["schema"]);
        for (_, example) in bodies(operation) {
            let example = example.expect("a body");
            assert!(validator.is_valid(&example), "{method} {path}: {example}");
        }
        // What webhooks hold is their senders' own.
        let is_narrow = !validator.is_valid(&json!([]));
        assert!(is_narrow || path == "/api/hooks/{name}", "{method} {path} takes anything");
    }
}

/// Refusals keep to the document as well: no credentials, the wrong ones, nonsense in every place.
#[tokio::test]
async fn every_refusal_is_as_promised() {
    let (node, _peer, known) = scene().await;
    let document = Document::of(&node).await;
    for (method, path, operation) in document.operations() {
        let target = target(&path, operation, &known);
        for token in ["nonsense", ""] {
            let response = node.request_as(token, method.clone(), &target).send().await;
            let response = response.expect("an answer");
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = response.bytes().await.expect("a body");
            let is_open = operation.get("security") == Some(&json!([]));
            assert!(is_open || status == 401, "{method} {target} as {token:?}: {status}");
            document.judge(operation, &Answer { status, headers, body });
        }
        if operation.contains_key("requestBody") {
            for nonsense in ["{", "[]", r#"{"all":3}"#, &format!("{}1", "[".repeat(100))] {
                let body = ("application/json".to_owned(), Some(json!(nonsense)));
                let request = node.request(method.clone(), &target).body(nonsense.to_owned());
                let response = request.send().await.expect("an answer");
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                // Older routes answer invalid input like this, as documented.
                let may_fail = operation["responses"]["500"].is_object();
                assert!(status < 500 || may_fail, "{method} {target} {body:?}");
                let body = response.bytes().await.expect("a body");
                document.judge(operation, &Answer { status, headers, body });
            }
        }
    }
}

/// A list by comma may be empty, as the description has it.
#[tokio::test]
async fn an_empty_list_of_types_returns_no_versions() {
    let (node, _peer, _) = scene().await;
    for query in ["types=", "types=,"] {
        let answer = node.get(&format!("/api/cache/versions?{query}")).await.expect(200);
        assert_eq!(answer["types"], json!({}), "{query}");
    }
}
