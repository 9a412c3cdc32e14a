//! The log under a real logrotate: no line is lost, and none is written twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::read;
use crate::support::{Node, Spec, eventually};

const RULES: &str = "deploy/logrotate/cache-mirror";
const ROTATED: &str = "/var/log/cache-mirror/cache.json";
const HANG_UP: &str = "systemctl kill --signal=HUP --kill-whom=main cache-mirror.service";

/// logrotate, at once, with these rules about the log of an instance that runs here.
fn rotate(dir: &Path, rules: &str) {
    let file = dir.join("rules");
    let rules = rules.replace(ROTATED, &dir.join("logs/cache.json").display().to_string());
    std::fs::write(&file, rules).expect("write");
    let mut command = Command::new("/usr/sbin/logrotate");
    command.arg("--force").arg("--state").arg(dir.join("state")).arg(&file);
    let output = command.output().expect("logrotate runs; Debian package logrotate");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && stderr.is_empty(), "{}\n{stderr}", output.status);
}

/// The lines of every file, packed ones too.
fn lines(dir: &Path) -> Vec<Value> {
    let unpack = "for file in cache.json*; do case $file in *.gz) gzip -dc $file ;; \
                  *) cat $file ;; esac; done";
    let output = Command::new("sh").args(["-c", unpack]).current_dir(dir).output().expect("sh");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is whole")).collect()
}

/// How often each event is in the log.
fn events(node: &Node) -> BTreeMap<String, usize> {
    let mut events = BTreeMap::new();
    for line in lines(&node.dir.join("logs")).iter().filter(|line| line["event"] == "invalidate") {
        let id = line["event_id"].as_str().expect("an event's id").to_owned();
        *events.entry(id).or_default() += 1;
    }
    events
}

/// Invalidates without a pause while the log is rotated three times.
async fn rotated_while_busy(rules: impl Fn(&Node) -> String) -> Node {
    let node = Spec::new("a").set("log.rotate_bytes", 0).start().await;
    let rules = rules(&node);
    let log = node.dir.join("logs/cache.json");
    let mut sent = vec![];
    for round in 1..=3 {
        let (dir, rules) = (node.dir.clone(), rules.clone());
        let mut rotating = tokio::task::spawn_blocking(move || rotate(&dir, &rules));
        let mut is_over = false;
        let before = sent.len();
        while !is_over || sent.len() < before + 20 {
            let answer = node.invalidate(json!({ "type": "posts", "id": sent.len() })).await;
            sent.push(answer["id"].as_str().expect("an id").to_owned());
            if rotating.is_finished() && !is_over {
                (&mut rotating).await.expect("it rotates");
                is_over = true;
            }
        }
        assert!(node.dir.join("logs/cache.json.1").exists(), "round {round}");
        // Both ways lead to a new file.
        eventually("a new file under the old name", async || log.exists()).await;
    }
    let answer = node.invalidate(json!({ "type": "pages" })).await;
    sent.push(answer["id"].as_str().expect("an id").to_owned());
    let last = sent.last().expect("events").clone();
    eventually("the last line is written", async || events(&node).contains_key(&last)).await;
    let found = events(&node);
    assert_eq!(found.len(), sent.len(), "no line is lost");
    assert!(sent.iter().all(|id| found.get(id) == Some(&1)), "and none is there twice");
    let in_new = std::fs::read_to_string(&log).expect("the new file");
    assert!(in_new.contains(&last), "the last event is in the newest file");
    assert!(node.dir.join("logs/cache.json.2.gz").exists(), "older ones are packed");
    node
}

#[tokio::test]
async fn logrotate_with_sighup_loses_no_line() {
    let rules = read(RULES);
    assert!(rules.contains(HANG_UP), "the unit signals its main process");
    rotated_while_busy(|node| rules.replace(HANG_UP, &format!("kill -HUP {}", node.pid()))).await;
}

/// Without the signal, the instance detects that its file was moved.
#[tokio::test]
async fn logrotate_without_a_signal_loses_no_line_either() {
    let rules = read(RULES);
    rotated_while_busy(|_| rules.replace(HANG_UP, "true")).await;
}
