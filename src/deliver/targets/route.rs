//! Translates paths into arguments of Next.js `revalidatePath`.
//!
//! A concrete path has no `type`, a pattern such as `/products/[slug]` needs `page`, and everything
//! below a route is its `layout`. A path that cannot be expressed exactly becomes the root layout,
//! which is every page. Tested with Next.js 15 and 16 in `tests/recipes/next.rs`.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;

use super::template::TEMPLATE_BYTES_MAX;
use crate::domain::{self, Label, UrlPath};

/// The `type` argument of `revalidatePath`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// Absent: exactly these paths.
    Path,
    /// All paths of a route.
    Page,
    /// All pages below a route.
    Layout,
}

impl RouteKind {
    /// The value of `type`; `None` if it is left out.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Path => None,
            Self::Page => Some("page"),
            Self::Layout => Some("layout"),
        }
    }
}

/// The path whose layout contains every page.
pub const ROOT: &str = "/";

/// Whether a segment is a parameter, such as `[slug]`, `[...slug]` or `[[...slug]]`.
fn is_parameter(segment: &str) -> bool {
    let inner = |segment: &str, open: &str, close: &str| {
        segment.strip_prefix(open).and_then(|it| it.strip_suffix(close)).map(str::to_owned)
    };
    let name = inner(segment, "[[...", "]]")
        .or_else(|| inner(segment, "[...", "]"))
        .or_else(|| inner(segment, "[", "]"));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['[', ']', '.', '{']))
}

/// Whether a segment is a route group, such as `(shop)`.
pub fn is_group(segment: &str) -> bool {
    let name = segment.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['(', ')', '.', '{']))
}

/// Whether a path is a route as its files are named, rather than one that a browser requests.
pub fn is_pattern(path: &str) -> bool {
    path.split('/').any(|segment| is_parameter(segment) || is_group(segment))
}

/// Checks a path of the settings, with its variables.
///
/// # Errors
/// What Next.js does not accept, and what to write instead.
pub fn check(path: &str) -> Result<(), String> {
    let segments: Vec<&str> = path.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        if segment.contains(['[', ']']) && !is_parameter(segment) {
            return Err("expected a parameter to be a whole segment: [slug], [...slug] or \
                        [[...slug]] (a bracket of a path is %5B or %5D)"
                .into());
        }
        if segment.starts_with("[...") || segment.starts_with("[[...") {
            let is_last = segments[at + 1..].iter().all(|after| after.is_empty());
            if !is_last {
                return Err(format!("expected {segment} to be the last segment"));
            }
        }
        if ["(.)", "(..)", "(...)"].iter().any(|mark| segment.starts_with(mark)) {
            return Err(format!(
                "{segment} is an intercepting route, which no call revalidates: name the route \
                 that it intercepts"
            ));
        }
    }
    if is_pattern(path) { check_pattern(path, &segments) } else { Ok(()) }
}

fn check_pattern(path: &str, segments: &[&str]) -> Result<(), String> {
    if path.contains('{') {
        return Err(
            "a route with [parameters] or (groups) has no variables: name the whole route, \
                    as /products/[slug], or the path that a browser requests, as /products/{slug}"
                .into(),
        );
    }
    if let Some(slot) = segments.iter().find(|segment| segment.starts_with('@')) {
        return Err(format!("{slot} is a slot, which is revalidated with its page: leave it out"));
    }
    match segments.last() {
        Some(&"layout") => {
            Err("expected the route without /layout, as { path = \"/docs\", type = \"layout\" }"
                .into())
        }
        Some(&file @ ("page" | "route")) => Err(format!("expected the route without /{file}")),
        _ => Ok(()),
    }
}

/// The routes of an event, each with the prefixes that it was parsed as. Empty if one of them is no
/// Next.js route, because then a prefix may cover more than the routes do.
pub fn nextjs_routes(routes: &[Label]) -> BTreeMap<String, BTreeSet<UrlPath>> {
    let read = routes.iter().map(|route| {
        let text = route.as_str();
        let prefixes = domain::route::selectors(text, false).ok()?.prefixes().clone();
        let is_route = check(text).is_ok() && is_pattern(text) && !text.ends_with('/');
        is_route.then(|| (text.to_owned(), prefixes))
    });
    read.collect::<Option<_>>().unwrap_or_default()
}

