//! The Compose file: valid by the specification's schema, known to our settings, and played through
//! with processes in place of containers.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image::Image;
use crate::settings::{Variables, assert_known};
use crate::support::{Node, Spec, eventually, free_port, id_of, outcomes};
use crate::tools::{assert_is_strict, findings};
use crate::yaml::{document, texts};
use crate::{assert_parses, at, read};

const FILE: &str = "deploy/compose.yaml";
const SERVICES: [&str; 3] = ["admin", "production", "staging"];

/// `${NAME:-default}` and `${NAME:?reason}`, replaced from `.env.example` or by the default.
fn filled(text: &str) -> String {
    let example = read("deploy/.env.example");
    let known: BTreeMap<&str, &str> =
        example.lines().filter_map(|line| line.split_once('=')).collect();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inner, behind) = after.split_once('}').expect("it is closed");
        let (name, otherwise) = inner.split_once(':').unwrap_or((inner, ""));
        let value = known.get(name).copied();
        let value = value.or_else(|| otherwise.strip_prefix('-'));
        out.push_str(before);
        out.push_str(value.unwrap_or_else(|| panic!("{name} is not in .env.example")));
        rest = behind;
    }
    out + rest
}

fn services() -> BTreeMap<String, Value> {
    let services = document(FILE)["services"].as_object().cloned().expect("services");
    services.into_iter().collect()
}

fn variables(service: &Value) -> Variables {
    let given = service["environment"].as_object().expect("variables");
    given
        .iter()
        .map(|(name, value)| (name.clone(), filled(value.as_str().expect("text"))))
        .collect()
}

#[test]
fn compose_accepts_the_file() {
    let schema = ["--builtin-schema", "vendor.compose-spec"];
    assert_eq!(findings("check-jsonschema", &schema, &at(FILE)), "");
    let misspelt = "services:\n  a:\n    image: x\n    restrat: always\n";
    assert_is_strict("check-jsonschema", &schema, "compose.yaml", misspelt, "restrat");
}

#[test]
fn each_service_is_locked_down_and_uses_existing_commands() {
    let image = Image::read();
    let named = document(FILE);
    let services = services();
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), SERVICES);
    for (name, service) in &services {
        assert_eq!(
            service["container_name"],
            Value::Null,
            "{name}: two of them must be able to run"
        );
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"], json!(["ALL"]));
        assert_eq!(service["stop_grace_period"], "30s");
        assert_eq!(service["build"]["dockerfile"], "deploy/Dockerfile");
        let check = texts(&service["healthcheck"]["test"]);
        assert_eq!(check[..2], ["CMD", "/cache-mirror"]);
        assert_parses(&check[2..]);
        if let Some(command) = service["command"].as_array() {
            assert_parses(&texts(&Value::Array(command.clone())));
        }
        let mut merged = image.variables();
        merged.extend(variables(service));
        assert_known(&merged);
        let mounts = texts(&service["volumes"]);
        let targets: Vec<&str> = mounts.iter().filter_map(|m| Some(m.split_once(':')?.1)).collect();
        assert_eq!(targets, image.volumes(), "{name}: a read-only root needs both");
        for mount in mounts {
            let (volume, _) = mount.split_once(':').expect("a named volume");
            assert!(volume.starts_with(name.as_str()) && named["volumes"].get(volume).is_some());
        }
        let port = filled(texts(&service["ports"])[0]);
        assert!(port.starts_with("127.0.0.1:"), "{port} is open to the world");
        assert_eq!(port.rsplit(':').next(), Some(image.is("EXPOSE")));
    }
}

/// Secrets are files: none in the environment, and none in the file.
#[test]
fn secrets_are_files() {
    for service in services().values() {
        let given = variables(service);
        for secret in texts(&service["secrets"]) {
            let path = format!("/run/secrets/{secret}");
            let reads = given.iter().find(|(_, value)| **value == path).expect("it is read");
            assert!(reads.0.ends_with("_FILE"), "{}", reads.0);
            assert!(document(FILE)["secrets"][secret]["file"].is_string());
        }
        let is_secret = |name: &&String| name.contains("PASSWORD") || name.contains("TOKEN");
        assert!(given.keys().filter(is_secret).all(|name| name.ends_with("_FILE")));
    }
    let ignored = read(".gitignore");
    assert!(ignored.contains("/deploy/secrets") && ignored.contains("/deploy/.env"));
}

/// A process with a service's variables; names of services are free ports of this host.
async fn played(name: &str, service: &Value, ports: &BTreeMap<&str, u16>) -> Node {
    let secret = at(env!("CARGO_TARGET_TMPDIR")).join("compose-service-password");
    std::fs::write(&secret, "a-password-of-the-tests\n").expect("write");
    let mut spec = Spec::new(name).port(ports[name]).unset("graph.preset").unset("instance.name");
    spec =
        spec.unset("auth.jwt_secret").without_env("SERVICE_EMAIL").without_env("SERVICE_PASSWORD");
    for (variable, mut value) in variables(service) {
        for (host, port) in ports {
            value = value.replace(&format!("//{host}:4400"), &format!("//127.0.0.1:{port}"));
        }
        value = value.replace("/run/secrets/service_password", &secret.display().to_string());
        spec = spec.env(&variable, &value);
    }
    spec.start().await
}

/// What the file is for: a change at admin arrives at both others, by nothing but what it sets.
#[tokio::test]
async fn an_invalidation_at_admin_reaches_staging_and_production() {
    let services = services();
    let ports: BTreeMap<&str, u16> = SERVICES.into_iter().map(|name| (name, free_port())).collect();
    let staging = played("staging", &services["staging"], &ports).await;
    let production = played("production", &services["production"], &ports).await;
    let admin = played("admin", &services["admin"], &ports).await;
    for node in [&staging, &production] {
        assert!(node.put_entry("post-42.html", "type=posts&id=42", "old").await);
    }
    let id = id_of(&admin.invalidate(json!({ "type": "pictures" })).await);
    eventually("both have acknowledged", async || {
        let outcomes = outcomes(&admin.event(&id).await);
        outcomes.len() == 2 && outcomes.values().all(|status| status == "delivered")
    })
    .await;
    for node in [&staging, &production] {
        assert_eq!(node.get_entry("post-42.html").await, None, "{}: by the graph", node.name());
        assert_eq!(node.stats().await["instance"], node.name());
    }
}
