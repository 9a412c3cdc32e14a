//! The manifests: valid by the schemas of Kubernetes, at one with each other, with the image, with
//! our routes and with our settings.

use serde_json::{Value, json};

use crate::image::Image;
use crate::settings::{Variables, assert_known, assert_valid};
use crate::tools::{assert_is_strict, findings};
use crate::yaml::{document, documents, texts};
use crate::{assert_parses, at, read};

const DIR: &str = "deploy/kubernetes";
/// What operators make of the example.
const SECRET: &str = "secret.yaml";

fn manifest(name: &str) -> Value {
    document(&format!("{DIR}/{name}.yaml"))
}

fn pod() -> Value {
    manifest("statefulset")["spec"]["template"].clone()
}

fn container() -> Value {
    pod()["spec"]["containers"][0].clone()
}

/// The keys of the Secret, as the container gets them.
fn variables() -> Variables {
    let secret = manifest("secret.example");
    assert_eq!(container()["envFrom"][0]["secretRef"]["name"], secret["metadata"]["name"]);
    let data = secret["stringData"].as_object().expect("keys");
    data.iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
        .collect()
}

#[test]
fn kubernetes_accepts_every_manifest() {
    let resources = manifest("kustomization");
    let resources = texts(&resources["resources"]);
    let mut seen = 0;
    for entry in std::fs::read_dir(at(DIR)).expect("the directory") {
        let name = entry.expect("a file").file_name().into_string().expect("UTF-8");
        if ["kustomization.yaml", SECRET].contains(&name.as_str()) {
            continue;
        }
        seen += 1;
        let path = format!("{DIR}/{name}");
        assert_eq!(findings("kubernetes-validate", &["--strict", "--quiet"], &at(&path)), "");
        // The example is to be replaced, never to be applied.
        assert_eq!(resources.contains(&name.as_str()), !name.contains("example"), "{name}");
        for document in documents(&path) {
            assert_eq!(document["metadata"]["name"], "cache-mirror", "{name}");
        }
    }
    // All of them but the example, and the Secret.
    assert_eq!(seen, resources.len());
    let misspelt = read(&format!("{DIR}/statefulset.yaml")).replace("httpGet", "httpGett");
    let strict = ["--strict", "--quiet"];
    assert_is_strict("kubernetes-validate", &strict, "a.yaml", &misspelt, "httpGett");
}

/// A pod waits forever for a missing Secret. So its file is applied with the rest, is copied from
/// the example, and stays out of the repository.
#[test]
fn the_secret_is_applied_with_the_rest() {
    let kustomization = manifest("kustomization");
    assert!(texts(&kustomization["resources"]).contains(&SECRET));
    let ignored = read(".gitignore");
    assert!(ignored.lines().any(|line| line == format!("/{DIR}/{SECRET}")));
    for name in ["kustomization.yaml", "secret.example.yaml"] {
        assert!(read(&format!("{DIR}/{name}")).contains("secret.yaml"), "{name}");
    }
}

/// With the commented lines enabled, the policy admits a Prometheus in another namespace.
#[test]
fn the_network_policy_documents_access_for_prometheus() {
    let policy = read(&format!("{DIR}/networkpolicy.yaml"));
    let (before, shown) = policy.split_once("# - namespaceSelector").expect("it is shown");
    let shown = format!("- namespaceSelector{}", shown.replace("        # ", "        "));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("networkpolicy.yaml");
    std::fs::write(&file, format!("{before}{shown}")).expect("write");
    assert_eq!(findings("kubernetes-validate", &["--strict", "--quiet"], &file), "");
    let policy = document(&file.display().to_string());
    let prometheus = &policy["spec"]["ingress"][0]["from"][2];
    for by in ["namespaceSelector", "podSelector"] {
        assert!(prometheus[by]["matchLabels"].is_object(), "{prometheus}");
    }
}