/// A route with parameters as prefixes; `None` for any other path.
pub fn prefixes(text: &str) -> Option<impl Iterator<Item = String> + use<>> {
    if !text.split('/').any(is_parameter) {
        return None;
    }
    let read = domain::route::selectors(text, false).ok()?;
    let prefixes: Vec<String> = read.prefixes().iter().map(|prefix| format!("{prefix}*")).collect();
    Some(prefixes.into_iter())
}

/// Adds the arguments for one path of the settings or of a selector. A `*` at its end means every
/// path with that prefix.
pub fn add(path: &str, is_layout: bool, mut add_path: impl FnMut(RouteKind, String)) {
    let plain = path.split_once('?').map_or(path, |(plain, _)| plain);
    let is_inexpressible = plain.ends_with('*') || plain.len() > TEMPLATE_BYTES_MAX;
    if is_inexpressible {
        return add_path(RouteKind::Layout, ROOT.into());
    }
    let trimmed = match plain.trim_end_matches('/') {
        "" => ROOT,
        trimmed => trimmed,
    };
    if is_layout {
        return add_path(RouteKind::Layout, trimmed.to_owned());
    }
    if is_pattern(trimmed) {
        return add_path(RouteKind::Page, trimmed.to_owned());
    }
    add_path(RouteKind::Path, plain.to_owned());
    let decoded = decoded(trimmed);
    // Next.js joins the tags of a page by commas, so a tag with a comma is never found.
    if decoded.contains(',') {
        add_path(RouteKind::Layout, ROOT.into());
    }
    for spelling in BTreeSet::from([trimmed.to_owned(), encoded(&decoded), decoded]) {
        if spelling != plain && spelling.len() <= TEMPLATE_BYTES_MAX {
            add_path(RouteKind::Path, spelling);
        }
    }
}

/// The path as Next.js 16 stores it: decoded, except for characters that would change its meaning.
fn decoded(path: &str) -> String {
    let one = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8();
        let Some(text) = text.ok().filter(|text| !text.contains(char::is_control)) else {
            return segment.to_owned();
        };
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '/' => out.push_str("%2F"),
                '?' => out.push_str("%3F"),
                '#' => out.push_str("%23"),
                '\\' => out.push_str("%5C"),
                c => out.push(c),
            }
        }
        out
    };
    path.split('/').map(one).collect::<Vec<_>>().join("/")
}

