//! What happened, what would happen, and why: `events`, `explain` and `why`.

use super::support::{Desk, http, put, until};

/// One unreachable mirror.
const GONE: &str = "mirrors.peers=[{ name = \"gone\", url = \"http://127.0.0.1:1\" }]";
const ACCOUNT: [&str; 2] = ["mirrors.login.email=m@x.example", "mirrors.login.password=a-password"];

fn lonely() -> Vec<&'static str> {
    vec!["graph.preset=polymech", "instance.name=a", GONE, ACCOUNT[0], ACCOUNT[1]]
}

#[test]
fn events_are_listed_newest_last_and_shown_in_full() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&lonely());
    let none = desk.ask(&url, &["events"]).ended(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no events yet"), "{none:?}");
    for (place, reason) in [("posts/42", "typo"), ("pictures", "new logo"), ("pages/1", "")] {
        desk.ask(&url, &["invalidate", place, "--reason", reason]).ended(0);
    }
    let newest = desk.ask(&url, &["events", "-n", "2"]).ended(0).stdout;
    let lines: Vec<&str> = newest.lines().collect();
    assert_eq!(lines.len(), 2, "{newest}");
    assert!(lines[0].contains("pictures with feed, pages, posts"), "{newest}");
    assert!(lines[1].contains("admin by api at a, mirrored"), "{newest}");

    let listed = desk.ask(&url, &["events", "--json"]).ended(0).json();
    let events = listed["events"].as_array().expect("a list");
    assert_eq!(events.len(), 3);
    let id = events[0]["id"].as_str().expect("an id");
    let failed = until("it has failed", || {
        let shown = desk.ask(&url, &["events", id]).ended(0).stdout;
        shown.contains("failed").then_some(shown)
    });
    for part in [id, "posts/42", "feed", "typo", "seq 1, version 1", "Connection refused"] {
        assert!(failed.contains(part), "{part:?} in\n{failed}");
    }
    assert!(failed.contains("(use \"cache-mirror mirrors retry gone\""), "{failed}");
    let story = desk.ask(&url, &["events", id, "--json"]).ended(0).json();
    assert_eq!(story["mirrors"][0]["peer"], "gone");
}

/// The output contains mirrors and targets, each with its last error.
#[test]
fn an_event_is_shown_with_every_destination() {
    let desk = Desk::new();
    let site = [
        "revalidate.url=http://127.0.0.1:1/api/revalidate",
        "revalidate.secret=a-secret-of-the-site",
        "revalidate.paths.posts=/posts/{slug}",
        "revalidate.paths.pages=/pages",
    ];
    let (_server, url) = desk.serve(&[&lonely()[..], &site].concat());
    let asked = ["invalidate", "posts/1", "--changed", "slug", "--field", "slug=red-shoe"];
    desk.ask(&url, &asked).ended(0);
    desk.ask(&url, &["invalidate", "posts", "--field", "slug"]).refused(2, "NAME=VALUE");
    let listed = desk.ask(&url, &["events", "--json"]).ended(0).json();
    let id = listed["events"][0]["id"].as_str().expect("an id");
    let shown = until("both have failed", || {
        let shown = desk.ask(&url, &["events", id]).ended(0).stdout;
        (shown.matches("failed").count() == 2).then_some(shown)
    });
    let (mirrors, targets) = shown.split_once("\n  targets\n").expect("two lists");
    assert!(mirrors.contains("slug=red-shoe") && mirrors.contains("gone"), "{shown}");
    for part in ["nextjs", "Connection refused", "in a row", "cache-mirror mirrors retry nextjs"] {
        assert!(targets.contains(part), "{part:?} in\n{shown}");
    }
    let story = desk.ask(&url, &["events", id, "--json"]).ended(0).json();
    let beside = &story["beside"][0];
    assert_eq!((&beside["peer"], &beside["status"]), (&"nextjs".into(), &"failed".into()));
    assert!(beside["attempts"].as_u64() >= Some(1), "{story}");
}

