//! What the three sites share: two posts, and how each page is made of them.
//!
//! It stands for the database behind a real site; the caches in front of it are what the demo is
//! about. A page is a pure function of the posts as they are now.

use std::collections::BTreeMap;

use parking_lot::RwLock;

/// A page and how it is cached.
#[derive(Debug)]
pub struct Page {
    pub path: &'static str,
    pub type_name: &'static str,
    pub id: &'static str,
    /// Whether it shows the title of post 1.
    pub shows_first: bool,
}

/// Every page of the site. The front page and the feed list the posts, so both are of type `feed`.
pub const PAGES: [Page; 5] = [
    Page { path: "/", type_name: "feed", id: "home", shows_first: true },
    Page { path: "/posts/1", type_name: "posts", id: "1", shows_first: true },
    Page { path: "/posts/2", type_name: "posts", id: "2", shows_first: false },
    Page { path: "/feed", type_name: "feed", id: "feed", shows_first: true },
    Page { path: "/about", type_name: "pages", id: "about", shows_first: false },
];

/// The posts' titles by their id.
pub struct Database(RwLock<BTreeMap<String, String>>);

impl Database {
    /// Two posts.
    pub fn new() -> Self {
        let posts = [("1", "Hello"), ("2", "About caches")];
        Self(RwLock::new(posts.map(|(id, title)| (id.to_owned(), title.to_owned())).into()))
    }

    /// The title of a post.
    pub fn title(&self, id: &str) -> Option<String> {
        self.0.read().get(id).cloned()
    }

    /// Changes a title; false where there is no such post.
    pub fn change(&self, id: &str, title: &str) -> bool {
        self.0.write().get_mut(id).map(|old| title.clone_into(old)).is_some()
    }

    /// A page as it is now.
    pub fn render(&self, page: &Page) -> String {
        let list = || {
            let posts = self.0.read();
            let lines = posts.iter().map(|(id, title)| {
                format!("<li><a href=\"/posts/{id}\">{}</a></li>", escaped(title))
            });
            format!("<ul>{}</ul>", lines.collect::<String>())
        };
        let body = match page.path {
            "/" => format!("<h1>A small site</h1>{}<a href=\"/about\">about</a>", list()),
            "/feed" => format!("<h1>Feed</h1>{}", list()),
            "/about" => "<h1>About</h1><p>Cached, and cleared when it must be.</p>".to_owned(),
            _ => format!("<h1>{}</h1>", escaped(&self.title(page.id).unwrap_or_default())),
        };
        format!("<!doctype html><meta charset=\"utf-8\"><title>demo</title>{body}\n")
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_shows_on_just_the_pages_that_say_so_and_is_never_markup() {
        let database = Database::new();
        let before = PAGES.each_ref().map(|page| database.render(page));
        assert!(database.change("1", "<b>new</b>"));
        assert!(!database.change("9", "none"));
        for (page, before) in PAGES.iter().zip(before) {
            let now = database.render(page);
            assert_eq!(now != before, page.shows_first, "{}", page.path);
            assert!(!now.contains("<b>"), "{}", page.path);
        }
    }
}