/// The path as a browser requests it, which is how Next.js 15 stores it.
fn encoded(decoded: &str) -> String {
    let mut out = String::with_capacity(decoded.len());
    let mut rest = decoded;
    while let Some(c) = rest.chars().next() {
        let is_kept = ["%2F", "%3F", "%23", "%5C"].iter().any(|kept| rest.starts_with(kept));
        let width = c.len_utf8();
        match c {
            '%' if is_kept => out.push(c),
            ' ' | '"' | '\'' | '<' | '>' | '`' | '{' | '}' | '|' | '^' | '%' | '\u{80}'.. => {
                rest.as_bytes()[..width]
                    .iter()
                    .for_each(|byte| out.push_str(&format!("%{byte:02X}")));
            }
            c => out.push(c),
        }
        rest = &rest[width..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(path: &str, is_layout: bool) -> String {
        let mut calls = BTreeSet::new();
        add(path, is_layout, |kind, text| {
            calls.insert(format!("{} {text}", kind.as_str().unwrap_or("-")));
        });
        calls.into_iter().collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_concrete_path_has_no_type_and_a_pattern_has_one() {
        for (path, expected) in [
            ("/", "- /"),
            ("/posts", "- /posts"),
            ("/posts/", "- /posts; - /posts/"),
            ("/posts?page=2", "- /posts"),
            ("/posts/[slug]", "page /posts/[slug]"),
            ("/docs/[[...slug]]", "page /docs/[[...slug]]"),
            ("/(shop)/products", "page /(shop)/products"),
            ("/wiki/Foo_(bar)", "- /wiki/Foo_(bar)"),
            ("/*", "layout /"),
            ("/posts*", "layout /"),
            ("/posts/*", "layout /"),
        ] {
            assert_eq!(arguments(path, false), expected, "{path}");
        }
        assert_eq!(arguments("/docs/", true), "layout /docs");
        assert_eq!(arguments("/(shop)", true), "layout /(shop)");
        assert_eq!(arguments(&format!("/{}", "a".repeat(1024)), false), "layout /");
    }

    /// Each version of Next.js has a spelling of its own; a comma has none.
    #[test]
    fn a_path_is_named_in_every_spelling_that_a_page_may_have() {
        for (path, expected) in [
            ("/p/red%20shoe", "- /p/red shoe; - /p/red%20shoe"),
            ("/p/a%2Fb", "- /p/a%2Fb"),
            ("/p/a%2Fb%20c", "- /p/a%2Fb c; - /p/a%2Fb%20c"),
            ("/p/caf%C3%A9", "- /p/caf%C3%A9; - /p/café"),
            ("/p/café", "- /p/caf%C3%A9; - /p/café"),
            ("/p/caf%c3%a9", "- /p/caf%C3%A9; - /p/caf%c3%a9; - /p/café"),
            ("/p/it's", "- /p/it%27s; - /p/it's"),
            ("/p/a%40b%20c", "- /p/a%40b%20c; - /p/a@b c; - /p/a@b%20c"),
            ("/p/50%25", "- /p/50%; - /p/50%25"),
            ("/p/a%252Fb", "- /p/a%252Fb; - /p/a%2Fb"),
            ("/p/%FF", "- /p/%25FF; - /p/%FF"),
            ("/p/a,b", "- /p/a,b; layout /"),
            ("/p/a%2Cb", "- /p/a%2Cb; - /p/a,b; layout /"),
        ] {
            assert_eq!(arguments(path, false), expected, "{path}");
        }
    }

    #[test]
    fn routes_of_events_are_named_where_all_of_them_are_routes() {
        let named = |texts: &[&str]| {
            let labels: Vec<Label> =
                texts.iter().map(|text| Label::parse(text).expect("a label")).collect();
            nextjs_routes(&labels).into_keys().collect::<Vec<_>>().join(",")
        };
        assert_eq!(named(&["/p/[id]", "/docs/[[...s]]"]), "/docs/[[...s]],/p/[id]");
        for other in ["/p/x[id]", "/p/[id]/page", "/(.)p/[id]", "/[[lang]]/p", "/p/[id]/", "/p"] {
            assert_eq!(named(&["/q/[id]", other]), "", "{other}");
        }
        let prefixes = |text| prefixes(text).map(|it| it.collect::<Vec<_>>().join(","));
        assert_eq!(prefixes("/p/[id]/x").as_deref(), Some("/p/*"));
        assert_eq!(prefixes("/p/*"), None);
    }

    #[test]
    fn routes_of_the_settings_are_understood_or_refused() {
        for good in ["/", "/a/[b]/[...c]", "/(shop)/a/[b]", "/a/{id}", "/layout", "/@me", "/a_(b)"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, expected) in [
            ("/a/[b", "a whole segment"),
            ("/a/x[b]", "a whole segment"),
            ("/a/[]", "a whole segment"),
            ("/a/[{b}]", "a whole segment"),
            ("/a/[...b]/c", "the last segment"),
            ("/(.)photo/[id]", "intercepting"),
            ("/(...)photo", "intercepting"),
            ("/[lang]/products/{slug}", "has no variables"),
            ("/(shop)/products/{slug}", "has no variables"),
            ("/(shop)/@modal/x", "is a slot"),
            ("/docs/[slug]/layout", "type = \"layout\""),
            ("/docs/[slug]/page", "without /page"),
        ] {
            let problem = check(bad).expect_err(bad);
            assert!(problem.contains(expected), "{bad}: {problem}");
        }
    }
}
