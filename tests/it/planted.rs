//! Foreign files in the data directory: refused by name, and never blocking.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::Spec;

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_cache-mirror")).args(args).arg("--isolated");
    command.args(["--set", "control.listen=127.0.0.1:0"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(dir).output().expect("it runs")
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

#[test]
fn planted_files_are_refused_with_the_same_message_by_every_command() {
    type Change = fn(&Path);
    let changes: [(&str, &str, Change); 7] = [
        ("admin.token", "found a named pipe", |data| pipe(&data.join("admin.token"))),
        ("jwt.secret", "found a link", |data| {
            symlink("/etc/hostname", data.join("jwt.secret")).expect("linked");
        }),
        ("admin.token", "found a directory", |data| {
            fs::create_dir(data.join("admin.token")).expect("made");
        }),
        ("admin.token", "found 100000 bytes", |data| {
            fs::write(data.join("admin.token"), vec![b'x'; 100_000]).expect("written");
        }),
        ("admin.token", "found mode 0666", |data| {
            let file = data.join("admin.token");
            fs::write(&file, "a-token-of-somebody-else").expect("written");
            fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("set");
        }),
        ("format", "found a named pipe", |data| pipe(&data.join("format"))),
        ("lock", "found a named pipe", |data| pipe(&data.join("lock"))),
    ];
    for (name, found, change) in changes {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("made");
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("set");
        change(&data);
        for (args, code) in [
            (&["serve"][..], 78),
            (&["config", "check"], 78),
            (&["doctor", "--only", "journal"], 1),
        ] {
            let output = run(dir.path(), args);
            let shown = text(&output);
            assert_eq!(output.status.code(), Some(code), "{name} {args:?}: {shown}");
            let is_reported =
                shown.contains(name) && shown.contains(found) && shown.contains("expected");
            assert!(is_reported, "{name}, {found}, {args:?}: {shown}");
            assert!(!shown.contains("somebody-else"), "{shown}");
        }
    }
}

/// As volumes of Kubernetes with `fsGroup` are, and what is not safe but usual.
#[tokio::test]
async fn volumes_of_containers_work() {
    let mut node = Spec::new("a").unset("auth.jwt_secret").start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let data = node.data_dir();
    let chmod = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    };
    for entry in fs::read_dir(&data).expect("there") {
        let entry = entry.expect("an entry");
        chmod(&entry.path(), if entry.path().is_dir() { 0o2770 } else { 0o660 });
    }
    chmod(&data, 0o2770);
    node.restart().await;
    assert_eq!(node.journal().await.len(), 1);
    assert!(!node.output().1.contains("warning: "), "{:?}", node.output());
    chmod(&data, 0o777);
    chmod(&data.join("jwt.secret"), 0o644);
    node.restart().await;
    let shown = node.output().1;
    for part in ["data (found mode 0777)", "jwt.secret (found mode 0644)"] {
        assert!(shown.contains(part), "{part}: {shown}");
        node.logged(part, |line| line["msg"].as_str().is_some_and(|msg| msg.contains(part))).await;
    }
}

/// Mounted secrets are links to links, and every user of the host may read them.
#[tokio::test]
async fn a_linked_secret_is_accepted_and_a_pipe_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("..2026")).expect("made");
    fs::write(at("..2026/secret"), "a-secret-that-is-mounted-0123456789").expect("written");
    symlink("..2026", at("..data")).expect("linked");
    symlink("..data/secret", at("secret")).expect("linked");
    let spec = Spec::new("a").unset("auth.jwt_secret");
    let mounted = spec.clone().set("auth.jwt_secret_file", at("secret").display());
    let node = mounted.start().await;
    assert!(!node.data_dir().join("jwt.secret").exists(), "the mounted one is used");
    pipe(&at("pipe"));
    let piped = spec.set("auth.jwt_secret_file", at("pipe").display());
    let error = piped.try_start().await.err().expect("it does not start");
    assert!(error.contains("found a named pipe") && error.contains("pipe\""), "{error}");
}