#[test]
fn a_missing_event_is_reported_with_a_hint_where_to_look() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    let id = "01980000-0000-7000-8000-000000000001";
    desk.ask(&url, &["events", id]).refused(1, &format!("cache-mirror logs --event-id {id}"));
    desk.ask(&url, &["events", "42"]).refused(1, "an event id is a UUID");
    desk.ask(&url, &["events", id, "--follow"]).refused(2, "--follow");
}

#[test]
fn following_shows_each_event_once() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    desk.ask(&url, &["invalidate", "posts/1"]).ended(0);
    let mut command = desk.command(&["events", "--follow", "--json"]);
    command.env("CACHE_MIRROR_URL", &url).env("CACHE_MIRROR_TOKEN", super::support::TOKEN);
    let follower = super::support::Running::from(command);
    assert!(follower.line().contains("posts/1"));
    for id in 2..5 {
        desk.ask(&url, &["invalidate", &format!("posts/{id}")]).ended(0);
        assert!(follower.line().contains(&format!("posts/{id}")));
    }
}

/// The output counts what would be cleared and shows the exact requests. Nothing changes.
#[test]
fn explain_walks_the_graph_and_changes_nothing() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&lonely());
    for (key, name) in [("p1", "posts"), ("p2", "posts"), ("f", "feed"), ("m", "menus")] {
        put(&url, &format!("{key}?type={name}&ttl=60"), "12345");
    }
    let shown = desk.ask(&url, &["explain", "pictures"]).ended(0).stdout;
    for part in [
        "pictures, hard; explained only: nothing is changed",
        "pictures clears posts",
        "pages clears feed",
        "store     3 entries, 15 B (feed 1, posts 2)",
        "{\"type\":\"pictures\",\"mirror\":false}",
        "its kind is not known yet",
        "4 stamps, 1 request of 34 B",
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    let all = desk.ask(&url, &["explain", "--all"]).ended(0).stdout;
    assert!(all.contains("everything, hard; explained only"), "{all}");
    assert!(all.contains("graph     nothing to add: everything is cleared"), "{all}");
    let json = desk.ask(&url, &["explain", "--all", "--json"]).ended(0).json();
    assert_eq!((&json["entries"], &json["bytes"]), (&4.into(), &20.into()));
    assert_eq!(json["cost"]["walks_store"], true);
    let local = desk.ask(&url, &["explain", "posts", "--no-mirror", "--soft"]).ended(0).stdout;
    assert!(local.contains("posts, soft") && local.contains("none: it stays here"), "{local}");
    let tag = desk.ask(&url, &["explain", "--tag", "t"]).ended(0).stdout;
    assert!(tag.contains("(held until its kind is known)"), "{tag}");
    assert!(tag.contains("untried") && !tag.contains(" ok "), "{tag}");
    let odd = desk.ask(&url, &["explain", "psots"]).ended(0);
    assert!(odd.stderr.contains("did you mean posts?"), "{odd:?}");

    let status = desk.ask(&url, &["status", "--json"]).ended(0).json();
    assert_eq!(
        (&status["stats"]["store"]["entries"], &status["versions"]["version"]),
        (&4.into(), &0.into())
    );
    assert_eq!(status["mirrors"][0]["backlog_events"], 0);
    desk.ask(&url, &["explain"]).refused(2, "--tag");
}

