//! `tune` on logs as they are written: by hand for the figures, by an instance for the form.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::support::{Desk, until};

/// Twenty events a second for so many seconds from a minute (`hh:mm`) on, and their sends.
fn log(minute: &str, seconds: u32, peer: &str) -> String {
    let mut text = String::new();
    for at in 0..seconds * 20 {
        let (second, ms) = (at / 20, at % 20 * 50);
        let time = format!("2026-01-02T{minute}:{second:02}.{ms:03}Z");
        let head = format!(r#""v":0,"name":"cache-mirror","level":30,"time":"{time}""#);
        let about = r#""event":"invalidate","scope":"mirrored","types":"posts""#;
        writeln!(text, r#"{{{head},{about},"ids":"{at}"}}"#).expect("a string");
        let about = format!(r#""event":"mirror","peer":"{peer}","status":"delivered""#);
        writeln!(text, r#"{{{head},{about},"duration_ms":12.5}}"#).expect("a string");
    }
    text
}

#[test]
fn limits_are_listed_with_their_cost_and_one_is_recommended() {
    let desk = Desk::new();
    let path = |name: &str| desk.path().join(name);
    fs::write(path("cache.json.1"), log("03:04", 25, "eu")).expect("write");
    fs::write(path("cache.json"), log("04:05", 25, "eu") + "no json\n{\"half\n").expect("write");
    let tune = ["tune", "--log", "cache.json", "--limits", "50/s,1/s,120/min", "--burst", "1"];
    let ran = desk.run(&tune).ended(0);
    assert_eq!(ran.stderr, "2 of 2002 lines are no JSON and were left out\n");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "1000 mirrored events in 61 min, from 2026-01-02T03:04:00Z");
    assert!(lines.contains(&"eu: a send takes 12.5 ms"), "{lines:#?}");
    let limits: Vec<&str> =
        lines.iter().filter_map(|line| line.get(2..)?.split('/').next()).collect();
    let order = ["1", "2", "50"];
    let shown: Vec<&str> =
        limits.iter().map(|it| it.trim()).filter(|it| order.contains(it)).collect();
    assert_eq!(shown, order, "sorted, in one unit: {lines:#?}");

    // The configuration accepts the printed setting.
    let from = ran.stdout.find("[mirrors]").expect("a setting");
    fs::create_dir(path("config")).expect("dir");
    fs::write(path("config/cache-mirror.toml"), &ran.stdout[from..]).expect("write");
    desk.run(&["config", "check"]).ended(0);
    let json = desk.run(&["config", "show", "--json"]).ended(0).json();
    let rate =
        json.as_array().expect("a list").iter().find(|it| it["key"] == "mirrors.rate_per_second");
    assert_eq!(rate.expect("the key")["value"], "1.0");

    let json = desk.run(&[&tune[..], &["--json", "--peer", "eu"]].concat()).ended(0).json();
    assert_eq!((&json["events"], &json["malformed_lines"]), (&1000.into(), &2.into()));
    let limits = json["mirrors"][0]["limits"].as_array().expect("limits");
    let number = |of: &Value, name: &str| of[name].as_u64().expect("a number");
    for (limit, (least, most)) in limits.iter().zip([(50, 54), (100, 106), (1000, 1000)]) {
        assert_eq!(number(limit, "events"), 1000, "nothing is lost");
        assert_eq!(number(limit, "requests") + number(limit, "merged"), 1000);
        assert!((least..=most).contains(&number(limit, "requests")), "{limit}");
    }
    assert_eq!(json["mirrors"][0]["recommended"]["rate_per_second"], 1.0);
    let strict = [&tune[..], &["--json", "--target-ms", "600"]].concat();
    let json = desk.run(&strict).ended(0).json();
    assert_eq!(json["mirrors"][0]["recommended"]["rate_per_second"], 2.0);
}

/// A limit that was derived from one event, or from one busy minute, would be wrong.
#[test]
fn too_little_traffic_gives_no_recommendation() {
    let desk = Desk::new();
    let path = desk.path().join("cache.json");
    for (text, what) in [
        (log("03:04", 1, "eu"), "20 mirrored events"),
        (log("03:04", 59, "eu"), "1180 mirrored events in 58 s"),
        (log("03:04", 1, "eu") + &log("05:04", 1, "eu"), "40 mirrored events in 2 h"),
    ] {
        fs::write(&path, text).expect("write");
        let ran = desk.run(&["tune", "--log", "cache.json"]).ended(0);
        assert!(ran.stdout.contains("No advice") && ran.stdout.contains(what), "{ran:?}");
        assert!(!ran.stdout.contains("rate_per_second"), "{ran:?}");
        let json = desk.run(&["tune", "--log", "cache.json", "--json"]).ended(0).json();
        assert_eq!(json["mirrors"][0]["recommended"], Value::Null);
    }
}

#[test]
fn lines_that_cannot_be_replayed_are_reported() {
    let desk = Desk::new();
    desk.run(&["tune", "--log", "none.json"]).refused(1, "cannot read none.json");
    fs::write(desk.path().join("empty.json"), "").expect("write");
    desk.run(&["tune", "--log", "empty.json"]).refused(1, "no mirrored event in empty.json");
    fs::write(desk.path().join("cache.json"), log("03:04", 1, "eu")).expect("write");
    let tune = ["tune", "--log", "cache.json"];
    let with = |args: &[&str]| desk.run(&[&tune[..], args].concat());
    with(&["--peer", "us"])
        .refused(1, "--peer us: the log has no request to it; it has requests to: eu");
    with(&["--limits", "5/d"]).refused(2, "such as 20/s");
    with(&["--limits", "0/s"]).refused(2, "such as 20/s");
    with(&["--burst", "0"]).refused(2, "--burst");
    with(&["--svg", "no/such/dir.svg"]).refused(1, "cannot write no/such/dir.svg");
}

#[test]
fn the_plot_is_valid_xml() {
    let desk = Desk::new();
    fs::write(desk.path().join("cache.json"), log("03:04", 2, "eu") + &log("03:05", 2, "us"))
        .expect("write");
    desk.run(&["tune", "--log", "cache.json", "--svg", "limits.svg"]).ended(0);
    let svg = fs::read_to_string(desk.path().join("limits.svg")).expect("written");
    let document = roxmltree::Document::parse(&svg).expect("well-formed");
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
    assert!(["eu", "us"].iter().all(|name| texts.iter().any(|it| it.trim() == *name)), "{texts:?}");
}

/// The log of a real instance, found by its configuration; its mirror never answered.
#[test]
fn the_log_of_a_real_instance_is_understood() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["mirrors.urls=127.0.0.1:1"]);
    for number in 1..=5 {
        desk.ask(&url, &["invalidate", &format!("posts/{number}")]).ended(0);
    }
    let log = desk.path().join("logs/cache.json");
    until("the log has them", || {
        let text = fs::read_to_string(&log).ok()?;
        (text.matches("\"event\":\"invalidate\"").count() == 5).then_some(())
    });
    let ran = desk.run(&["tune", "--json"]).ended(0);
    assert_eq!(ran.json()["events"], 5);
    assert!(ran.stderr.contains("a send is taken to last 10 ms"), "{ran:?}");
}
