//! The README, followed literally: every `sh` block of its tour runs, in order, in one shell, in an
//! empty directory; every line that a block promises with `#> ` must be printed by that block (an
//! `…` in it stands for anything). Only the ports are exchanged for free ones.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The ports that the README uses, by what a reader sees.
const PORTS: [&str; 2] = ["4400", "4410"];

struct Block {
    script: String,
    promised: Vec<String>,
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// The fenced blocks of one language.
fn fences<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(open.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

fn blocks(tour: &str) -> Vec<Block> {
    fences(tour, "sh")
        .into_iter()
        .map(|text| Block {
            script: text.to_owned(),
            promised: text
                .lines()
                .filter_map(|l| l.strip_prefix("#> "))
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

/// Whether `line` says what was promised, `…` standing for anything.
fn keeps(line: &str, promise: &str) -> bool {
    let mut rest = line;
    promise.split('…').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn free_ports() -> Vec<String> {
    // Held together, so that they differ; released together, a moment before they are used.
    let held: Vec<TcpListener> =
        PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    held.iter().map(|it| it.local_addr().expect("bound").port().to_string()).collect()
}

#[test]
fn the_tour_does_what_it_says() {
    let text = readme();
    let tour = text.split("\n## A tour").nth(1).expect("the tour").split("\n## ").next();
    let mut tour = tour.expect("the tour's text").to_owned();
    for (port, free) in PORTS.iter().zip(free_ports()) {
        tour = tour.replace(port, &free);
    }
    let blocks = blocks(&tour);
    assert!(blocks.len() >= 5, "a tour of {} blocks", blocks.len());
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for (at, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '::block {at}'\n{}\n", block.script));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_cache-mirror")).parent().expect("its folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("PATH"));
    let output = Command::new("timeout")
        .args(["60", "bash", "-c", &script])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
        output.status
    );
    for (at, block) in blocks.iter().enumerate() {
        let printed = stdout.split(&format!("::block {at}\n")).nth(1).unwrap_or_default();
        let printed = printed.split("::block ").next().unwrap_or_default();
        for promise in &block.promised {
            let is_kept = printed.lines().any(|line| keeps(line, promise));
            assert!(is_kept, "block {at} does not print {promise:?}:\n{printed}\n--- {stderr}");
        }
    }
}

#[test]
fn the_two_commands_are_the_first_ones() {
    let text = readme();
    let first = fences(&text, "sh");
    let first = first.first().expect("a block");
    assert!(first.contains("cargo run --release -- demo"), "{first}");
    assert!(first.contains("tests/run"), "{first}");
    let ci = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run"));
    assert!(ci.expect(".ci/run").contains("tests/run"));
}

/// `cargo test --test recipes` runs what is on that page; so what stands here as well runs too.
#[test]
fn what_an_application_does_is_a_recipe() {
    let text = readme();
    let section = text.split("\n## Use it from your application\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECIPES.md");
    let recipes = fs::read_to_string(recipes).expect("docs/RECIPES.md");
    for (language, name) in [("sh", "curl.sh"), ("js", "invalidate.mjs")] {
        let [block] = fences(section, language)[..] else { panic!("one block of {language}") };
        let recipe = format!("```{language} {name}\n{block}\n```");
        assert!(recipes.contains(&recipe), "{name} is another in docs/RECIPES.md:\n{block}");
    }
}

#[test]
fn promises_can_be_broken() {
    assert!(keeps("cleared 1 entry in 0.2 ms", "cleared 1 entry in … ms"));
    assert!(!keeps("cleared 2 entries", "cleared 1 entry"));
    assert!(!keeps("ba", "a…b"));
}
