//! Paths as users write them: a page, the beginning of pages, or a route of a framework.
//!
//! A route is read as the URLs of its pages, or as more than those. A parameter (`[id]`, `:id`,
//! `{id}`, `<id>`, `$id`), a `*` before the end and a regular expression stand for every path that
//! begins as the route does before them. `[[...slug]]`, `:path*` and `:lang?` may be absent, so
//! they include the path above them. Groups `(shop)` are no part of a URL, nor are slots
//! `@team` in a route; `(.)`, `(..)` and `(...)` show the URL that they intercept; `page` and
//! `route` at the end are files, and `layout` is around everything below. What may also stand in a
//! URL (parentheses) is meant literally as well. Encoded characters (`%5B`) are literal.

use super::label::Malformed;
use super::url_path::URL_PATH_BYTES_MAX;
use super::{Label, Selector, Selectors, UrlPath};

/// Routes that one event keeps as they were named.
pub const ROUTES_MAX: usize = 32;

/// Where a route's first parameter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameter {
    at: usize,
    /// Whether the route also matches without it, and so the path above it.
    is_optional: bool,
}

/// What a path selects. `is_route` says that it is certainly a route's, so that `@team` is a slot
/// even where nothing else in it is a route's.
///
/// # Errors
/// [`Malformed`] where it is no path.
pub fn selectors(text: &str, is_route: bool) -> Result<Selectors, Malformed> {
    if text.len() > URL_PATH_BYTES_MAX + 1 {
        // Too long in any spelling: the error says so.
        return Selector::path(text).map(Selectors::one);
    }
    // A `[` in a query is one of its own: `/search?ids[]=1`.
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let parameter = parameter(path, query);
    let literally = match parameter {
        Some(Parameter { at, .. }) => Selector::PathPrefix(UrlPath::prefix(&path[..at])?),
        None => Selector::path(text)?,
    };
    let mut selectors = Selectors::one(literally);
    // An empty query or a fragment names the same page.
    let page = &text[..text.find('#').unwrap_or(text.len())];
    let page = page.strip_suffix('?').unwrap_or(page);
    if !page.is_empty() && page.len() < text.len() {
        selectors.insert(Selector::Path(UrlPath::parse(page)?));
    }
    // `**` at the end may stand for nothing: the folder is included.
    let folder = path.trim_end_matches("/**");
    if folder.len() < path.len() && query.is_empty() {
        let folder = if folder.is_empty() { "/" } else { folder };
        selectors.join(&self::selectors(folder, is_route)?);
    }
    if let Some(parameter) = parameter {
        add_parameter(&path[..parameter.at], parameter.is_optional, &mut selectors)?;
    } else if is_route || path.split('/').any(is_of_route) {
        let route = path.trim_end_matches('*');
        add_pages(route, text.ends_with('*'), query, &mut selectors)?;
    }
    Ok(selectors)
}

/// Of the paths that a caller names, the routes with `[parameters]`, for frameworks that know them
/// by name. One is left out where another path asks for the same pages as a prefix, for the prefix
/// may hold pages of other routes; all are where they are too many.
pub fn named<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Label> {
    let (mut routes, mut others) = (vec![], Selectors::default());
    for text in texts {
        let Ok(read) = selectors(text, false) else { continue };
        match Label::parse(text) {
            Ok(route) if text.contains('[') && !text.contains(['*', '?']) => {
                routes.push((route, read));
            }
            _ => others.join(&read),
        }
    }
    let is_asked = |prefix: &UrlPath| others.covers_one(&Selector::PathPrefix(prefix.clone()));
    routes.retain(|(_, read)| !read.prefixes().is_empty() && !read.prefixes().iter().any(is_asked));
    let mut routes: Vec<Label> = routes.into_iter().map(|(route, _)| route).collect();
    routes.sort();
    routes.dedup();
    if routes.len() > ROUTES_MAX { vec![] } else { routes }
}

/// Adds everything below the single paths. A slash at their end does not name another folder.
pub fn add_below(selectors: &mut Selectors) {
    let pages: Vec<UrlPath> = selectors.paths().iter().cloned().collect();
    for page in pages {
        let (page, _) = page.as_str().split_once('?').unwrap_or((page.as_str(), ""));
        let folder = page.trim_end_matches('/');
        if folder.len() < page.len()
            && let Ok(folder) = UrlPath::parse(folder)
        {
            selectors.insert(Selector::Path(folder));
        }
        let below = format!("{folder}/");
        // A path that has no room for its slash has nothing below it.
        if let Ok(below) = UrlPath::prefix(&below) {
            selectors.insert(Selector::PathPrefix(below));
        }
    }
}