#[test]
fn probes_use_existing_routes_on_the_open_port() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cache-mirror"))
        .args(["openapi", "--json"])
        .output()
        .expect("it runs");
    let served: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let container = container();
    let port = &container["ports"][0];
    assert_eq!(port["containerPort"].to_string(), Image::read().is("EXPOSE"));
    for (probe, path) in
        [("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")]
    {
        let asked = &container[format!("{probe}Probe")]["httpGet"];
        assert_eq!(asked["path"], path, "{probe}");
        assert!(served["paths"][path]["get"].is_object(), "{path} is not served");
        assert_eq!(asked["port"], port["name"], "{probe}");
    }
    let service = manifest("service");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    assert_eq!(service["spec"]["ports"][0]["port"], port["containerPort"]);
    let policy = manifest("networkpolicy");
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port["name"]);
}

#[test]
fn arguments_variables_and_settings_exist() {
    assert_parses(&texts(&container()["args"]));
    let mut variables = variables();
    assert_known(&variables);
    variables.extend(Image::read().variables());
    assert_known(&variables);

    let map = manifest("configmap");
    let text = map["data"]["cache-mirror.toml"].as_str().expect("a settings file");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("cache-mirror.toml");
    std::fs::write(&file, text).expect("write");
    assert_valid(&["--config", &file.display().to_string()], &variables);

    let settings: toml::Value = toml::from_str(text).expect("TOML");
    let drain_ms = settings["control"]["drain_ms_max"].as_integer().expect("milliseconds");
    let grace_s = pod()["spec"]["terminationGracePeriodSeconds"].as_i64().expect("seconds");
    assert!(2 * drain_ms < grace_s * 1000, "it would be killed while it still sends");
}

#[test]
fn the_pod_is_locked_down_and_written_paths_are_mounted() {
    let (pod, container, image) = (pod(), container(), Image::read());
    assert_eq!(pod["spec"]["enableServiceLinks"], false);
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let security = &pod["spec"]["securityContext"];
    let user = format!("{}:{}", security["runAsUser"], security["runAsGroup"]);
    assert_eq!((&security["runAsNonRoot"], user.as_str()), (&json!(true), image.is("USER")));
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));

    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let at = |path: &str| mounts.iter().find(|mount| mount["mountPath"] == path);
    for volume in image.volumes() {
        assert_eq!(at(&volume).expect("it is mounted")["readOnly"], Value::Null, "{volume}");
    }
    let config = at("/config").expect("the settings");
    assert_eq!(config["subPath"], Value::Null, "a mounted file would never change");
    let args = container["args"].clone();
    assert!(texts(&args).contains(&"/config/cache-mirror.toml"));
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
    let claims = manifest("statefulset")["spec"]["volumeClaimTemplates"].clone();
    let claims = claims.as_array().expect("claims").clone();
    for mount in mounts {
        let is_volume = volumes.iter().any(|volume| volume["name"] == mount["name"]);
        let is_claim = claims.iter().any(|claim| claim["metadata"]["name"] == mount["name"]);
        assert!(is_volume || is_claim, "{mount}");
    }
}

#[test]
fn every_selector_matches_the_pod() {
    let labels = pod()["metadata"]["labels"].clone();
    let selectors = [
        manifest("statefulset")["spec"]["selector"]["matchLabels"].clone(),
        manifest("service")["spec"]["selector"].clone(),
        manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"].clone(),
        manifest("networkpolicy")["spec"]["podSelector"]["matchLabels"].clone(),
    ];
    assert!(selectors.iter().all(|selector| *selector == labels), "{selectors:?}");
    let set = manifest("statefulset");
    assert_eq!(set["spec"]["replicas"], 1, "the journal has one writer");
    assert_eq!(set["spec"]["serviceName"], manifest("service")["metadata"]["name"]);
    assert_eq!(manifest("poddisruptionbudget")["spec"]["maxUnavailable"], 1);
}
