//! The Dockerfile: read by hadolint, and held against what it packs.
//!
//! No image is built here. What a build needs of the sources, and what the image promises of the
//! binary, is.

use std::collections::BTreeMap;

use crate::settings::{Variables, assert_known};
use crate::tools::{assert_is_strict, findings};
use crate::{assert_parses, at, read};

/// Instructions of the last stage, and of all, in order.
pub struct Image {
    all: Vec<(String, String)>,
    last: Vec<(String, String)>,
}

/// The instructions of a Dockerfile: continued lines are one, comments are none.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let split = |line: &str| {
        let (word, rest) = line.trim().split_once(' ')?;
        Some((word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    joined.lines().filter_map(split).collect()
}

impl Image {
    pub fn read() -> Self {
        let all = instructions(&read("deploy/Dockerfile"));
        let from = all.iter().rposition(|(word, _)| word == "FROM").expect("a stage");
        Self { last: all[from..].to_vec(), all }
    }

    /// The last of its kind in the last stage.
    #[track_caller]
    pub fn is(&self, word: &str) -> &str {
        let found = self.last.iter().rfind(|(w, _)| w == word);
        &found.unwrap_or_else(|| panic!("no {word}")).1
    }

    fn words(&self, word: &str) -> Vec<String> {
        serde_json::from_str(self.is(word)).unwrap_or_else(|error| panic!("{word}: {error}"))
    }

    pub fn variables(&self) -> Variables {
        let pairs = self.is("ENV").split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    pub fn volumes(&self) -> Vec<String> {
        self.words("VOLUME")
    }
}

#[test]
fn hadolint_finds_nothing() {
    assert_eq!(findings("hadolint", &["--no-color"], &at("deploy/Dockerfile")), "");
    assert_is_strict("hadolint", &["--no-color"], "Dockerfile", "FROM debian\nRUN cd /", "DL3006");
}

#[test]
fn the_last_stage_contains_only_the_binary_and_runs_without_root() {
    let image = Image::read();
    assert_eq!(image.is("FROM"), "scratch");
    assert_eq!(image.is("USER"), "65532:65532");
    assert!(!image.last.iter().any(|(word, _)| word == "RUN"), "there is no shell");
    let copies = image.last.iter().filter(|(word, _)| word == "COPY");
    assert!(copies.clone().all(|(_, rest)| rest.contains("--chown=65532:65532")));
    assert_eq!(image.is("STOPSIGNAL"), "SIGTERM");
    for label in ["title", "description", "licenses", "version", "revision", "source"] {
        let label = format!("org.opencontainers.image.{label}=");
        assert!(image.is("LABEL").contains(&label), "{label}");
    }
    let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(image.last.iter().any(|(word, rest)| word == "ARG" && *rest == version), "{version}");
}

#[test]
fn entry_point_and_health_check_are_existing_commands() {
    let image = Image::read();
    let entry = image.words("ENTRYPOINT");
    assert_eq!(entry, ["/cache-mirror"]);
    let command = image.words("CMD");
    assert_parses(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let check = image.is("HEALTHCHECK").split_once("CMD ").expect("a command").1.to_owned();
    let check: Vec<String> = serde_json::from_str(&check).expect("a list: there is no shell");
    assert_eq!(check[0], entry[0]);
    assert_parses(&check[1..].iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn its_variables_are_settings_and_written_paths_are_volumes() {
    let image = Image::read();
    let variables = image.variables();
    assert_known(&variables);
    let volumes = image.volumes();
    assert_eq!(variables["CACHE_MIRROR__INSTANCE__DATA_DIR"], volumes[0]);
    let log = variables["CACHE_MIRROR__LOG__FILE"].rsplit_once('/').expect("a directory").0;
    assert_eq!(log, volumes[1]);
    let listen = &variables["CACHE_MIRROR__CONTROL__LISTEN"];
    assert_eq!(listen, &format!("0.0.0.0:{}", image.is("EXPOSE")));
}

/// A build that misses a file is found when it is too late for a test.
#[test]
fn the_build_inputs_are_copied_and_not_ignored() {
    let image = Image::read();
    let copied: Vec<&str> = image
        .all
        .iter()
        .filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from"))
        .flat_map(|(_, rest)| rest.split(' ').rev().skip(1))
        .collect();
    let ignored = read("deploy/Dockerfile.dockerignore");
    let is_let_through = |path: &str| {
        let rules = ignored.lines().filter_map(|line| line.strip_prefix('!'));
        rules.into_iter().any(|rule| rule == path || rule.starts_with(&format!("{path}/")))
    };
    assert!(copied.len() >= 5, "{copied:?}");
    for path in &copied {
        assert!(at(path).exists(), "{path} is not there");
        assert!(is_let_through(path), "{path} does not reach the builder");
    }
    // Cargo wants every target that the manifest names, whichever is built.
    let manifest: BTreeMap<String, toml::Value> = toml::from_str(&read("Cargo.toml")).expect("it");
    let benches = manifest["bench"].as_array().expect("benches");
    for name in benches.iter().filter_map(|bench| bench["name"].as_str()) {
        let roots = [format!("benches/{name}.rs"), format!("benches/{name}/main.rs")];
        assert!(
            roots.iter().any(|path| at(path).exists()) && copied.contains(&"benches"),
            "{name}"
        );
    }
    let output = std::process::Command::new("grep")
        .args(["-rhoE", "--exclude-dir=tests", "--exclude=tests.rs", "include_str!\\([^)]*\\)"])
        .arg(at("src"))
        .output()
        .expect("grep runs");
    let included = String::from_utf8(output.stdout).expect("UTF-8");
    let paths: Vec<&str> = included.split('"').skip(1).step_by(2).collect();
    assert!(paths.len() >= 2, "{included}");
    for path in paths.iter().map(|path| path.trim_start_matches("../")) {
        let is_covered = copied.iter().any(|copied| path.starts_with(copied))
            && ignored.lines().any(|line| path.starts_with(line.trim_start_matches('!')));
        assert!(is_covered || at("src").join(path).exists(), "{path} is built in, but not copied");
    }
}
