//! The page's blocks by name: ```` ```LANGUAGE NAME ````. Every block of it has one.

use std::path::{Path, PathBuf};

/// One block.
pub struct Block {
    pub language: String,
    pub name: String,
    pub text: String,
}

/// Every block of the page, in order.
pub fn all() -> Vec<Block> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RECIPES.md");
    let page = std::fs::read_to_string(page).expect("docs/RECIPES.md");
    let mut fences = page.split("\n```").skip(1);
    let mut blocks = vec![];
    while let (Some(block), Some(_prose)) = (fences.next(), fences.next()) {
        let (opening, text) = block.split_once('\n').unwrap_or((block, ""));
        let (language, name) = opening.split_once(' ').unwrap_or((opening, ""));
        let (language, name) = (language.to_owned(), name.to_owned());
        assert!(!name.is_empty(), "a block without a name:\n{text}");
        blocks.push(Block { language, name, text: format!("{text}\n") });
    }
    blocks
}

/// The text of one block.
#[track_caller]
pub fn text(name: &str) -> String {
    let found = all().into_iter().find(|block| block.name == name);
    found.unwrap_or_else(|| panic!("no block {name}")).text
}

/// Writes one block below a directory, under its own name.
#[track_caller]
pub fn write(dir: &Path, name: &str) -> PathBuf {
    put(dir, name, &text(name))
}

/// Writes what a block needs around it.
#[track_caller]
pub fn put(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    std::fs::write(&path, text).expect("it can be written");
    path
}

#[test]
fn blocks_are_separated_from_prose() {
    let blocks = all();
    assert!(blocks.len() >= 15, "{}", blocks.len());
    assert!(blocks.iter().all(|block| !block.text.contains("```")));
    let curl = blocks.iter().find(|block| block.name == "curl.sh").expect("it is there");
    assert_eq!(curl.language, "sh");
    assert!(curl.text.starts_with("curl ") && curl.text.ends_with("}'\n"), "{}", curl.text);
}