/// The first parameter of a path. `query` is what follows it: a `?` may belong to the parameter.
fn parameter(path: &str, query: &str) -> Option<Parameter> {
    let last_brace = path.rfind('}').unwrap_or(0);
    let mut start = 0;
    for segment in path.split('/') {
        let end = start + segment.len();
        let found = in_segment(segment, &path[end..], query).or_else(|| {
            // Braces may hold slashes.
            let open = segment.find('{').filter(|open| start + open < last_brace)?;
            Some(Parameter { at: open, is_optional: false })
        });
        if let Some(Parameter { at, is_optional }) = found {
            return Some(Parameter { at: start + at, is_optional });
        }
        start = end + 1;
    }
    None
}

/// The first parameter of one segment, braces that hold a slash aside. `after` is the path behind
/// the segment.
fn in_segment(segment: &str, after: &str, query: &str) -> Option<Parameter> {
    let is_last = after.is_empty();
    let last = |marks: &[char]| segment.rfind(marks).unwrap_or(0);
    let (bracket, angle, brace) = (last(&[']']), last(&['>']), last(&['}']));
    let in_expression = {
        let close = last(&[')']);
        let inner = &segment[..close];
        inner.rfind(['*', '|', '\\', '^']).max(inner.rfind(".+")).unwrap_or(0)
    };
    // A `?` in an expression cuts it off.
    let is_cut = is_last && query.contains(')');
    let cut = if is_cut { segment.trim_end_matches('(').len() } else { segment.len() };
    // A `*` at the end of a path makes it a prefix.
    let stars = if is_last && query.is_empty() {
        segment.trim_end_matches('*').len()
    } else {
        segment.len()
    };
    let mut before = None;
    for (at, mark) in segment.char_indices() {
        let rest = &segment[at + mark.len_utf8()..];
        let is_named = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_apart = before.is_none_or(|c: char| !c.is_alphanumeric());
        before = Some(mark);
        let is_optional = match mark {
            '[' if at < bracket => at == 0 && rest.starts_with('['),
            // `{*slug}` and `{**slug}` may be empty.
            '{' if at < brace => at == 0 && rest.starts_with('*'),
            '<' if at < angle => false,
            ':' if is_named && is_apart => at == 0 && may_be_absent(rest, is_last, query),
            '$' if at == 0 && (is_named || rest.is_empty()) => false,
            '(' if at < in_expression || at >= cut => at == 0,
            '*' if at < stars => false,
            _ => continue,
        };
        return Some(Parameter { at, is_optional });
    }
    None
}

/// Whether `:name`, given from its name on, may match nothing: `*` or `?` behind it, or an
/// expression of its own, which may.
fn may_be_absent(name: &str, is_last: bool, query: &str) -> bool {
    let is_marked = is_last && (query == "?" || query.starts_with("?/"));
    is_marked || name.contains(['*', '('])
}

/// Adds the URLs of a route that has a parameter: what stands before that, groups left out.
fn add_parameter(before: &str, is_optional: bool, to: &mut Selectors) -> Result<(), Malformed> {
    let (folder, begun) = before.rsplit_once('/').unwrap_or(("", before));
    let mut above = pages_above(folder);
    let (levels, begun) = intercepted(begun).unwrap_or((Some(0), begun));
    go_up(&mut above, levels);
    if is_optional {
        to.insert(Selector::Path(UrlPath::parse(&joined(&above))?));
    }
    above.push(begun);
    to.insert(Selector::PathPrefix(UrlPath::prefix(&joined(&above))?));
    Ok(())
}

fn joined(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}

fn go_up(above: &mut Vec<&str>, levels: Option<usize>) {
    above.truncate(levels.map_or(0, |levels| above.len().saturating_sub(levels)));
}

/// The segments of a URL that a route's segments stand for.
fn pages_above(route: &str) -> Vec<&str> {
    let mut above: Vec<&str> = vec![];
    for segment in route.split('/').skip(1) {
        let (levels, name) = intercepted(segment).unwrap_or((Some(0), segment));
        go_up(&mut above, levels);
        let is_slot = name.len() > 1 && name.starts_with('@');
        if !is_slot && !is_group(name) {
            above.push(name);
        }
    }
    above
}

fn is_of_route(segment: &str) -> bool {
    is_group(segment) || intercepted(segment).is_some()
}

/// Whether a segment is `(name)`.
fn is_group(segment: &str) -> bool {
    let name = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    name.is_some_and(|name| !name.is_empty() && !name.contains(['(', ')', '.']))
}

