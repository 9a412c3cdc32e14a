//! The instance itself: login, stream, identity, health and its descriptions.
//! What settings may open to everybody is described with and without credentials.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::deliver::HelloAnswer;
use crate::deliver::identity::Identity;
use crate::wire::{Health, LoggedIn, Reloaded, Ticket};

const POLICY: (&str, &str) = ("Content-Security-Policy", "No script but these files");

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        login(types),
        keys(),
        stream(Method::GET, "stream", "What is invalidated, as it happens"),
        preflight(),
        ticket(types),
        reload(types),
        identity(types),
        hello(types),
        healthy(Method::GET, "healthz", types),
        healthy(Method::HEAD, "healthz_head", types),
        ready(Method::GET, "readyz", types),
        ready(Method::HEAD, "readyz_head", types),
        lead(Method::GET, "/", "root"),
        lead(Method::HEAD, "/", "root_head"),
        lead(Method::GET, "/dashboard/", "dashboard_slash"),
        lead(Method::HEAD, "/dashboard/", "dashboard_slash_head"),
        dashboard(Method::GET, "dashboard"),
        dashboard(Method::HEAD, "dashboard_head"),
        dashboard_file(Method::GET, "dashboard_file"),
        dashboard_file(Method::HEAD, "dashboard_file_head"),
        openapi(Method::GET, "openapi"),
        openapi(Method::HEAD, "openapi_head"),
        metrics(Method::GET, "metrics"),
        metrics(Method::HEAD, "metrics_head"),
    ]
}

fn openapi(method: Method, id: &'static str) -> Operation {
    Operation::new(method, "/openapi.json", id, "This document").gives(
        200,
        "OpenAPI 3.1",
        json!({ "type": "object" }),
    )
}

fn metrics(method: Method, id: &'static str) -> Operation {
    let (media, text) = ("application/openmetrics-text", json!({ "type": "string" }));
    Operation::new(method, "/metrics", id, "Metrics for Prometheus")
        .words("Open to everybody where `control.metrics_public` is true.")
        .judged_inside()
        .answers(200, "OpenMetrics text; docs/METRICS.md explains it", media, text)
}

fn lead(method: Method, path: &'static str, id: &'static str) -> Operation {
    Operation::new(method, path, id, "Leads to the operator's page")
        .empty(302, "`Location` is relative, so that it holds below a prefix")
        .with_headers(302, &[("Location", "Where the page is")])
}

fn dashboard(method: Method, id: &'static str) -> Operation {
    let text = json!({ "type": "string" });
    Operation::new(method, "/dashboard", id, "The operator's page")
        .words("It asks for a token itself; docs/DASHBOARD.md tells what it shows.")
        .answers(200, "The page", "text/html", text)
        .with_headers(200, &[("ETag", "Of this version"), POLICY])
        .empty(304, "The one that `If-None-Match` names")
}

fn dashboard_file(method: Method, id: &'static str) -> Operation {
    let name = json!({ "type": "string", "minLength": 1 });
    let path = "/dashboard/{file}";
    Operation::new(method, path, id, "What that page is made of")
        .part("file", "A script or the style", &name, "app.js")
        .answers(200, "The file, with its media type", "*/*", json!({}))
        .with_headers(200, &[("ETag", "Of this version"), POLICY])
        .empty(304, "The one that `If-None-Match` names")
}

fn login(types: &mut SchemaGenerator) -> Operation {
    let example = json!({ "email": "mirror@example.org", "password": "correct horse battery" });
    Operation::new(Method::POST, "/api/auth/login", "login", "A token for a service account")
        .json("Login", true, &[("A peer logs in", example)])
        .gives(200, "A token for local invalidations", types.subschema_for::<LoggedIn>())
        .problem(401, &["invalid_credentials"])
        .problem(429, &["too_many_requests"])
}

/// By hand: the keys are read from what was configured, and no type holds them.
fn keys() -> Operation {
    let text = json!({ "type": "string" });
    let key = json!({
        "type": "object",
        "properties": {
            "kid": text,
            "use": { "const": "sig" },
            "alg": { "enum": ["EdDSA", "ES256", "RS256"] },
            "kty": { "enum": ["OKP", "EC", "RSA"] },
            "crv": { "enum": ["Ed25519", "P-256"] },
            "x": text, "y": text, "n": text, "e": text,
        },
        "required": ["kid", "use", "alg", "kty"],
        // A private part would be one.
        "additionalProperties": false,
    });
    let keys = json!({ "type": "array", "items": key });
    let set = json!({ "type": "object", "properties": { "keys": keys }, "required": ["keys"] });
    let path = "/.well-known/jwks.json";
    Operation::new(Method::GET, path, "jwks", "The public halves of the keys that sign tokens")
        .words("RFC 7517. Both keys during a rotation; none where a shared secret signs.")
        .gives(200, "A JWK set", set)
}

