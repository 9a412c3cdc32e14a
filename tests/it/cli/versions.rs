//! `version`: shows and resets the counter of changes.

use super::support::{Desk, put, until};

/// S1 1.19: read 4, clear once more, read 5. S1 1.23: a type that was never cleared reads 0.
#[test]
fn a_version_rises_by_one_with_each_change() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech"]);
    for id in ["1", "2", "3", "4"] {
        desk.ask(&url, &["invalidate", &format!("posts/{id}")]).ended(0);
    }
    let get = |args: &[&str]| desk.ask(&url, &[&["version", "get"], args].concat()).ended(0).stdout;
    assert_eq!(get(&["posts"]), "4\n");
    desk.ask(&url, &["invalidate", "posts/4"]).ended(0);
    assert_eq!(get(&["posts"]), "5\n");
    assert_eq!(get(&["never"]), "0\n");
    assert_eq!(get(&["never,feed"]), "feed 5\nnever 0\n");
    desk.ask(&url, &["version", "get", ""]).refused(2, "TYPE");
    assert_eq!(get(&["never", "feed"]), "feed 5\nnever 0\n");
    let all = desk.ask(&url, &["version"]).ended(0).stdout;
    assert!(all.starts_with("5, last cleared 20") && all.contains("\nposts 5\n"), "{all}");
    assert_eq!(desk.ask(&url, &["version", "--json"]).ended(0).json()["types"]["feed"], 5);
    desk.ask(&url, &["version", "get", "no type"]).refused(1, "(422)");
}

/// S1 1.33: version to 0 and last clear to now, still so after a kill; S1 1.34: `invalidate --all`.
#[test]
fn a_reset_lasts_and_clears_nothing() {
    let desk = Desk::new();
    let (server, url) = desk.serve(&["graph.preset=polymech"]);
    let ask = |args: &[&str]| desk.ask(&url, args);
    let none = ask(&["version"]).ended(0).stdout;
    assert!(none.starts_with("0, nothing cleared yet"), "{none}");
    ask(&["invalidate", "--all"]).refused(2, "--yes");
    ask(&["invalidate", "--all", "posts", "--yes"]).refused(2, "--all");
    ask(&["version", "reset"]).refused(2, "--yes");
    ask(&["invalidate", "--all", "--yes"]).ended(0);
    ask(&["invalidate", "posts"]).ended(0);
    put(&url, "k?type=posts", "x");
    let before = ask(&["version", "--json"]).ended(0).json();
    let shown = ask(&["version", "reset", "--yes"]).ended(0).stdout;
    assert!(shown.starts_with("version 0, was 2; last cleared 20"), "{shown}");
    let after = ask(&["version", "--json"]).ended(0).json();
    assert_eq!((&after["version"], &after["types"]), (&0.into(), &serde_json::json!({})));
    assert!(after["last_cache_clear"].as_str() > before["last_cache_clear"].as_str());
    let store = ask(&["status", "--json"]).ended(0).json()["stats"]["store"]["entries"].clone();
    assert_eq!(store, 1, "a reset clears nothing");
    until("the log names who did it", || {
        let log = desk.run(&["logs", "--event", "journal"]).ended(0).stdout;
        log.contains("status=reset principal=admin").then_some(())
    });
    ask(&["invalidate", "posts"]).ended(0);

    drop(server);
    let (_server, url) = desk.serve(&["graph.preset=polymech"]);
    assert_eq!(desk.ask(&url, &["version", "get", "posts"]).ended(0).stdout, "1\n");
    let page = desk.ask(&url, &["events", "--json"]).ended(0).json();
    let events = page["events"].as_array().expect("a list").iter();
    let versions: Vec<_> = events.map(|event| event["version"].as_u64()).collect();
    assert_eq!(versions, [Some(1), Some(2), Some(1)], "each as it was answered");
}
