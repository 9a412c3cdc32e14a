//! `/metrics`: strict in its format, complete against its document, in agreement with the log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{INVALIDATE, LOGIN, Node, Reply, Spec, StubPeer, eventually, mint};

const DOCUMENT: &str = include_str!("../../../docs/METRICS.md");

/// One exposition, read as strictly as the OpenMetrics text format is written.
#[derive(Debug, Default)]
struct Exposition {
    /// Type by family.
    families: BTreeMap<String, String>,
    /// Value by name and labels, as they stand.
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends in # EOF");
        let mut read = Self::default();
        let (mut family, mut unit) = (String::new(), String::new());
        for line in body.lines() {
            match line.strip_prefix("# ").map(|meta| meta.splitn(3, ' ').collect::<Vec<_>>()) {
                Some(meta) => match meta[..] {
                    ["HELP", name, help] => {
                        assert!(help.ends_with('.') && help.len() > 10, "{line}");
                        (family, unit) = (name.to_owned(), String::new());
                    }
                    ["TYPE", name, kind] => {
                        assert_eq!(name, family, "{line}: TYPE follows HELP");
                        assert!(
                            ["counter", "gauge", "histogram", "info"].contains(&kind),
                            "{line}"
                        );
                        let before = read.families.insert(name.to_owned(), kind.to_owned());
                        assert_eq!(before, None, "{name} comes twice");
                    }
                    ["UNIT", name, given] => {
                        assert!(name == family && name.ends_with(&format!("_{given}")), "{line}");
                        unit = given.to_owned();
                    }
                    _ => panic!("no such line: {line}"),
                },
                None => read.sample(line, &family),
            }
            let is_base = matches!(unit.as_str(), "" | "seconds" | "bytes");
            assert!(is_base, "{line}: base units");
        }
        read
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (name_and_labels, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = name_and_labels.split_once('{').unwrap_or((name_and_labels, "}"));
        let kind = &self.families[family];
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
        let allowed: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line} in a {kind}");
        assert!(name.starts_with("cache_mirror_"), "{line}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
        let labels = labels.strip_suffix('}').expect("labels end");
        for label in labels.split_terminator(',') {
            let (key, value) = label.split_once('=').expect("a label has a value");
            assert!(key.bytes().all(|b| b.is_ascii_lowercase()), "{line}");
            assert!(value.len() > 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
        }
        assert!(self.samples.insert(name_and_labels.to_owned(), value).is_none(), "{line}: twice");
    }

    /// What users write in a query: a counter with `_total`, an info with `_info`.
    fn names(&self) -> BTreeSet<String> {
        let full = |(name, kind): (&String, &String)| match kind.as_str() {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.clone(),
        };
        self.families.iter().map(full).collect()
    }

    fn value(&self, sample: &str) -> f64 {
        let name = format!("cache_mirror_{sample}");
        *self.samples.get(&name).unwrap_or_else(|| panic!("{name} in {:#?}", self.samples))
    }

    /// The sum over all labels.
    fn sum(&self, name: &str) -> f64 {
        let name = format!("cache_mirror_{name}");
        let is_it = |sample: &str| sample.split('{').next() == Some(&name);
        self.samples.iter().filter(|(sample, _)| is_it(sample)).map(|(_, value)| value).sum()
    }
}

async fn scrape(node: &Node) -> Exposition {
    let answer = node.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(media));
    Exposition::read(std::str::from_utf8(&answer.body).expect("text"))
}

/// Every name in docs/METRICS.md is there, and every name that is there is in docs/METRICS.md.
#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_exists() {
    let peer = StubPeer::start().await;
    let node = Spec::new("a").mirrors([peer.name()]).start().await;
    // The times of answers begin with the first answer.
    scrape(&node).await;
    let names = scrape(&node).await.names();
    let first_cells = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `cache_mirror_"));
    let documented: BTreeSet<String> = first_cells
        .map(|rest| format!("cache_mirror_{}", rest.split('`').next().expect("a name")))
        .collect();
    assert_eq!(names, documented);
    let answer = scrape(&node).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(answer.value(&format!("build_info{{version=\"{version}\"}}")) as u64, 1);
    assert!(answer.value("process_start_time_seconds") > 1.6e9);
    let failed = format!("deliveries_total{{peer=\"{}\",outcome=\"failed\"}}", peer.name());
    assert_eq!(answer.value(&failed) as u64, 0, "a count is there before it counts");
}

