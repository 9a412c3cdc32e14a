//! What is to be cleared, as arguments: for `invalidate` and for `explain`, so that what was
//! explained can be done by changing one argument. The instance knows which types exist.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Exit;
use crate::domain::entity;

/// Selectors; together they mean their union.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true)]
pub struct Selection {
    /// A type, or one entity of it
    #[arg(value_name = "TYPE[/ID]")]
    targets: Vec<String>,
    /// Entries with this tag; may be repeated, as all of these
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// The entry of this path; a trailing * makes it a prefix
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// The entry of this key
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Entries whose key matches this glob
    #[arg(long, value_name = "GLOB")]
    pattern: Vec<String>,
    /// Everything; refused together with other selectors
    #[arg(long, conflicts_with_all = ["targets", "tag", "path", "key", "pattern"])]
    all: bool,
}

impl Selection {
    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The selectors of a request's body.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a target that is none.
    pub fn body(&self) -> Result<Map<String, Value>, Exit> {
        let mut body = Map::new();
        let items = self.targets.iter().map(|text| target(text)).collect::<Result<Vec<_>, _>>()?;
        match (items.len(), &items[..]) {
            (1, [Value::Object(only)]) => body.extend(only.clone()),
            (0, _) => {}
            _ => drop(body.insert("items".into(), json!(items))),
        }
        for (field, list) in [
            ("tags", &self.tag),
            ("paths", &self.path),
            ("keys", &self.key),
            ("patterns", &self.pattern),
        ] {
            if !list.is_empty() {
                body.insert(field.into(), json!(list));
            }
        }
        if self.all {
            body.insert("all".into(), json!(true));
        }
        Ok(body)
    }
}

const GLOB: &str = "A glob over keys is --pattern, the beginning of paths is --path '/posts/*'";

/// `posts` or `posts/42`; an id may hold further slashes.
fn target(text: &str) -> Result<Value, Exit> {
    match text.split_once('/') {
        Some((name, id)) if entity::is_wildcard(id) => Err(Exit::Usage(format!(
            "{text:?}: an id has no wildcards; the whole type is {name}. {GLOB}"
        ))),
        None if entity::is_wildcard(text) => Err(Exit::Usage(format!(
            "{text:?}: a type has no wildcards; everything is --all. {GLOB}"
        ))),
        None if !text.is_empty() => Ok(json!({ "type": text })),
        Some((name, id)) if !name.is_empty() && !id.is_empty() => {
            Ok(json!({ "type": name, "id": id }))
        }
        _ => Err(Exit::Usage(format!("{text:?}: expected TYPE or TYPE/ID, such as posts/42"))),
    }
}
