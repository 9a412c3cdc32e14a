//! Whether our own settings know what a deployment sets, and take its values.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde_json::Value;

/// Variables, as a platform gives them.
pub type Variables = BTreeMap<String, String>;

/// `config SUBCOMMAND` in an empty directory, under these variables; files they name are there.
fn config(arguments: &[&str], variables: &Variables) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
    command.arg("config").args(arguments).env_clear().current_dir(dir.path());
    for (name, value) in variables {
        let value = if name.ends_with("_FILE") {
            let path = dir.path().join(name);
            std::fs::write(&path, "a-secret-of-the-tests\n").expect("write");
            path.display().to_string()
        } else {
            value.clone()
        };
        command.env(name, value);
    }
    command.output().expect("it runs")
}

/// They are valid together, and each of them sets something.
#[track_caller]
pub fn assert_known(variables: &Variables) {
    assert_valid(&[], variables);
    let shown = config(&["show", "--json"], variables);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let keys = shown.as_array().expect("a list");
    let origins: BTreeSet<&str> = keys.iter().filter_map(|key| key["origin"].as_str()).collect();
    for name in variables.keys() {
        let is_known = origins.iter().any(|origin| origin.split(' ').any(|word| word == name));
        assert!(is_known, "{name} sets nothing; what does: {origins:?}");
    }
}

/// `config check` finds nothing wrong.
#[track_caller]
pub fn assert_valid(arguments: &[&str], variables: &Variables) {
    let checked = config(&[&["check"], arguments].concat(), variables);
    let stderr = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{variables:?}: {stderr}");
}

fn one(name: &str, value: &str) -> Variables {
    [(name.to_owned(), value.to_owned())].into()
}

#[test]
fn variables_that_set_nothing_are_found() {
    assert_known(&one("CACHE_MIRRORS", "https://eu.example.org"));
    assert_known(&one("SERVICE_PASSWORD_FILE", "/run/secrets/x"));
    for (name, value) in [("CACHE_MIRROR__LOG__FILEE", "x"), ("SERVICE_PASWORD", "x")] {
        let found = std::panic::catch_unwind(|| assert_known(&one(name, value)));
        assert!(found.is_err(), "{name}");
    }
}
