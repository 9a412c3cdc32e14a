//! `docs/RECIPES.md`, followed literally: each block is taken out of the page and run against a
//! real instance. A block that no test runs, or of more than ten lines, is a failure.

#[path = "../it/support/mod.rs"]
mod support;

mod blocks;
mod browser;
mod laravel;
mod next;
mod node;
mod shell;
mod store;

use blocks::Block;

/// The blocks, and the file of tests that runs each.
const RUN: [(&str, &str); 26] = [
    ("secrets.sh", "shell"),
    ("curl.sh", "shell"),
    ("bulk.sh", "shell"),
    ("writes.jsonl", "shell"),
    ("checklist.sh", "shell"),
    ("fill.sh", "store"),
    ("cached.mjs", "store"),
    ("cached.php", "store"),
    ("supabase.toml", "shell"),
    ("supabase.sh", "shell"),
    ("invalidate.mjs", "node"),
    ("express.mjs", "node"),
    ("meta.mjs", "node"),
    ("hono.mjs", "node"),
    ("api.ts", "node"),
    ("message.json", "browser"),
    ("listen.mjs", "browser"),
    ("events.mjs", "browser"),
    ("app/api/revalidate/route.js", "next"),
    ("app/api/posts/[id]/route.js", "next"),
    ("next.toml", "next"),
    ("services.php", "laravel"),
    ("CacheMirror.php", "laravel"),
    ("CacheMirrorObserver.php", "laravel"),
    ("invalidate.php", "laravel"),
    // It needs Supabase, as the page states.
    ("supabase.sql", "nobody"),
];

#[test]
fn every_block_is_short_and_run_by_a_test() {
    let blocks = blocks::all();
    let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
    let mut known = RUN.map(|(name, _)| name).to_vec();
    for Block { name, text, .. } in &blocks {
        assert!(text.lines().count() <= 10, "{name} has more than ten lines");
        let at = known.iter().position(|known| known == name);
        known.remove(at.unwrap_or_else(|| panic!("{name} is run by nobody, or there twice")));
    }
    assert!(known.is_empty(), "{known:?} are not on the page: {names:?}");
    for (name, file) in RUN.iter().filter(|(_, file)| *file != "nobody") {
        let path = format!("{}/tests/recipes/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a file of tests");
        assert!(text.contains(&format!("\"{name}\"")), "{name} is not run in {file}.rs");
    }
}
