//! `demo`, run as after a first build.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{DEADLINE, Desk, Running, until};

/// What the demo leaves in its temporary directory.
fn left(desk: &Desk) -> Vec<String> {
    let there = std::fs::read_dir(desk.path()).expect("dir");
    there.map(|entry| entry.expect("entry").file_name().display().to_string()).collect()
}

fn demo(desk: &Desk, args: &[&str]) -> Running {
    let mut command = desk.command(&[&["demo"], args].concat());
    command.env("TMPDIR", desk.path());
    // None of this may reach the instances.
    command.env("CACHE_MIRRORS", "http://169.254.169.254").env("CACHE_MIRROR__NO__SUCH", "x");
    command.env("CACHE_MIRROR_URL", "http://127.0.0.1:1").env("CACHE_MIRROR_TOKEN", "none");
    std::fs::write(desk.path().join(".env"), "CACHE_MIRROR__NO__SUCH=x\n").expect("write");
    Running::from(command)
}

fn is_alive(pid: &str) -> bool {
    // A process that has ended and is not waited for yet shows as a zombie.
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// One request over a new connection.
fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.write_all(request.as_bytes()).expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

fn get(address: &str, path: &str) -> String {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

#[test]
fn demo_once_shows_every_step_and_exits_0_within_45_seconds() {
    let desk = Desk::new();
    let began = Instant::now();
    let mut running = demo(&desk, &["--once", "--json"]);
    let mut steps = vec![];
    loop {
        let line: serde_json::Value = serde_json::from_str(&running.line()).expect("JSON");
        let is_last = line["step"] == "done";
        steps.push((line["step"].clone(), line["text"].as_str().expect("text").to_owned()));
        if is_last {
            break;
        }
    }
    assert_eq!(running.end(), (Some(0), String::new()), "{steps:#?}");
    assert!(began.elapsed() < Duration::from_secs(45));
    let has = |step: &str, text: &str| {
        assert!(
            steps.iter().any(|(s, t)| s == step && t.contains(text)),
            "{step} {text}: {steps:#?}"
        );
    };
    for name in ["staging", "production-eu", "production-us"] {
        has("start", name);
        has("warm", &format!("{name:<14} 5 pages rendered, then 5 hits"));
        has("stream", &format!("{name:<14} applied, and sent to its readers"));
        let cleared = "3 entries: / (feed), /posts/1 (posts), /feed (feed)";
        has("cleared", &format!("{name:<14} {cleared}"));
    }
    has("mutate", "staging cleared 3 of 5 entries (feed 2, posts 1)");
    has("mirror", "production-us  delivered");
    has("no loop", "staging 2, production-eu 0, production-us 0, and it stays at that");
    has("no loop", "staging 1, production-eu 1, production-us 1");
    has("log", "scope=local principal=mirror@demo.example");
    has("done", "every page fresh everywhere, every event once");
    assert_eq!(left(&desk), [".env"], "the directory is removed");
}

/// The curl line that it prints works: a change at one site is seen at the two others, and Ctrl-C
/// takes everything down.
#[test]
fn the_demo_keeps_running_until_ctrl_c() {
    let desk = Desk::new();
    let mut running = demo(&desk, &[]);
    let (mut pids, mut sites) = (vec![], vec![]);
    loop {
        let line = running.line();
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "pid") {
            pids.push(words[at + 1].to_owned());
        }
        if words.get(4) == Some(&"site") {
            let url = words[5].trim_start_matches("http://").trim_end_matches('/');
            sites.push(url.to_owned());
        }
        if line.ends_with("until Ctrl-C") {
            break;
        }
    }
    assert_eq!((pids.len(), sites.len()), (3, 3));
    assert!(get(&sites[1], "/posts/1").contains("Hello, mirrors"));
    let form = "title=Changed+%26+%3Cnew%3E";
    let length = form.len();
    let change = format!(
        "POST /posts/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    let answer = http(&sites[2], &change);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"delivered\""), "{answer}");
    for site in &sites {
        for path in ["/", "/feed", "/posts/1"] {
            let page = get(site, path);
            assert!(page.contains("Changed &amp; &lt;new&gt;"), "{site}{path}: {page}");
        }
    }
    running.signal("INT");
    assert_eq!(running.end(), (Some(0), String::new()));
    assert!(!pids.iter().any(|pid| is_alive(pid)), "the instances have ended");
    assert_eq!(left(&desk), [".env"]);
}

/// Not even a parent that is killed leaves instances behind.
#[test]
fn killing_the_demo_stops_its_instances() {
    let desk = Desk::new();
    let mut running = demo(&desk, &[]);
    let pid = |line: String| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "pid").skip(1);
        words.next().expect("a pid").to_owned()
    };
    let pids = [(); 3].map(|()| pid(running.line_with(" pid ")));
    running.signal("KILL");
    running.end();
    until("the instances end", || (!pids.iter().any(|pid| is_alive(pid))).then_some(()));
}
