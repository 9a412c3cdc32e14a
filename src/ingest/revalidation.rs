//! The body of `POST /api/revalidate`, as the webhooks of content systems send it.
//!
//! It is read as leniently as the route that it replaces: what is missing, or is no list, asks for
//! nothing. But a path that cannot be cleared is an error, because ignoring it would leave a page
//! stale that its caller believes to be fresh.

use serde_json::Value;

use crate::domain::{Label, Selector, Selectors};

/// What was asked for, before anybody looked at the secret.
#[derive(Debug, Default)]
pub struct Revalidation {
    paths: Vec<Value>,
    tags: Vec<Value>,
}

/// Why what was asked for cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRevalidation {
    /// An item of the list is nothing that could be cleared.
    #[error("{list}[{at}] {problem}")]
    Item {
        /// `paths` or `tags`.
        list: &'static str,
        /// Its place.
        at: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// More than one request may name.
    #[error("{count} paths and tags; at most {max} are allowed")]
    TooMany {
        /// How many there were.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// The secret of a body, where it has one.
pub fn secret(body: &Value) -> Option<&str> {
    body.get("secret").and_then(Value::as_str)
}

impl Revalidation {
    /// Takes `paths`, `path`, `tags` and `tag` out of a body.
    pub fn of(body: &Value) -> Self {
        let list = |many: &str, one: &str| -> Vec<Value> {
            let items = body.get(many).and_then(Value::as_array).into_iter().flatten();
            items.chain(body.get(one).filter(|one| one.is_string())).cloned().collect()
        };
        Self { paths: list("paths", "path"), tags: list("tags", "tag") }
    }

    /// The paths, as they were given.
    pub fn paths(&self) -> Vec<&str> {
        self.paths.iter().filter_map(Value::as_str).collect()
    }

    /// The tags, as they were given.
    pub fn tags(&self) -> Vec<&str> {
        self.tags.iter().filter_map(Value::as_str).collect()
    }

    /// What is to be cleared; nothing where nothing was named.
    ///
    /// # Errors
    /// [`BadRevalidation`].
    pub fn selectors(&self, selectors_max: usize) -> Result<Selectors, BadRevalidation> {
        let count = self.paths.len() + self.tags.len();
        if count > selectors_max {
            return Err(BadRevalidation::TooMany { count, max: selectors_max });
        }
        let paths = self.paths.iter().enumerate().map(|(at, item)| {
            let text = item.as_str().ok_or_else(|| bad("paths", at, "is no text"))?;
            path(text).map_err(|problem| bad("paths", at, &problem))
        });
        let tags = self.tags.iter().enumerate().map(|(at, item)| {
            let text = item.as_str().ok_or_else(|| bad("tags", at, "is no text"))?;
            let tag = Label::parse(text).map_err(|it| bad("tags", at, &it.to_string()))?;
            Ok(Selector::Tag(tag))
        });
        paths.chain(tags).collect()
    }
}

/// A path; of a route with a parameter, such as `/products/[slug]`, every path that begins so.
fn path(text: &str) -> Result<Selector, String> {
    let (fixed, is_route) = match text.split_once('[') {
        Some((fixed, rest)) if rest.contains(']') => (fixed, true),
        _ => (text, false),
    };
    let text = if is_route { format!("{fixed}*") } else { text.to_owned() };
    Selector::path(&text).map_err(|malformed| malformed.to_string())
}

fn bad(list: &'static str, at: usize, problem: &str) -> BadRevalidation {
    BadRevalidation::Item { list, at, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<String, String> {
        let selectors = Revalidation::of(body).selectors(4);
        selectors.map(|it| it.to_string()).map_err(|bad| bad.to_string())
    }

    /// S1 1.14: missing or no list: nothing, and no error.
    #[test]
    fn what_is_missing_asks_for_nothing() {
        for body in [
            json!({}),
            json!({ "paths": null }),
            json!({ "paths": "/", "tags": { "a": 1 } }),
            json!({ "path": 3 }),
            json!([1]),
            json!("text"),
            json!(null),
        ] {
            assert_eq!(read(&body), Ok(String::new()), "{body}");
        }
    }

    #[test]
    fn paths_and_tags_are_read_in_every_form() {
        for (body, expected) in [
            (json!({ "paths": ["/", "/a"], "tag": "t" }), "tag:t,path:/,path:/a"),
            (json!({ "path": "/a", "tags": ["x", "y"] }), "tag:x,tag:y,path:/a"),
            (json!({ "paths": ["/products/[slug]"] }), "path:/products/*"),
            (json!({ "paths": ["/blog/*", "/a["] }), "path:/a[,path:/blog/*"),
        ] {
            assert_eq!(read(&body), Ok(expected.to_owned()), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_cleared_is_named() {
        for (body, expected) in [
            (json!({ "paths": ["/", 7] }), "paths[1] is no text"),
            (json!({ "paths": ["about"] }), "paths[0] \"about\" is not a path"),
            (json!({ "paths": ["/a\nb"] }), "paths[0] contains a control character"),
            (json!({ "tags": [""] }), "tags[0] must not be empty"),
            (json!({ "paths": ["/1", "/2", "/3"], "tags": ["4", "5"] }), "5 paths and tags"),
        ] {
            let bad = read(&body).expect_err(expected);
            assert!(bad.starts_with(expected), "{bad}");
        }
    }
}