/// S2 2.10: whether the call came, and whether its tags are those of the entry.
#[test]
fn why_names_the_event_that_took_an_entry_and_the_way_it_went() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech", "instance.name=a"]);
    desk.ask(&url, &["invalidate", "pictures", "--reason", "new logo"]).ended(0);
    let place = "/posts/42?type=posts&id=42&tags=home&ttl=600";
    assert!(put(&url, place, "x").contains("201"));
    let valid = desk.ask(&url, &["why", "/posts/42"]).ended(0).stdout;
    for part in [
        "/posts/42  valid, filled",
        "pictures with feed, pages, posts  admin by api at a",
        "touched it by the graph: pictures clears posts",
        "because: new logo",
    ] {
        assert!(valid.contains(part), "{part:?} in\n{valid}");
    }
    for (args, by) in [
        (&["posts/42"][..], "posts/42"),
        (&["--tag", "home"], "tag:home"),
        (&["--path", "/posts/*"], "path:/posts/*"),
        (&["--pattern", "*42"], "pattern:*42"),
        (&["--all", "--yes"], "all"),
    ] {
        assert!(put(&url, place, "x").contains("20"));
        desk.ask(&url, &[&["invalidate"], args].concat()).ended(0);
        assert!(put(&url, place, "x").contains("201"), "{by} cleared it");
        let json = desk.ask(&url, &["why", "/posts/42", "-n", "1", "--json"]).ended(0).json();
        assert_eq!(json["events"][0]["by"], serde_json::json!([by]));
        assert_eq!(json["cached"], true);
    }
}

#[test]
fn why_of_an_entry_that_is_gone_needs_its_type() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech"]);
    put(&url, "k?type=posts&id=7", "x");
    desk.ask(&url, &["invalidate", "posts/8"]).ended(0);
    desk.ask(&url, &["invalidate", "posts/7"]).ended(0);
    let gone = desk.ask(&url, &["why", "k"]).ended(0);
    let expected = "k  not cached here\n  no event since the journal began named this place";
    assert!(gone.stdout.contains(expected), "{gone:?}");
    assert!(gone.stderr.contains("give --type and --id"), "{gone:?}");
    let typed = ["why", "k", "--type", "post", "--id", "7", "--json"];
    let json = desk.ask(&url, &typed).ended(0).json();
    let events = json["events"].as_array().expect("a list");
    assert_eq!(events.len(), 1, "not the one of posts/8: {json}");
    assert_eq!(events[0]["by"][0], "posts/7");
    desk.ask(&url, &["why", "k", "--id", "7"]).refused(2, "--type");
}

/// The API below the commands refuses what would only seem to be answered.
#[test]
fn impossible_questions_are_refused_with_a_reason() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech"]);
    for (target, status, says) in [
        ("why", 400, "name the entry"),
        ("why?path=posts", 422, "begins with /"),
        ("why?key=a&path=/a", 422, "ask for one entry"),
        ("why?key=a&id=1", 422, "needs a type"),
        ("why?key=a&tag=1", 400, "known are key, path, type, id, limit"),
        ("why?key=a&limit=x", 422, "a whole number"),
        ("journal?last=x", 422, "a whole number"),
    ] {
        let answer = http(&url, "GET", &format!("/api/cache/{target}"), "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        assert!(answer.contains(says), "{target}: {answer}");
    }
    let path = http(&url, "GET", "/api/cache/why?path=/a&type=post", "");
    assert!(path.contains(r#""selectors":["posts","path:/a","key:/a"]"#), "{path}");
    for (body, status) in [("{}", 422), ("{\"typ\":\"a\"}", 400), ("[]", 400)] {
        let answer = http(&url, "POST", "/api/cache/explain", body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}: {answer}");
    }
}

/// S3 3.10: what became of mirroring is in the log and in `events`, and never on stdout.
#[test]
fn mirror_results_are_in_the_log_and_not_on_stdout() {
    let desk = Desk::new();
    let (server, url) = desk.serve(&lonely());
    let cleared = desk.ask(&url, &["invalidate", "posts/42", "--json"]).ended(0).json();
    let id = cleared["id"].as_str().expect("an id");
    until("the failure is logged", || {
        let shown = desk.run(&["logs", "--event-id", id, "--peer", "gone", "--since", "10m"]);
        shown.ended(0).stdout.contains("status=failed").then_some(())
    });
    let other = ["logs", "--event-id", "01980000-0000-7000-8000-000000000001"];
    assert_eq!(desk.run(&other).ended(0).stdout, "");
    assert!(server.is_silent(std::time::Duration::from_millis(50)));
}