/// S1 1.26: the duration of answers by route and status, and never by the requested key.
#[tokio::test]
async fn answers_are_timed_by_route() {
    let node = Spec::new("a").start().await;
    for id in ["1", "2"] {
        node.get(&format!("/api/cache/entries/{id}")).await;
    }
    assert_eq!(node.get("/no/such/thing").await.status, 404);
    let answer = scrape(&node).await;
    let count = |labels: &str| answer.value(&format!("request_seconds_count{{{labels}}}")) as u64;
    let entries = r#"method="GET",route="/api/cache/entries/{*key}",status="4xx""#;
    assert_eq!(count(entries), 2);
    assert_eq!(count(r#"method="any",route="none",status="4xx""#), 1);
    assert!(answer.samples.keys().all(|sample| !sample.contains("such")));
}

#[tokio::test]
async fn a_scraper_needs_a_token_unless_metrics_are_public() {
    let mut node = Spec::new("a").start().await;
    let open = |node: &Node| reqwest::get(format!("{}/metrics", node.base));
    assert_eq!(open(&node).await.expect("an answer").status(), 401);
    let service = mint("a", "mirror@example.test", "service");
    let request = node.request_as(&service, reqwest::Method::GET, "/metrics");
    assert!(request.send().await.expect("an answer").status().is_client_error());
    node.restart_with(|spec| spec.set("control.metrics_public", true)).await;
    assert_eq!(open(&node).await.expect("an answer").status(), 200);
}

/// A day of an instance: invalidations from all sides, a failure, a 429, a skip, a refused login.
async fn live(node: &Node, good: &StubPeer, bad: &StubPeer) {
    assert!(node.put_entry("k", "type=posts", "v").await);
    node.get_entry("k").await;
    node.get_entry("nothing").await;
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    node.invalidate(json!({ "type": "pages", "mirror": false })).await;
    node.invalidate(json!({ "tag": "x" })).await;
    let token = mint("a", "mirror@example.test", "service");
    node.invalidate_as(&token, json!({ "type": "feed" })).await.expect(200);
    let login = json!({ "email": "nobody@x.example", "password": "x" });
    assert_eq!(node.post("/api/auth/login", login).await.status, 401);
    node.post(&format!("/api/mirrors/{}/pause", bad.name()), json!({})).await.expect(200);
    eventually("the good peer has everything", async || {
        node.mirror(&good.name()).await["backlog_events"] == 0
    })
    .await;
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["event"] == kind)
}

/// The counts that the log's lines amount to, by sample.
fn counted(lines: &[Value]) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut add = |sample: String, more: f64| {
        *counts.entry(format!("cache_mirror_{sample}")).or_default() += more;
    };
    for line in lines {
        add(format!("activities_total{{event={}}}", line["event"]), 1.0);
        let (peer, status) = (&line["peer"], &line["status"]);
        let number = |field: &str| line[field].as_f64();
        match line["event"].as_str().expect("a line has an event") {
            "invalidate" => {
                let labels = format!("source={},scope={}", line["source"], line["scope"]);
                add(format!("invalidations_total{{{labels}}}"), 1.0);
                add("invalidated_entries_total".into(), number("entries").expect("entries"));
            }
            "mirror" if line["events"].is_u64() => {
                add(format!("deliveries_total{{peer={peer},outcome={status}}}"), 1.0);
                if let Some(ms) = number("duration_ms") {
                    add(format!("delivery_seconds_count{{peer={peer}}}"), 1.0);
                    add(format!("delivery_seconds_sum{{peer={peer}}}"), ms / 1e3);
                }
                if let Some(ms) = number("propagation_ms") {
                    add(format!("propagation_seconds_count{{peer={peer}}}"), 1.0);
                    add(format!("propagation_seconds_sum{{peer={peer}}}"), ms / 1e3);
                }
            }
            "limit" => {
                let labels = format!("peer={peer},reason={}", line["reason"]);
                add(format!("limiter_delay_seconds_count{{{labels}}}"), 1.0);
            }
            "token" => {
                add(format!("token_refreshes_total{{peer={peer},outcome={status}}}"), 1.0);
            }
            "loop" => add(format!("loops_prevented_total{{wall={}}}", line["reason"]), 1.0),
            _ => {}
        }
    }
    counts
}

fn disagreement(metrics: &Exposition, lines: &[Value]) -> Option<String> {
    let counts = counted(lines);
    let differs = |(sample, count): (&String, &f64)| {
        let shown = metrics.samples.get(sample).copied().unwrap_or(f64::NAN);
        // The log's milliseconds end at the microsecond.
        let is_same = (shown - count).abs() < 1e-4;
        (!is_same).then(|| format!("{sample}: {shown} in the metrics, {count} in the log"))
    };
    let kinds = lines.len() as f64 == metrics.sum("activities_total");
    counts.iter().find_map(differs).or((!kinds).then(|| "lines that were not counted".into()))
}

/// Two peers: one that fails at first and then accepts everything, one that refuses every login.
#[tokio::test]
async fn the_metrics_and_the_log_agree() {
    let (good, bad) = (StubPeer::start().await, StubPeer::start().await);
    let pause = Reply::Json(429, json!({}));
    good.script(INVALIDATE, [Reply::Json(500, json!({})), pause, Reply::ok()]);
    bad.always(LOGIN, Reply::Json(403, json!({})));
    let spec = Spec::new("a").set("log.level", "trace");
    let node = spec.legacy_mirrors([good.name(), bad.name()]).start().await;
    live(&node, &good, &bad).await;
    eventually("the log says what the metrics say", async || {
        let metrics = scrape(&node).await;
        disagreement(&metrics, &node.log_lines()).is_none()
    })
    .await;
    let (metrics, lines) = (scrape(&node).await, node.log_lines());
    let good_peer = |name: &str, word: &str| {
        metrics.value(&format!("{name}{{peer=\"{}\",{word}}}", good.name())) as u64
    };
    assert_eq!(good_peer("deliveries_total", "outcome=\"failed\""), 1);
    assert!(good_peer("deliveries_total", "outcome=\"delivered\"") >= 1);
    assert_eq!(good_peer("limiter_delay_seconds_count", "reason=\"throttled\""), 1);
    let refused = format!("token_refreshes_total{{peer=\"{}\",outcome=\"refused\"}}", bad.name());
    assert!(metrics.value(&refused) >= 1.0);
    assert_eq!(metrics.value("loops_prevented_total{wall=\"credential\"}") as u64, 1);
    assert_eq!(metrics.value("invalidations_total{source=\"api\",scope=\"mirrored\"}") as u64, 2);
    assert_eq!(metrics.value("invalidations_total{source=\"api\",scope=\"local\"}") as u64, 2);
    assert_eq!(metrics.value("store_hits_total") as u64, 1);
    assert!(metrics.value("store_misses_total") >= 1.0);
    let waiting = format!("backlog_events{{peer=\"{}\"}}", bad.name());
    assert_eq!(metrics.value(&waiting) as u64, 2, "it received nothing, and nothing is lost");
    assert_eq!(of_kind(&lines, "login").count(), 1);
}
