//! The page of a visitor, on its own site, listens to the instance of that site.

use serde_json::json;

use crate::browser::Browser;
use crate::support::{Reply, Spec, StubPeer};

/// As a site would write it: it fetches what changed.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>A site</title><ul></ul><script>
  const stream = new EventSource("STREAM/api/stream");
  stream.addEventListener("hello", () => { document.title = "listening"; });
  stream.addEventListener("app-update", (event) => {
    const { type, id, action } = JSON.parse(event.data);
    const line = document.createElement("li");
    line.textContent = `${type} ${id} ${action}`;
    document.querySelector("ul").append(line);
  });
</script>"#;

/// S3 3.6: visitors of the site of one instance see a change made at the other. The site sends its
/// clients no id: the whole type.
#[tokio::test]
async fn a_visitor_of_this_site_sees_a_change_made_elsewhere() {
    let site = StubPeer::start().await;
    let origin = format!("[\"http://{}\"]", site.name());
    let here = Spec::new("b").set("stream.public", true).set("stream.origins", origin);
    let here = here.start().await;
    let elsewhere = Spec::new("a").mirrors([here.address()]).start().await;
    let page = PAGE.replace("STREAM", &here.base);
    let html = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    site.always("/", Reply::Raw(200, html, page.into()));

    let browser = Browser::open(&here).await;
    browser.go(&format!("http://{}/", site.name())).await;
    browser.until("it listens", "document.title === 'listening'").await;
    elsewhere.invalidate(json!({ "type": "post" })).await;
    browser.shows("li", "posts null update").await;
    browser.shows("li", "feed null update").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}
