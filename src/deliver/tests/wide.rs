//! Calls that cover others: if such a call fails, the calls that it covers are still sent, to a
//! site and to a cache.

use super::purges::fastly;
use super::stub::{good_legacy, ok};
use super::targets::site;
use super::*;
use crate::domain::{Selector, Selectors, Status};

fn path(text: &str) -> Selectors {
    Selectors::one(Selector::path(text).expect("path"))
}

/// A failing call that is wider than the next event does not replace it: the two are not one call.
#[tokio::test(start_paused = true)]
async fn a_wide_call_that_fails_does_not_hide_the_next_event() {
    for status in [302, 401, 403, 404, 405, 500, 501, 502, 503] {
        let purge = config(vec![fastly()]);
        let cases = [(site(), path("/*"), path("/b")), (purge, Selectors::all(), tag("even"))];
        for (config, wide, narrow) in cases {
            let scene = Scene::of(config, move |asked| {
                let is_wide = asked.text.contains("\"/\"");
                match asked.what {
                    What::Invalidate if is_wide => {
                        Reaction::Answer(answer(status, "application/json", "{}"))
                    }
                    _ if asked.url.path().ends_with("purge_all") => {
                        Reaction::Answer(answer(status, "application/json", "{}"))
                    }
                    What::Invalidate => ok(),
                    _ if asked.url.path().contains("/purge") => ok(),
                    _ => good_legacy(asked),
                }
            });
            let wide = scene.log(wide).await;
            scene.until("the first try", |scene| scene.view().failures > 0).await;
            scene.log(narrow).await;
            let is_narrow =
                |asked: &Asked| asked.text.contains("\"/b\"") || asked.text.contains("\"even\"");
            scene.until("the next", |scene| scene.sends().iter().any(is_narrow)).await;
            assert_ne!(
                scene.delivery.target_outcomes(&wide).remove(0).status,
                Status::Delivered,
                "{status}"
            );
        }
    }
}
