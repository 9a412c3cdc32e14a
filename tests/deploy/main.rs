//! What is in `deploy/`, tried: by the programs it is written for where they can be had, and
//! against our own command line, settings and routes.

#[path = "../it/support/mod.rs"]
mod support;

mod compose;
mod image;
mod kubernetes;
mod nginx;
mod rotation;
mod settings;
mod systemd;
mod tools;
mod yaml;

use std::path::{Path, PathBuf};

/// A path of the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Our own command line takes these arguments. With `--help` at their end nothing is run.
#[track_caller]
fn assert_parses(args: &[&str]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
    let output = command.args(args).arg("--help").env_clear().output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cache-mirror {}: {stderr}", args.join(" "));
}

#[test]
#[should_panic(expected = "--quiet")]
fn arguments_that_do_not_exist_are_found() {
    assert_parses(&["serve", "--quiet"]);
}
