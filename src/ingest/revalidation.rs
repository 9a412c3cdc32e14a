//! Requests of `POST /api/revalidate`: bodies as content systems send them, and queries as in the
//! examples of Next.js.
//!
//! Parsing is as lenient as on the route that it replaces: missing paths clear nothing, and a
//! `paths` that is not a list is no error; it is cleared as far as it can be read, and the rest is
//! reported. Anything else that cannot be cleared is an error, because ignoring it would leave a
//! page stale that its caller believes to be fresh.

use serde_json::Value;

use super::damaged_json::is_doubtful;
use super::fields::{self, TooManyMembers};
use crate::domain::{Label, Selector, Selectors, route};

/// A parsed request. Its secret is not checked yet.
#[derive(Debug, Default)]
pub struct Revalidation {
    paths: Vec<Value>,
    /// The paths of a `paths` that is not a list. They are cleared but not listed in the answer,
    /// because callers expect an empty list there.
    loose: Vec<String>,
    /// Whether a part of such a `paths` could not be read.
    is_partial: bool,
    tags: Vec<Value>,
    /// Whether `type` marks the paths as routes.
    is_route: bool,
    /// Whether everything below a path is cleared too.
    is_layout: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRevalidation {
    /// An item of the list cannot be cleared.
    #[error("{list}[{at}] {problem}")]
    Item {
        /// `paths` or `tags`.
        list: &'static str,
        /// Its place.
        at: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A member or parameter is not valid.
    #[error("{0}")]
    Member(String),
    /// More paths and tags than one request may have.
    #[error("{count} paths and tags; at most {max} are allowed")]
    TooMany {
        /// How many there were.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// The known members of a body and parameters of a query.
pub const MEMBERS: [&str; 6] = ["secret", "path", "paths", "tag", "tags", "type"];

/// The secret of the body; if it has none, that of the query, if all its values are equal.
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
    /// Parses `paths`, `path`, `tags`, `tag` and `type` of a body and a query.
    ///
    /// # Errors [`BadRevalidation::Member`] for a member that is not valid, or almost has one of
    /// these names.
    pub fn read(body: &Value, query: &[(String, String)]) -> Result<Self, BadRevalidation> {
        check_names(body)?;
        let mut asked = Self { tags: several(body, "tags", tags)?, ..Self::default() };
        match body.get("paths") {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => asked.paths.clone_from(items),
            // S1 1.14: a value that is not a list is no error.
            Some(other) => asked.add_loose(other),
        }
        asked.paths.extend(several(body, "path", whole)?);
        asked.tags.extend(several(body, "tag", tags)?);
        let kinds = several(body, "type", whole)?;
        let mut kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str().unwrap_or("")).collect();
        for (name, value) in query {
            match name.as_str() {
                "path" => asked.paths.push(Value::from(value.as_str())),
                "paths" => asked.paths.push(Value::from(value.as_str())),
                "tag" | "tags" => asked.tags.extend(tags(value).into_iter().map(Value::from)),
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

    /// Takes the readable part of a `paths` that is not a list: a text, or an object's values.
    fn add_loose(&mut self, value: &Value) {
        let items = match value {
            Value::Object(members) => members.values().collect(),
            one => vec![one],
        };
        for item in items {
            let Ok(text) = text(item) else {
                self.is_partial = true;
                continue;
            };
            let (good, bad): (Vec<&str>, Vec<&str>) = paths(text.trim())
                .into_iter()
                .partition(|path| route::selectors(path, false).is_ok());
            self.is_partial |= !bad.is_empty();
            self.loose.extend(good.into_iter().map(str::to_owned));
        }
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.loose.is_empty() && self.tags.is_empty()
    }

    /// Whether a part of a `paths` that is not a list could not be read.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The paths of a `paths` that is not a list.
    pub fn loose(&self) -> &[String] {
        &self.loose
    }

    /// The paths, as they were given.
    pub fn paths(&self) -> Vec<&str> {
        self.paths.iter().filter_map(Value::as_str).collect()
    }

    /// Named routes of which only the pages are cleared: see
    /// [`crate::domain::Event::routes`].
    pub fn routes(&self) -> Vec<Label> {
        if self.is_layout {
            return vec![];
        }
        let texts = self.paths().into_iter().chain(self.loose.iter().map(String::as_str));
        route::named(texts.flat_map(paths))
    }

    /// The tags, as they were given.
    pub fn tags(&self) -> Vec<&str> {
        self.tags.iter().filter_map(Value::as_str).collect()
    }

    /// The selectors to clear; empty if nothing was named.
    ///
    /// # Errors
    /// [`BadRevalidation`].
    pub fn selectors(&self, selectors_max: usize) -> Result<Selectors, BadRevalidation> {
        let texts = self.paths.iter().enumerate().map(|(at, item)| {
            let text = text(item).map_err(|problem| bad("paths", at, problem))?;
            Ok(paths(text).into_iter().map(move |path| (at, path)))
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        let loose = self.loose.iter().map(|path| (0, path.as_str()));
        let texts: Vec<(usize, &str)> = texts.chain(loose).collect();
        let count = texts.len() + self.tags.len();
        if count > selectors_max {
            return Err(BadRevalidation::TooMany { count, max: selectors_max });
        }
        let paths = texts.into_iter().map(|(at, text)| {
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

/// A member that is a list, or a text that may name several; empty if it is absent.
fn several(
    body: &Value,
    name: &str,
    parts: impl Fn(&str) -> Vec<&str>,
) -> Result<Vec<Value>, BadRevalidation> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(Value::String(text)) => Ok(parts(text).into_iter().map(Value::from).collect()),
        Some(_) => Err(BadRevalidation::Member(format!("{name}: text, or a list, is expected"))),
    }
}

fn whole(text: &str) -> Vec<&str> {
    vec![text]
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '|')
}

/// The paths in one text. A path may contain a comma or a space, so the part after one is a
/// separate path only if it begins with `/`; then the whole text is cleared as well.
fn paths(text: &str) -> Vec<&str> {
    let mut found = vec![];
    let (mut start, mut is_apart) = (0, false);
    for (at, c) in text.char_indices() {
        if c == '/' && is_apart && at > 0 {
            found.push(text[start..at].trim_matches(is_separator));
            start = at;
        }
        is_apart = is_separator(c);
    }
    if found.is_empty() {
        return vec![text];
    }
    found.push(text[start..].trim_matches(is_separator));
    found.retain(|path| !path.is_empty());
    // A path never contains a line break.
    if text.starts_with('/') && !text.contains(char::is_control) {
        found.push(text);
    }
    found
}

/// The tags in one text, separated by commas. A tag may contain the other separators, so it is
/// cleared as a whole as well.
fn tags(text: &str) -> Vec<&str> {
    let mut found = vec![];
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        found.push(part);
        let pieces = part.split(is_separator).filter(|piece| !piece.is_empty() && *piece != part);
        found.extend(pieces);
    }
    let is_kept = |tag: &&str| !tag.contains(char::is_control);
    if found.iter().any(is_kept) {
        found.retain(is_kept);
    }
    if found.is_empty() { vec![text] } else { found }
}

/// Refuses members whose names are almost known: `Paths`, `path[]`, `pathes`.
fn check_names(body: &Value) -> Result<(), BadRevalidation> {
    let too_many = |many: TooManyMembers| BadRevalidation::Member(many.to_string());
    fields::check_count(body).map_err(too_many)?;
    let members = body.as_object().into_iter().flatten();
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
            json!({ "paths": "about", "tags": [], "path": null }),
            json!({ "paths": 7 }),
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
            (json!({ "paths": "/b", "path": "/a" }), "path:/a,path:/b"),
            (json!({ "paths": "/a; /b", "tag": "x" }), "tag:x,path:/a,path:/a;%20/b,path:/b"),
            (json!({ "paths": { "0": "/a", "2": "/b", "x": 7 } }), "path:/a,path:/b"),
            (json!({ "path": "/a\n/b" }), "path:/a,path:/b"),
            (json!({ "paths": "/a\n/b" }), "path:/a,path:/b"),
            (json!({ "paths": { "x": "/a", "y": "b" } }), "path:/a"),
            (json!({ "paths": ["/a,/b"] }), "path:/a,path:/a,/b,path:/b"),
            (json!({ "tags": "a, b" }), "tag:a,tag:b"),
            (json!({ "tag": "a b" }), "tag:a,tag:a b,tag:b"),
            (json!({ "tags": ["a b", "c,d"] }), "tag:a b,tag:c,d"),
            (json!({ "path": "/docs/:path*" }), "path:/docs,path:/docs/*"),
            (json!({ "path": "/do*cs" }), "path:/do*"),
            (json!({ "path": "/a", "type": "page" }), "path:/a"),
            (json!({ "path": "/a", "type": "layout" }), "path:/a,path:/a/*"),
            (json!({ "paths": ["/a/", "/b*"], "type": "layout" }), "path:/a,path:/a/*,path:/b*"),
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
    fn an_invalid_item_is_reported() {
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
    fn a_query_has_the_same_parameters() {
        for (query, expected) in [
            ("path=/docs&secret=s", "path:/docs"),
            ("path=/a&path=/b&tag=x&tag=y", "tag:x,tag:y,path:/a,path:/b"),
            ("paths=/a,/b&tags=x,y", "tag:x,tag:y,path:/a,path:/a,/b,path:/b"),
            ("paths=/a,b", "path:/a,b"),
            ("paths=/a;/b", "path:/a,path:/a;/b,path:/b"),
            ("paths=/a+/b", "path:/a,path:/a%20/b,path:/b"),
            ("path=/a|/b", "path:/a,path:/a%7C/b,path:/b"),
            ("paths=/a,%0A/b", "path:/a,path:/b"),
            ("tags=x;y", "tag:x,tag:x;y,tag:y"),
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
