//! Bodies within the limits that are as costly as can be: none of them may hold up the instance.

use serde_json::{Value, json};

use crate::support::{Node, Spec};

/// Processor time that one such body may take; the quadratic ways took ten seconds and more.
const SECONDS_MAX: f64 = 2.0;
/// Ticks of `/proc/PID/stat` in a second; Linux shows 100 whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of the instance so far, in seconds.
fn cpu_seconds(node: &Node) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).expect("it runs");
    // After the name, which ends in the last bracket: user and system time are fields 12 and 13.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|text| text.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

fn many(count: usize, text: impl Fn(usize) -> String) -> Value {
    (0..count).map(text).collect::<Vec<_>>().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_of_a_body_is_linear_in_its_size() {
    let node = Spec::new("a").start().await;
    for key in ["a".repeat(1000), format!("{}b", "a".repeat(1000))] {
        assert!(node.put_entry(&key, "", "v").await);
    }
    let (a, half) = ("a".repeat(1000), "a".repeat(500));
    let unknown = format!("{}x", "y".repeat(900_000));
    for (what, body, status) in [
        (
            "keys and patterns that nearly match",
            json!({ "keys": many(100, |at| format!("{at}{a}")),
                "patterns": many(100, |at| format!("*{half}b{at}*")) }),
            200,
        ),
        (
            "patterns of wildcards",
            json!({ "keys": many(100, |at| format!("{at}{a}")),
                "patterns": many(400, |at| format!("{}b{at}", "*a?a".repeat(100))) }),
            200,
        ),
        (
            "paths beside prefixes",
            json!({ "paths": many(9_000, |at| match at % 2 {
                0 => format!("/a/{at}/*"),
                _ => format!("/b/{at}"),
            }) }),
            200,
        ),
        (
            "types that nobody knows",
            json!({ "items": (0..2_000).map(|at| json!({ "type": format!("pots{at}") }))
                .collect::<Vec<_>>() }),
            200,
        ),
        ("a field with a long name", json!({ "type": "posts", unknown: true }), 400),
    ] {
        let before = cpu_seconds(&node);
        let answer = node.post("/api/cache/invalidate", body.clone()).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{what}: {text:.300}");
        assert!(text.len() < 200_000, "{what}: an answer of {} bytes", text.len());
        let took = cpu_seconds(&node) - before;
        assert!(took < SECONDS_MAX, "{what}: {took} s of processor time");
        let before = cpu_seconds(&node);
        node.get("/api/cache/entries/other").await;
        let took = cpu_seconds(&node) - before;
        assert!(took < SECONDS_MAX, "a lookup after {what}: {took} s of processor time");
    }
}
