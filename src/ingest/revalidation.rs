//! What `POST /api/revalidate` is asked for, as the webhooks of content systems send it, and in the
//! query, as Next.js taught it.
//!
//! It is read as leniently as the route that it replaces: missing paths, and a `paths` that is no
//! list, ask for nothing. Anything else that cannot be cleared is an error, because ignoring it
//! would leave a page stale that its caller believes to be fresh.

use serde_json::Value;

use super::fields::MEMBERS_MAX;
use super::lenient::is_doubtful;
use crate::domain::{Label, Selector, Selectors, route};

/// What was asked for, before anybody looked at the secret.
#[derive(Debug, Default)]
pub struct Revalidation {
    paths: Vec<Value>,
    tags: Vec<Value>,
    /// Whether `type` says that the paths are those of routes.
    is_route: bool,
    /// Whether what lies below a path is meant too.
    is_layout: bool,
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
    /// A member or parameter that cannot be meant so.
    #[error("{0}")]
    Member(String),
    /// More than one request may name.
    #[error("{count} paths and tags; at most {max} are allowed")]
    TooMany {
        /// How many there were.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// What is taken from a body, and from a query.
pub const MEMBERS: [&str; 6] = ["secret", "path", "paths", "tag", "tags", "type"];

/// The secret of a body, where it has one; else that of the query, where all of it agrees.
pub fn secret<'a>(body: &'a Value, query: &'a [(String, String)]) -> Option<&'a str> {
    let in_body = body.get("secret");
    if in_body.is_some() {
        return in_body.and_then(Value::as_str);
    }
    let mut named = query.iter().filter(|(name, _)| name == "secret").map(|(_, value)| value);
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

impl Revalidation {
    /// Takes `paths`, `path`, `tags`, `tag` and `type` out of a body and a query.
    ///
    /// # Errors
    /// [`BadRevalidation::Member`] for a member that cannot be read, or is almost one of these.
    pub fn read(body: &Value, query: &[(String, String)]) -> Result<Self, BadRevalidation> {
        check_names(body)?;
        let mut asked = Self {
            // S1 1.14: what is no list asks for nothing.
            paths: body.get("paths").and_then(Value::as_array).cloned().unwrap_or_default(),
            tags: several(body, "tags")?,
            is_route: false,
            is_layout: false,
        };
        asked.paths.extend(several(body, "path")?);
        asked.tags.extend(several(body, "tag")?);
        let kinds = several(body, "type")?;
        let mut kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str().unwrap_or("")).collect();
        for (name, value) in query {
            match name.as_str() {
                "path" => asked.paths.push(Value::from(value.as_str())),
                "paths" => asked.paths.extend(listed(value, ",/").map(Value::from)),
                "tag" => asked.tags.push(Value::from(value.as_str())),
                "tags" => asked.tags.extend(listed(value, ",").map(Value::from)),
                "type" => kinds.push(value),
                _ => {}
            }
        }
        asked.is_route = !kinds.is_empty();
        for kind in kinds {
            match kind {
                "page" => {}
                "layout" => asked.is_layout = true,
                _ => {
                    return Err(BadRevalidation::Member("type: page or layout is expected".into()));
                }
            }
        }
        Ok(asked)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.tags.is_empty()
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
            let text = text(item).map_err(|problem| bad("paths", at, problem))?;
            let read = route::selectors(text, self.is_route);
            read.map_err(|malformed| bad("paths", at, &malformed.to_string()))
        });
        let tags = self.tags.iter().enumerate().map(|(at, item)| {
            let text = text(item).map_err(|problem| bad("tags", at, problem))?;
            let tag = Label::parse(text).map_err(|it| bad("tags", at, &it.to_string()))?;
            Ok(Selector::Tag(tag))
        });
        let paths = paths.collect::<Result<Vec<Selectors>, _>>()?;
        let tags = tags.collect::<Result<Vec<Selector>, _>>()?;
        let mut selectors: Selectors = paths.iter().flat_map(Selectors::iter).chain(tags).collect();
        if self.is_layout {
            route::add_below(&mut selectors);
        }
        Ok(selectors)
    }
}

/// A member that is one text, or a list; nothing where it is absent.
fn several(body: &Value, name: &str) -> Result<Vec<Value>, BadRevalidation> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(text @ Value::String(_)) => Ok(vec![text.clone()]),
        Some(_) => Err(BadRevalidation::Member(format!("{name}: text, or a list, is expected"))),
    }
}

/// The texts of one parameter. What follows a comma is one of its own only where it can be; the
/// whole is meant as well then, for a path may hold a comma.
fn listed<'a>(text: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
    let mut texts = vec![];
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        texts.push(&rest[..at]);
        rest = &rest[at + 1..];
    }
    texts.push(rest);
    if texts.len() > 1 && mark.len() > 1 {
        texts.push(text);
    }
    texts.into_iter()
}

/// Refuses members that are almost ones that count: `Paths`, `path[]`, `pathes`.
fn check_names(body: &Value) -> Result<(), BadRevalidation> {
    let members = body.as_object().into_iter().flatten().take(MEMBERS_MAX);
    for (name, _) in members.filter(|(name, _)| !MEMBERS.contains(&name.as_str())) {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let plain = plain.to_ascii_lowercase();
        let distance = |known: &str| strsim::damerau_levenshtein(known, &plain);
        let most = usize::from(plain.len() > 4);
        let near = MEMBERS.into_iter().filter(|known| distance(known) <= most);
        if let Some(known) = near.min_by_key(|known| distance(known)) {
            let problem = format!("unknown {name:?}; did you mean {known:?}?");
            return Err(BadRevalidation::Member(problem));
        }
    }
    Ok(())
}

