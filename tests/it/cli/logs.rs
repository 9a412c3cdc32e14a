//! `logs` on files as the log writer leaves them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::support::Desk;

fn line(level: u32, event: &str, peer: &str, seq: u32) -> String {
    let head = r#""v":0,"name":"cache-mirror","msg":"said","hostname":"h","pid":1"#;
    let time = r#""time":"2026-01-02T03:04:05.006Z""#;
    let about = format!(r#""event":"{event}","peer":"{peer}","types":"posts","ids":"{seq}""#);
    format!(r#"{{{head},"level":{level},{time},{about},"seq":{seq}}}"#)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open");
    writeln!(file, "{text}").expect("write");
}

#[test]
fn log_lines_are_filtered_and_printed_as_text_or_raw() {
    let desk = Desk::new();
    fs::create_dir(desk.path().join("logs")).expect("dir");
    let path = desk.path().join("logs/cache.json");
    let lines =
        [line(30, "mirror", "eu", 1), line(40, "limit", "eu", 2), line(50, "mirror", "us", 3)];
    lines.iter().for_each(|line| append(&path, line));
    let raw = |args: &[&str]| desk.run(&[&["logs", "--json"], args].concat()).ended(0).stdout;
    let expect = |args: &[&str], which: &[usize]| {
        let expected: String = which.iter().map(|at| format!("{}\n", lines[*at])).collect();
        assert_eq!(raw(args), expected, "{args:?}");
    };
    expect(&[], &[0, 1, 2]);
    expect(&["--level", "warn"], &[1, 2]);
    expect(&["--event", "mirror"], &[0, 2]);
    expect(&["--peer", "us"], &[2]);
    expect(&["--type", "posts", "--id", "posts/2"], &[1]);
    expect(&["-n", "1"], &[2]);
    expect(&["--type", "pages"], &[]);
    expect(&["--since", "2026-01-02T03:04:05Z", "--until", "2026-01-02T03:04:06Z"], &[0, 1, 2]);
    expect(&["--since", "2026-01-02T03:04:06Z"], &[]);
    expect(&["--since", "10m"], &[]);
    expect(&["--until", "10m"], &[0, 1, 2]);
    expect(&["--event-id", "3"], &[]);

    let shown = desk.run(&["logs", "--peer", "us"]).ended(0).stdout;
    assert_eq!(shown, "03:04:05.006 error mirror     said types=posts ids=3 peer=us seq=3\n");
    desk.run(&["logs", "--file", "none.json"]).refused(1, "cannot read none.json");
    // The log must be readable with a refused configuration, because then it is needed.
    fs::create_dir(desk.path().join("config")).expect("dir");
    let config = desk.path().join("config/cache-mirror.toml");
    fs::write(&config, "[control]\nlissten = 1").expect("write");
    let bad = desk.run(&["logs", "--json"]).ended(0);
    assert_eq!(bad.stdout.lines().count(), 3, "{bad:?}");
    assert!(bad.stderr.starts_with("1 problem in the configuration"), "{bad:?}");
    fs::rename(&path, desk.path().join("other.json")).expect("moved");
    fs::write(&config, "nonsense = 1\n[log]\nfile = \"other.json\"").expect("write");
    assert_eq!(desk.run(&["logs", "--json"]).ended(0).stdout, bad.stdout);
    fs::rename(desk.path().join("other.json"), &path).expect("moved back");
    fs::remove_dir_all(desk.path().join("config")).expect("removed");
    desk.run(&["logs", "--since", "yesterday"]).refused(2, "such as 10m");
    desk.run(&["logs", "--event", "mirrors"]).refused(2, "expected one of invalidate");
}

/// The writer renames the file and starts a new one. A follower must not lose a line.
#[test]
fn following_continues_over_a_rotation_and_a_truncation() {
    let desk = Desk::new();
    let path = desk.path().join("cache.json");
    append(&path, &line(30, "mirror", "eu", 1));
    let follow = desk.start(&["logs", "-f", "--json", "--file", "cache.json", "--event", "mirror"]);
    assert_eq!(follow.line(), line(30, "mirror", "eu", 1));
    append(&path, &line(30, "mirror", "eu", 2));
    fs::rename(&path, desk.path().join("cache.json.1")).expect("rotate");
    append(&path, &line(30, "limit", "eu", 3));
    append(&path, &line(30, "mirror", "eu", 4));
    assert_eq!(follow.line(), line(30, "mirror", "eu", 2));
    assert_eq!(follow.line(), line(30, "mirror", "eu", 4));
    OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("truncate");
    // A cut is seen while the file is shorter than what was read of it.
    append(&path, &line(30, "mirror", "eu", 5));
    assert_eq!(follow.line(), line(30, "mirror", "eu", 5));
    assert!(follow.is_silent(Duration::from_millis(300)), "each line once");
}

/// The same over the rotation of a real instance.
#[test]
fn following_a_real_instance_loses_no_event_over_its_rotations() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["log.rotate_bytes=2000", "log.rotate_count=20"]);
    let follow = desk.start(&["logs", "-f", "--json", "--event", "invalidate"]);
    for number in 1..=12 {
        desk.ask(&url, &["invalidate", &format!("posts/{number}")]).ended(0);
        let line: serde_json::Value = serde_json::from_str(&follow.line()).expect("JSON");
        assert_eq!(line["seq"], number);
    }
    assert!(desk.path().join("logs/cache.json.2").exists(), "it did rotate");
}
