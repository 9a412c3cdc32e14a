//! The tree as the rules see it: Rust files, documents, and the sizes of what git tracks.
//!
//! Read from the directory of the package, wherever the tests are started. Without git (an unpacked
//! release), every file below the root counts as tracked, except build and run output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Finding;
use crate::mask::Source;

/// Larger files belong into a release: every clone carries the history forever.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Build output, in any folder.
const BUILT: [&str; 3] = ["target", ".git", "node_modules"];
/// Output of an instance that ran in the root.
const RUN: [&str; 2] = ["data", "logs"];

pub struct Tree {
    root: PathBuf,
    pub sources: Vec<Source>,
    /// Path and text of README.md, of CONTRIBUTING.md and of what lies in `docs/`.
    pub documents: Vec<(String, String)>,
    /// Path and bytes of each tracked file.
    pub sizes: Vec<(String, u64)>,
}

impl Tree {
    pub fn read() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut paths = Vec::new();
        walk(&root, &root, &mut paths);
        let text = |path: &String| std::fs::read_to_string(root.join(path)).expect("is UTF-8");
        let is_source = |path: &&String| {
            path.ends_with(".rs")
                && ["src/", "tests/", "benches/"].iter().any(|dir| path.starts_with(dir))
        };
        let is_document = |path: &&String| {
            ["README.md", "CONTRIBUTING.md"].contains(&path.as_str())
                || (path.starts_with("docs/") && path.ends_with(".md"))
        };
        let mut sources: Vec<Source> =
            paths.iter().filter(is_source).map(|path| Source::new(path, &text(path))).collect();
        mark_test_files(&mut sources);
        let documents =
            paths.iter().filter(is_document).map(|path| (path.clone(), text(path))).collect();
        let size = |path: String| {
            let bytes = std::fs::metadata(root.join(&path)).ok()?.len();
            Some((path, bytes))
        };
        let sizes = tracked(&root).unwrap_or(paths).into_iter().filter_map(size).collect();
        Self { root, sources, documents, sizes }
    }

    /// Whether a path of a document exists.
    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

/// A tracked file that is too large.
pub fn size(path: &str, bytes: u64) -> Option<Finding> {
    let rule = format!("{bytes} bytes are tracked, {FILE_BYTES_MAX} is the limit");
    let remedy = "make it when it is needed, or keep it outside the repository";
    (bytes > FILE_BYTES_MAX).then(|| Finding::new(path, 1, rule, remedy))
}

/// A file that its parent declares behind `#[cfg(test)]` is all tests, and so is its folder.
fn mark_test_files(sources: &mut [Source]) {
    let mut roots = BTreeSet::new();
    for source in sources.iter() {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        roots.extend(source.test_modules().iter().map(|name| format!("{stem}/{name}")));
    }
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        let is_below = |root: &String| stem == root || stem.starts_with(&format!("{root}/"));
        source.is_test_file |= roots.iter().any(is_below);
    }
}

fn walk(root: &Path, dir: &Path, paths: &mut Vec<String>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).expect("is readable").map(|entry| entry.expect("entry")).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().expect("file type");
        let path = entry.path();
        if kind.is_dir() {
            let is_output = |name: &&str| entry.file_name() == **name;
            let is_run = dir == root && RUN.iter().any(is_output);
            if !is_run && !BUILT.iter().any(is_output) {
                walk(root, &path, paths);
            }
        } else if kind.is_file() {
            let path = path.strip_prefix(root).expect("below the root");
            paths.extend(path.to_str().map(ToOwned::to_owned));
        }
    }
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let out = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let paths: Vec<String> =
        text.split('\0').filter(|path| !path.is_empty()).map(ToOwned::to_owned).collect();
    (out.status.success() && !paths.is_empty()).then_some(paths)
}

#[test]
fn a_large_file_is_found() {
    assert!(size("a.bin", FILE_BYTES_MAX).is_none());
    let finding = size("a.bin", FILE_BYTES_MAX + 1).expect("one byte over");
    assert!(finding.to_string().starts_with("a.bin:1: 1048577 bytes are tracked"), "{finding}");
}

#[test]
fn a_module_behind_cfg_test_is_test_code() {
    let mut sources = [
        Source::new("src/a/mod.rs", "#[cfg(test)]\nmod laws;\nmod b;\n"),
        Source::new("src/a/laws.rs", ""),
        Source::new("src/a/laws/deep.rs", ""),
        Source::new("src/a/b.rs", ""),
    ];
    mark_test_files(&mut sources);
    assert_eq!(sources.map(|source| source.is_test_file), [false, true, true, false]);
}