/// The levels that `(.)name`, `(..)(..)name` or `(...)name` goes up, and the name; all of them
/// where there is no number.
fn intercepted(segment: &str) -> Option<(Option<usize>, &str)> {
    if let Some(name) = segment.strip_prefix("(...)") {
        return Some((None, name));
    }
    if let Some(name) = segment.strip_prefix("(.)") {
        return Some((Some(0), name));
    }
    let name = segment.trim_start_matches("(..)");
    let levels = (segment.len() - name.len()) / "(..)".len();
    (levels > 0).then_some((Some(levels), name))
}

/// Adds the URLs of a route's pages.
fn add_pages(
    route: &str,
    is_prefix: bool,
    query: &str,
    to: &mut Selectors,
) -> Result<(), Malformed> {
    let mut above = pages_above(route);
    let star = if is_prefix && query.is_empty() { "*" } else { "" };
    let page = format!("{}{query}{star}", joined(&above));
    let mut pages = Selectors::one(Selector::path(&page)?);
    if is_prefix {
        to.join(&pages);
        return Ok(());
    }
    if let Some(file @ ("page" | "route" | "layout")) = above.last().copied() {
        above.pop();
        let mut folder = Selectors::one(Selector::Path(UrlPath::parse(&joined(&above))?));
        if file == "layout" {
            add_below(&mut folder);
        }
        pages.join(&folder);
    }
    to.join(&pages);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_route: bool) -> String {
        selectors(text, is_route).expect(text).to_string()
    }

    #[test]
    fn a_route_is_read_as_the_urls_of_its_pages() {
        for (text, expected) in [
            ("/docs", "path:/docs"),
            ("/docs*", "path:/docs*"),
            ("/products/[id]", "path:/products/*"),
            ("/products/[id]/reviews", "path:/products/*"),
            ("/products/[id]/page", "path:/products/*"),
            ("/docs/[...slug]", "path:/docs/*"),
            ("/docs/[[...slug]]", "path:/docs,path:/docs/*"),
            ("/docs/[[...slug]]/page", "path:/docs,path:/docs/*"),
            ("/[[...slug]]", "path:/*"),
            ("/[locale]/about", "path:/*"),
            ("/[[lang]]/about", "path:/*"),
            ("/shop/[[lang]]/x", "path:/shop,path:/shop/*"),
            ("/users/u-[id]", "path:/users/u-*"),
            ("/café/[id]", "path:/caf%C3%A9/*"),
            ("/(shop)/products", "path:/(shop)/products,path:/products"),
            (
                "/(shop)/products/page",
                "path:/(shop)/products/page,path:/products,path:/products/page",
            ),
            ("/(shop)", "path:/,path:/(shop)"),
            ("/(a)/docs/[[...slug]]", "path:/docs,path:/(a)/docs/*,path:/docs/*"),
            ("/(shop)/docs*", "path:/(shop)/docs*,path:/docs*"),
            ("/(shop)/docs/**", "path:/(shop)/docs,path:/docs,path:/(shop)/docs/*,path:/docs/*"),
            ("/docs/**", "path:/docs,path:/docs/*"),
            ("/docs/**/**", "path:/docs,path:/docs/*"),
            ("/docs/**?x=1", "path:/docs/*"),
            ("/**", "path:/*"),
            ("/(shop)/s?q=1", "path:/(shop)/s?q=1,path:/s?q=1"),
            ("/(shop)/s?q=*", "path:/(shop)/s?q=*,path:/s?q=*"),
            ("/feed/(.)photo/[id]", "path:/feed/(.)photo/*,path:/feed/photo/*"),
            ("/feed/(..)photo", "path:/feed/(..)photo,path:/photo"),
            ("/a/b/(..)(..)c", "path:/a/b/(..)(..)c,path:/c"),
            ("/a/b/(...)c", "path:/a/b/(...)c,path:/c"),
            ("/board/@team/[id]", "path:/board/*"),
            ("/(app)/board/@team/x", "path:/(app)/board/@team/x,path:/board/x"),
            // Nothing of a route.
            ("/@alice/posts", "path:/@alice/posts"),
            ("/wiki/Foo_(bar)", "path:/wiki/Foo_(bar)"),
            ("/a[", "path:/a%5B"),
            ("/a]b[c", "path:/a%5Db%5Bc"),
            ("/a%5Bb%5D", "path:/a%5Bb%5D"),
            ("/search?ids[]=1", "path:/search?ids%5B%5D=1"),
            ("/docs/page", "path:/docs/page"),
        ] {
            assert_eq!(read(text, false), expected, "{text}");
        }
    }

    #[test]
    fn a_parameter_of_any_framework_is_every_path_that_begins_so() {
        for (text, expected) in [
            ("/docs/:path*", "path:/docs,path:/docs/*"),
            ("/docs/:path*/edit", "path:/docs,path:/docs/*"),
            ("/docs/:path+", "path:/docs/*"),
            ("/docs/:path?", "path:/docs,path:/docs/*"),
            ("/docs/:path?/edit", "path:/docs,path:/docs/*"),
            ("/docs/:path(.*)", "path:/docs,path:/docs/*"),
            ("/docs/:path?x=1", "path:/docs/*"),
            ("/:lang?/about", "path:/*"),
            ("/:path*", "path:/*"),
            ("/products/:id", "path:/products/*"),
            ("/products/:id/reviews", "path:/products/*"),
            (r"/products/:id(\d+)", "path:/products,path:/products/*"),
            ("/@:user/posts", "path:/@*"),
            ("/flights/:from-:to", "path:/flights/*"),
            ("/(shop)/p/:id", "path:/(shop)/p/*,path:/p/*"),
            ("/products/{slug}", "path:/products/*"),
            ("/docs/{*slug}", "path:/docs,path:/docs/*"),
            ("/docs/{**slug}", "path:/docs,path:/docs/*"),
            ("/users{/:id}/delete", "path:/users*"),
            ("/products/<int:id>", "path:/products/*"),
            ("/products/$id", "path:/products/*"),
            ("/files/$", "path:/files/*"),
            ("/files/*path", "path:/files/*"),
            ("/do*cs", "path:/do*"),
            ("/blog/*/comments", "path:/blog/*"),
            ("/blog/**/x*", "path:/blog/*"),
            ("/docs/(.*)", "path:/docs,path:/docs/*"),
            ("/(en|de)/about", "path:/*"),
            ("/((?!api|_next).*)", "path:/*"),
            // Nothing of a route.
            ("/wiki/Help:Contents", "path:/wiki/Help:Contents"),
            ("/items:batchGet", "path:/items:batchGet"),
            ("/time/10:30", "path:/time/10:30"),
            ("/at/:80", "path:/at/:80"),
            ("/a(b", "path:/a(b"),
            ("/us$5", "path:/us$5"),
            ("/a_(b+c)", "path:/a_(b+c)"),
            ("/docs*?x=1", "path:/docs*"),
            ("/a%7Bb%7D", "path:/a%7Bb%7D"),
            ("/a?", "path:/a,path:/a?"),
            ("/a#top", "path:/a,path:/a%23top"),
            ("/a?b=1#top", "path:/a?b=1,path:/a?b=1%23top"),
            ("/s?q=a*b", "path:/s?q=a*b"),
        ] {
            assert_eq!(read(text, false), expected, "{text}");
        }
    }

    #[test]
    fn a_route_by_the_callers_word_has_slots_and_files() {
        for (text, expected) in [
            ("/board/@team/x", "path:/board/@team/x,path:/board/x"),
            ("/docs/page", "path:/docs,path:/docs/page"),
            ("/docs/layout", "path:/docs,path:/docs/*"),
            ("/docs", "path:/docs"),
            ("/", "path:/"),
        ] {
            assert_eq!(read(text, true), expected, "{text}");
        }
    }

    #[test]
    fn routes_are_named_where_no_prefix_asks_for_more() {
        for (texts, expected) in [
            (&["/products/[slug]"][..], "/products/[slug]"),
            (&["/b/[id]", "/a/[[...s]]", "/b/[id]", "/x"], "/a/[[...s]],/b/[id]"),
            (&["/products/[slug]", "/products/*"], ""),
            (&["/products/[slug]", "/pro*"], ""),
            (&["/products/[slug]", "/products/:id"], ""),
            (&["/products/[slug]", "/products/red"], "/products/[slug]"),
            (&["/s?ids[]=1", "/a[", "/docs/:path*", "x[y]"], ""),
        ] {
            let named = named(texts.iter().copied());
            let named: Vec<&str> = named.iter().map(Label::as_str).collect();
            assert_eq!(named.join(","), expected, "{texts:?}");
        }
        let many: Vec<String> = (0..=ROUTES_MAX).map(|n| format!("/p{n}/[id]")).collect();
        assert!(named(many.iter().map(String::as_str)).is_empty());
    }

    #[test]
    fn everything_below_is_added_once() {
        for (text, expected) in [
            ("/a", "path:/a,path:/a/*"),
            ("/a/", "path:/a,path:/a/*"),
            ("/a/?b=1", "path:/a,path:/a/*"),
            ("/", "path:/*"),
            ("/a?b=1", "path:/a?b=1,path:/a/*"),
            ("/a*", "path:/a*"),
        ] {
            let mut selectors = selectors(text, true).expect(text);
            add_below(&mut selectors);
            assert_eq!(selectors.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_no_route() {
        for text in ["", "docs/[id]", "[id]", "*"] {
            assert!(selectors(text, false).is_err(), "{text}");
        }
    }
}
