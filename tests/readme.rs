//! README.md and docs/TOUR.md, followed literally: a test runs every block of both.
//!
//! The tour's blocks run in order, in one shell, in an empty directory. Every line that a block
//! promises with `#> ` must be printed by that block (an `…` in it stands for anything). Only the
//! ports are replaced by free ones.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The ports that the tour uses.
const PORTS: [&str; 2] = ["4400", "4410"];

struct Block {
    script: String,
    promised: Vec<String>,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The language of every fenced block, in order.
fn languages(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("```")).step_by(2).collect()
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

/// Whether `line` is what was promised, `…` standing for anything.
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
fn every_block_of_the_tour_prints_what_it_promises() {
    let mut tour = read("docs/TOUR.md");
    assert!(languages(&tour).iter().all(|it| *it == "sh"), "a block that no shell runs");
    for (port, free) in PORTS.iter().zip(free_ports()) {
        tour = tour.replace(port, &free);
    }
    let blocks = blocks(&tour);
    assert!(blocks.len() >= 10, "a tour of {} blocks", blocks.len());
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

/// The demo is run by `tests/it/cli/demo.rs`; the second command is what runs this test.
#[test]
fn the_two_commands_are_the_first_block() {
    let text = read("README.md");
    assert_eq!(languages(&text), ["sh", "js"], "a block that no test runs");
    let commands: Vec<&str> = fences(&text, "sh")[0]
        .lines()
        .filter_map(|line| Some(line.split('#').next()?.trim_end()))
        .collect();
    assert_eq!(commands, ["cargo run --release -- demo", "tests/run"]);
    assert!(read(".ci/run").contains("tests/run"));
}

/// `cargo test --test recipes` runs the block of that page; this one is the same.
#[test]
fn the_function_for_an_application_is_the_recipe() {
    let text = read("README.md");
    let block = fences(&text, "js")[0];
    assert!(block.lines().count() <= 8, "eight lines:\n{block}");
    let recipe = format!("```js invalidate.mjs\n{block}\n```");
    assert!(read("docs/RECIPES.md").contains(&recipe), "another in docs/RECIPES.md:\n{block}");
}

/// A stranger reads it to the end, and what it names is there.
#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    let text = read("README.md");
    let words = text.split_whitespace().count();
    assert!(words < 900, "{words} words");
    let pages = |folder: &str| {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        let names = entries.expect(folder).map(|it| it.expect("entry").file_name());
        let names = names.map(|name| format!("{folder}/{}", name.to_str().expect("UTF-8")));
        names.filter(|name| name.ends_with(".md")).collect::<Vec<_>>()
    };
    let mut all = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    all.extend(pages("docs").into_iter().chain(pages("docs/decisions")));
    for page in &all {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let folder = file.parent().expect("a folder");
        for link in read(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let is_here = !link.contains("://") && !path.is_empty();
            assert!(!is_here || folder.join(path).exists(), "{page}: {link} is not there");
        }
    }
    let order = read("docs/README.md");
    for page in pages("docs").iter().filter_map(|page| page.strip_prefix("docs/")) {
        let is_listed = page == "README.md" || order.contains(&format!("]({page}"));
        assert!(is_listed, "docs/README.md does not list {page}");
    }
}

#[test]
fn a_wrong_output_is_found() {
    assert!(keeps("cleared 1 entry in 0.2 ms", "cleared 1 entry in … ms"));
    assert!(!keeps("cleared 2 entries", "cleared 1 entry"));
    assert!(!keeps("ba", "a…b"));
}