fn text(item: &Value) -> Result<&str, &'static str> {
    let text = item.as_str().ok_or("is no text")?;
    if is_doubtful(text) { Err("is not valid Unicode") } else { Ok(text) }
}

fn bad(list: &'static str, at: usize, problem: &str) -> BadRevalidation {
    BadRevalidation::Item { list, at, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<String, String> {
        let selectors = Revalidation::read(body, &[]).and_then(|asked| asked.selectors(4));
        selectors.map(|it| it.to_string()).map_err(|bad| bad.to_string())
    }

    /// S1 1.14: missing or no list: nothing, and no error.
    #[test]
    fn what_is_missing_asks_for_nothing() {
        for body in [
            json!({}),
            json!({ "paths": null }),
            json!({ "paths": "/", "tags": [], "path": null }),
            json!({ "paths": { "a": 1 }, "other": 1, "type": "page" }),
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
            (json!({ "path": "/docs/[[...slug]]" }), "path:/docs,path:/docs/*"),
            (json!({ "path": "/[[...slug]]", "type": "page" }), "path:/*"),
            (json!({ "path": "/docs/[...slug]" }), "path:/docs/*"),
            (json!({ "path": "/(shop)/p/[slug]", "type": "page" }), "path:/(shop)/p/*,path:/p/*"),
            (json!({ "path": "/(shop)/about" }), "path:/(shop)/about,path:/about"),
            (json!({ "path": "/(shop)", "type": "layout" }), "path:/*"),
            (json!({ "path": "/wiki/a_(b)" }), "path:/wiki/a_(b)"),
            (json!({ "paths": ["/blog/*", "/a["] }), "path:/a%5B,path:/blog/*"),
            (
                json!({ "path": ["/a", "/b"], "tag": ["x"], "tags": "y" }),
                "tag:x,tag:y,path:/a,path:/b",
            ),
            (json!({ "path": "/a", "type": "page" }), "path:/a"),
            (json!({ "path": "/a", "type": "layout" }), "path:/a,path:/a/*"),
            (json!({ "paths": ["/a/", "/b*"], "type": "layout" }), "path:/a/*,path:/b*"),
            (json!({ "path": "/", "type": "layout" }), "path:/*"),
            (json!({ "path": "/café" }), "path:/caf%C3%A9"),
            (json!({ "path": "/docs/[[...slug]]", "type": "page" }), "path:/docs,path:/docs/*"),
            (json!({ "path": "/docs/[...slug]", "type": "layout" }), "path:/docs/*"),
            (json!({ "path": "/(shop)/cart" }), "path:/(shop)/cart,path:/cart"),
            (json!({ "path": "/a/@slot", "type": "page" }), "path:/a,path:/a/@slot"),
            (json!({ "path": "/a/@slot" }), "path:/a/@slot"),
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
            (json!({ "path": "" }), "paths[0] \"\" is not a path"),
            (json!({ "path": "/caf\u{fffd}" }), "paths[0] is not valid Unicode"),
            (json!({ "path": 3 }), "path: text"),
            (json!({ "tags": { "a": 1 } }), "tags: text"),
            (json!({ "tags": [["a"]] }), "tags[0] is no text"),
            (json!({ "path": "/a", "type": "posts" }), "type: page or layout"),
            (json!({ "path": "/a", "type": 1 }), "type: text"),
            (json!({ "Paths": ["/a"] }), "unknown \"Paths\"; did you mean \"paths\"?"),
            (json!({ "path[]": "/a" }), "unknown \"path[]\"; did you mean \"path\"?"),
            (json!({ "pathes": ["/a"] }), "unknown \"pathes\"; did you mean \"paths\"?"),
            (json!({ "paths": ["/1", "/2", "/3"], "tags": ["4", "5"] }), "5 paths and tags"),
        ] {
            let bad = read(&body).expect_err(expected);
            assert!(bad.starts_with(expected), "{bad}");
        }
    }
    #[test]
    fn a_query_names_the_same() {
        for (query, expected) in [
            ("path=/docs&secret=s", "path:/docs"),
            ("path=/a&path=/b&tag=x&tag=y", "tag:x,tag:y,path:/a,path:/b"),
            ("paths=/a,/b&tags=x,y", "tag:x,tag:y,path:/a,path:/a,/b,path:/b"),
            ("paths=/a,b", "path:/a,b"),
            ("path=%2Fdocs&type=layout", "path:/docs,path:/docs/*"),
            ("secret=s", ""),
        ] {
            let pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let asked = Revalidation::read(&json!({}), &pairs).expect(query);
            assert_eq!(asked.selectors(9).expect(query).to_string(), expected, "{query}");
        }
    }

    #[test]
    fn a_secret_of_the_query_counts_where_the_body_has_none() {
        let pair = |text: &str| ("secret".to_owned(), text.to_owned());
        for (body, query, expected) in [
            (json!({ "secret": "a" }), vec![pair("b")], Some("a")),
            (json!({ "secret": null }), vec![pair("b")], None),
            (json!({}), vec![pair("b"), pair("b")], Some("b")),
            (json!({}), vec![pair("b"), pair("c")], None),
            (json!([]), vec![], None),
        ] {
            assert_eq!(secret(&body, &query), expected, "{body} {query:?}");
        }
    }
}
