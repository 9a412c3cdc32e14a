//! Paths as users write them: a page, the beginning of pages, or a route of a framework.
//!
//! A route is read as the URLs of its pages, or as more than those. `[id]` is every path that
//! begins so; `[[...slug]]` and `[[lang]]` may be absent, so they include the path above them;
//! groups `(shop)` are no part of a URL, nor are slots `@team` in a route; `(.)`, `(..)` and
//! `(...)` show the URL that they intercept; `page` and `route` at the end are files, and `layout`
//! is around everything below. Parentheses may stand in a URL, so such a path is meant literally as
//! well. Brackets may not: encoded ones (`%5B`) are literal.

use super::label::Malformed;
use super::{Selector, Selectors, UrlPath};

/// What a path selects. `is_route` says that it is certainly a route's, so that `@team` is a slot
/// even where nothing else in it is a route's.
///
/// # Errors
/// [`Malformed`] where it is no path.
pub fn selectors(text: &str, is_route: bool) -> Result<Selectors, Malformed> {
    // A `[` in a query is one of its own: `/search?ids[]=1`.
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let literally = match param(path) {
        Some(at) => Selector::PathPrefix(UrlPath::prefix(&path[..at])?),
        None => Selector::path(text)?,
    };
    let mut selectors = Selectors::one(literally);
    if is_route || path.split('/').any(is_of_route) {
        let route = path.trim_end_matches('*');
        add_pages(route, text.ends_with('*'), query, &mut selectors)?;
    }
    Ok(selectors)
}

/// Adds everything below the single paths.
pub fn add_below(selectors: &mut Selectors) {
    let pages: Vec<UrlPath> = selectors.paths().iter().cloned().collect();
    for page in pages {
        let (page, _) = page.as_str().split_once('?').unwrap_or((page.as_str(), ""));
        let below = format!("{}/", page.trim_end_matches('/'));
        // A path that has no room for its slash has nothing below it.
        if let Ok(below) = UrlPath::prefix(&below) {
            selectors.insert(Selector::PathPrefix(below));
        }
    }
}

/// Where the first parameter begins.
fn param(path: &str) -> Option<usize> {
    let mut at = 0;
    for segment in path.split('/') {
        if let Some(open) = segment.find('[').filter(|open| segment[*open..].contains(']')) {
            return Some(at + open);
        }
        at += segment.len() + 1;
    }
    None
}

fn is_of_route(segment: &str) -> bool {
    param(segment).is_some() || is_group(segment) || intercepted(segment).is_some()
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
    let mut above: Vec<&str> = vec![];
    let path = |segments: &[&str]| format!("/{}", segments.join("/"));
    for segment in route.split('/').skip(1) {
        let (levels, name) = intercepted(segment).unwrap_or((Some(0), segment));
        above.truncate(levels.map_or(0, |levels| above.len().saturating_sub(levels)));
        if let Some(at) = param(name) {
            if name[at..].starts_with("[[") && at == 0 {
                to.insert(Selector::Path(UrlPath::parse(&path(&above))?));
            }
            above.push(&name[..at]);
            to.insert(Selector::PathPrefix(UrlPath::prefix(&path(&above))?));
            return Ok(());
        }
        let is_slot = name.len() > 1 && name.starts_with('@');
        if !is_slot && !is_group(name) {
            above.push(name);
        }
    }
    let star = if is_prefix && query.is_empty() { "*" } else { "" };
    let page = format!("{}{query}{star}", path(&above));
    let mut pages = Selectors::one(Selector::path(&page)?);
    if is_prefix {
        to.join(&pages);
        return Ok(());
    }
    if let Some(file @ ("page" | "route" | "layout")) = above.last().copied() {
        above.pop();
        let mut folder = Selectors::one(Selector::Path(UrlPath::parse(&path(&above))?));
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
            ("/(shop)/docs/**", "path:/(shop)/docs/*,path:/docs/*"),
            ("/docs/**", "path:/docs/*"),
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
    fn everything_below_is_added_once() {
        for (text, expected) in [
            ("/a", "path:/a,path:/a/*"),
            ("/a/", "path:/a/*"),
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
