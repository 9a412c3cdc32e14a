//! Modules import only lower layers.
//!
//! A module imports modules of lower layers and itself, never one above it or in its own layer. So
//! each can be read, tested and replaced with only the layers below it. Because `config` is a high
//! layer, no module below `app` knows where settings come from.

use crate::Finding;
use crate::mask::{Source, closing, line_of, words};

/// From the lowest layer up. A new module needs a place here.
const LAYERS: [&[&str]; 11] = [
    &["domain", "support"],
    &["resolve", "activity", "net", "wire"],
    &["store", "journal"],
    &["gate", "announce", "deliver"],
    &["pipeline"],
    &["ingest"],
    &["server"],
    &["config"],
    &["app"],
    &["cli"],
    &["main"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// The top module of a path in `src/`; none for the crate root, which declares all of them.
fn module(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|name| *name != "lib")
}

/// Finds `crate::x` where `x` is not in a lower layer, as a path, a `use` or a group.
pub fn arrows(source: &Source) -> Vec<Finding> {
    let Some(from) = module(&source.path) else { return vec![] };
    let Some(from_layer) = layer(from) else {
        let rule = format!("module {from} has no layer");
        return vec![Finding::new(&source.path, 1, rule, "give it one in tests/tidy/layers.rs")];
    };
    let roots = ["crate::", "cache_mirror::"];
    let targets = roots.iter().flat_map(|root| targets(&source.code, root));
    targets
        .filter(|(_, to)| to != from && layer(to).is_none_or(|layer| layer >= from_layer))
        .map(|(at, to)| {
            let way = match layer(&to) {
                Some(layer) if layer == from_layer => "sideways",
                Some(_) => "up",
                None => "to no layer",
            };
            let rule = format!("{from} (layer {from_layer}) reaches {way} to {to}");
            let remedy = "let the lower module take what it needs as a value, a type or a trait";
            Finding::new(&source.path, line_of(&source.code, at), rule, remedy)
        })
        .collect()
}

/// The modules named behind a root, with their places.
fn targets(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, root) {
        let rest = at + root.len();
        if code.as_bytes().get(rest) == Some(&b'{') {
            let end = closing(code.as_bytes(), rest).unwrap_or(code.len());
            found.extend(group(code, rest + 1, end));
        } else {
            found.push((at, ident(&code[rest..]).to_owned()));
        }
    }
    // `use crate::Name` would be an item of the root; the map has none, so names are modules.
    found.retain(|(_, name)| name.chars().next().is_some_and(char::is_lowercase));
    found
}

/// The first name of each member of a `{…}` group.
fn group(code: &str, from: usize, end: usize) -> Vec<(usize, String)> {
    let bytes = code.as_bytes();
    let (mut found, mut at, mut is_start) = (Vec::new(), from, true);
    while at < end {
        match bytes[at] {
            b',' => is_start = true,
            b'{' => at = closing(bytes, at).unwrap_or(end),
            byte if is_start && !byte.is_ascii_whitespace() => {
                found.push((at, ident(&code[at..]).to_owned()));
                is_start = false;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn ident(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Finds `super::super::…` that leaves its top module, which would evade the rule about `crate::`.
pub fn way_out(source: &Source) -> Vec<Finding> {
    if module(&source.path).is_none() {
        return vec![];
    }
    let parts = source.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    // Modules between this file and the crate root, itself included.
    let depth = parts - 1;
    let mut found = Vec::new();
    for (line, code) in source.code_lines() {
        // An inline test module is one deeper.
        let depth = if source.is_test(line) && !source.is_test_file { depth + 1 } else { depth };
        let out = "super::".repeat(depth);
        if words(code, &out).next().is_some() {
            let rule = "super:: leads out of the module".to_owned();
            found.push(Finding::new(&source.path, line, rule, "write crate::… instead"));
        }
    }
    found
}

#[cfg(test)]
fn rules_of(path: &str, text: &str) -> Vec<String> {
    arrows(&Source::new(path, text)).iter().map(ToString::to_string).collect()
}

#[test]
fn an_import_up_or_sideways_is_found() {
    let up = rules_of("src/store/map.rs", "//! x\nuse crate::pipeline::Pipeline;\n");
    assert_eq!(up.len(), 1);
    assert!(up[0].starts_with("src/store/map.rs:2: store (layer 2) reaches up to pipeline"));
    let sideways = rules_of("src/gate/mod.rs", "fn f() { crate::deliver::send() }");
    assert!(sideways[0].contains("gate (layer 3) reaches sideways to deliver"), "{sideways:?}");
    let group = rules_of("src/journal/a.rs", "use crate::{\n domain::{A, app},\n config,\n};");
    assert_eq!(group.len(), 1);
    assert!(group[0].starts_with("src/journal/a.rs:3: journal (layer 2) reaches up to config"));
    assert!(rules_of("src/server/a.rs", "use crate::config::Settings;")[0].contains("up"));
    assert!(rules_of("src/novel/a.rs", "")[0].contains("module novel has no layer"));
    assert!(rules_of("src/app.rs", "use crate::novel::X;")[0].contains("to no layer"));
}

#[test]
fn an_import_down_or_inside_is_allowed() {
    assert!(rules_of("src/ingest/a.rs", "use crate::deliver::mirror::Batch;").is_empty());
    assert!(rules_of("src/server/a.rs", "use crate::server::call::Call;").is_empty());
    assert!(rules_of("src/domain/a.rs", "//! crate::app is far\npub(crate) fn f() {}").is_empty());
    assert!(rules_of("src/lib.rs", "pub use crate::app::Instance;").is_empty());
    assert!(rules_of("src/main.rs", "fn main() { cache_mirror::cli::main() }").is_empty());
}

#[test]
fn leaving_a_module_by_super_is_found() {
    let out = |path: &str, text: &str| way_out(&Source::new(path, text)).len();
    assert_eq!(out("src/store/clear.rs", "use super::super::domain::Label;"), 1);
    assert_eq!(out("src/pipeline.rs", "use super::app::Instance;"), 1);
    assert_eq!(out("src/store/clear.rs", "use super::map::Map;"), 0);
    assert_eq!(out("src/store/tests/races.rs", "use super::super::map::Map;"), 0);
    assert_eq!(out("src/pipeline.rs", "#[cfg(test)]\nmod tests {\n use super::*;\n}"), 0);
}