fn stream(method: Method, id: &'static str, summary: &'static str) -> Operation {
    let text = json!({ "type": "string" });
    let position = json!("7-42");
    Operation::new(method, "/api/stream", id, summary)
        .words(
            "Server-sent events: `hello`, then `app-update` for each type, `ping` in between. \
             A ticket stands for a token where a browser can send none. Whoever asks for a \
             WebSocket (RFC 6455) gets the same there: each event a message of JSON with the \
             members `event`, `data`, and where there is one `id` and `retry`.",
        )
        .judged_inside()
        .query("ticket", "From `POST /api/stream/ticket`", &text, &json!("…"))
        .query("last_event_id", "The id to go on from", &text, &position)
        .query("lastEventId", "The same, for libraries that write it so", &text, &position)
        .header("Last-Event-ID", "The same, as browsers send it", &text)
        .empty(101, "It goes on as a WebSocket")
        .with_headers(101, &[("Sec-WebSocket-Accept", "The proof for the key that was sent")])
        .answers(200, "It does not end", "text/event-stream", json!({ "type": "string" }))
        .problem(400, &["bad_handshake", "unknown_parameter"])
        .problem(426, &["unknown_version"])
        .problem(403, &["origin_not_allowed"])
        .problem(503, &["stopping", "too_many_readers"])
}

fn preflight() -> Operation {
    let summary = "What a browser asks before it opens the stream";
    Operation::new(Method::OPTIONS, "/api/stream", "stream_preflight", summary)
        .empty(204, "The origin may")
        .problem(403, &["origin_not_allowed"])
}

fn reload(types: &mut SchemaGenerator) -> Operation {
    Operation::new(Method::POST, "/api/reload", "reload", "Read the settings again")
        .words("All of it is checked before any of it changes; a 422 names every problem.")
        .gives(200, "Taken over", types.subschema_for::<Reloaded>())
        .problem(422, &["bad_config"])
        .problem(503, &["stopping"])
}

fn ticket(types: &mut SchemaGenerator) -> Operation {
    Operation::new(Method::POST, "/api/stream/ticket", "ticket", "A one-use ticket for the stream")
        .gives(200, "Good for one connection", types.subschema_for::<Ticket>())
}

fn identity(types: &mut SchemaGenerator) -> Operation {
    let nonce = json!({ "type": "string", "minLength": 1, "maxLength": 128 });
    let path = "/_cache-mirror/identity";
    Operation::new(Method::GET, path, "identity", "Who this is, and the proof that it is")
        .words(
            "With `check` it also answers keyed hashes of that secret, to a service account or an \
             administrator only (docs/PROTOCOL.md).",
        )
        .required_query("nonce", "Anything; at most 128 bytes", &nonce, &json!("3f9a"))
        .alternative("check", "A secret to compare", &json!({ "const": "revalidate" }))
        .gives(200, "proof = HMAC-SHA256(boot nonce, nonce)", types.subschema_for::<Identity>())
        .problem(400, &["bad_nonce", "bad_check"])
        .problem(401, &["invalid_credentials", "unauthenticated"])
        .problem(403, &["forbidden"])
        .problem(429, &["too_many_requests"])
}

fn hello(types: &mut SchemaGenerator) -> Operation {
    let example = json!({ "instance": "eu-2" });
    let summary = "A peer says that it has started";
    Operation::new(Method::POST, "/_cache-mirror/hello", "hello", summary)
        .words(
            "The mirror with that name is checked now, at most once in 5 s, and gets what it is \
             owed. Nothing depends on the call (docs/PROTOCOL.md).",
        )
        .json("Hello", true, &[("An instance has started", example)])
        .gives(202, "How many destinations are checked", types.subschema_for::<HelloAnswer>())
        .problem(400, &["bad_json", "bad_instance"])
}

fn healthy(method: Method, id: &'static str, types: &mut SchemaGenerator) -> Operation {
    Operation::new(method, "/healthz", id, "Whether the process answers").gives(
        200,
        "It does",
        types.subschema_for::<Health>(),
    )
}

fn ready(method: Method, id: &'static str, types: &mut SchemaGenerator) -> Operation {
    Operation::new(method, "/readyz", id, "Whether it can take invalidations")
        .words("Peers do not matter here.")
        .gives(200, "It can", types.subschema_for::<Health>())
        .gives(503, "The disk refuses events", types.subschema_for::<Health>())
}
