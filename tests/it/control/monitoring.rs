//! `deploy/prometheus/rules.yml` and `deploy/grafana/cache-mirror.json` ask only for what a running
//! instance shows: every metric, every label, and every value that a label is compared with.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::support::{Spec, StubPeer};

const RULES: &str = include_str!("../../../deploy/prometheus/rules.yml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/cache-mirror.json");

/// Labels that Prometheus adds at the scrape.
const SCRAPED: [&str; 2] = ["job", "instance"];
/// The metric that Prometheus makes of the scrape itself.
const UP: &str = "up";

/// Functions, aggregations and keywords of PromQL that are used here.
const WORDS: [&str; 10] = [
    "and",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "or",
    "rate",
    "sum",
    "unless",
    "min",
];
/// Words that a list of labels follows.
const GROUPINGS: [&str; 4] = ["by", "on", "ignoring", "without"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    lasts: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Values by label by metric, as an instance shows them.
type Shown = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

async fn shown() -> Shown {
    let peer = StubPeer::start().await;
    let node = Spec::new("a").mirrors([peer.name()]).start().await;
    // The times of answers begin with the first answer.
    node.get("/metrics").await.expect(200);
    let text = String::from_utf8(node.get("/metrics").await.body.to_vec()).expect("text");
    let mut shown = Shown::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let of_metric = shown.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split_terminator(',') {
            let (label, value) = label.split_once('=').expect("a label has a value");
            let values = of_metric.entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
    shown
}

/// A label, and the value where it is a literal one.
type Matcher = (String, Option<String>);

/// What an expression asks for.
#[derive(Debug, Default)]
struct Asked {
    /// Each with what it is matched by.
    metrics: Vec<(String, Vec<Matcher>)>,
    /// Labels that are grouped by.
    grouped: Vec<String>,
}

/// Reads an expression as far as names go: numbers, operators and ranges are passed over.
fn read(expr: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expr;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        match first {
            '[' => rest = &rest[rest.find(']').expect("a range ends")..],
            '0'..='9' => rest = &rest[end..],
            _ if end == 0 => rest = &rest[first.len_utf8()..],
            _ => {
                let (name, after) = rest.split_at(end);
                rest = after.trim_start();
                if GROUPINGS.contains(&name) {
                    let labels = between(rest, '(', ')').expect("labels in parentheses");
                    asked.grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
                    rest = &rest[labels.len() + 2..];
                } else if rest.starts_with('{') {
                    let matchers = between(rest, '{', '}').expect("matchers end");
                    asked
                        .metrics
                        .push((name.to_owned(), matchers.split(',').map(matcher).collect()));
                    rest = &rest[matchers.len() + 2..];
                } else if name == "instance" && asked.metrics.len() == 1 {
                    // The second argument of `label_values`.
                    asked.grouped.push(name.to_owned());
                } else if !WORDS.contains(&name) {
                    asked.metrics.push((name.to_owned(), vec![]));
                }
            }
        }
    }
    asked
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let inside = text.strip_prefix(open)?;
    Some(&inside[..inside.find(close)?])
}

fn matcher(text: &str) -> Matcher {
    let (label, value) = text.trim().split_once('=').expect("a matcher");
    let is_literal = !value.starts_with('~') && !value.contains('$');
    let literal = is_literal.then(|| value.trim_matches('"').to_owned());
    (label.trim_end_matches('!').to_owned(), literal)
}

/// What an expression asks for in vain; `texts` name labels of its result.
fn missing(shown: &Shown, recorded: &[&str], expr: &str, texts: &[&str]) -> Vec<String> {
    let asked = read(expr);
    let mut missing = Vec::new();
    let mut labels: BTreeSet<&str> = SCRAPED.into();
    for (name, matchers) in &asked.metrics {
        let is_made = name == UP || recorded.contains(&name.as_str());
        let Some(of_metric) = shown.get(name) else {
            missing.extend((!is_made).then(|| format!("{name} in {expr}")));
            continue;
        };
        labels.extend(of_metric.keys().map(String::as_str));
        for (label, value) in matchers.iter().filter(|(label, _)| !SCRAPED.contains(&&**label)) {
            let values = of_metric.get(label);
            let is_there = value.as_ref().is_none_or(|v| values.is_some_and(|all| all.contains(v)));
            if values.is_none() || !is_there {
                missing.push(format!("{name}{{{label}={value:?}}} in {expr}"));
            }
        }
    }
    let named = texts.iter().flat_map(|text| text.split("{{").skip(1)).filter_map(|rest| {
        let inside = rest.split("}}").next()?.trim();
        let label = inside.strip_prefix("$labels.").unwrap_or(inside);
        (!inside.starts_with("$value")).then(|| label.to_owned())
    });
    let unknown = |label: &String| !labels.contains(label.as_str());
    let lost = asked.grouped.iter().cloned().chain(named).filter(unknown);
    missing.extend(lost.map(|label| format!("label {label} in {expr} {texts:?}")));
    missing
}

/// Every expression below a value of a dashboard, with its legend.
fn expressions<'a>(of: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match of {
        Value::Object(members) => {
            if let Some(expr) = members.get("expr").and_then(Value::as_str) {
                found.push((expr, members["legendFormat"].as_str().expect("a legend")));
            }
            members.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_alert_rule_uses_existing_metrics() {
    let rules: Rules = serde_norway::from_str(RULES).expect("YAML of that form");
    let all: Vec<&Rule> = rules.groups.iter().flat_map(|group| &group.rules).collect();
    assert!(rules.groups.iter().all(|group| group.name.starts_with("cache-mirror")));
    let recorded: Vec<&str> = all.iter().filter_map(|rule| rule.record.as_deref()).collect();
    let shown = shown().await;
    for rule in &all {
        let texts: Vec<&str> = rule.annotations.values().map(String::as_str).collect();
        let missing = missing(&shown, &recorded, &rule.expr, &texts);
        assert!(missing.is_empty(), "{missing:#?}");
        let Some(alert) = &rule.alert else { continue };
        assert!(["critical", "warning"].contains(&rule.labels["severity"].as_str()), "{alert}");
        let keys: Vec<&str> = rule.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "summary"], "{alert}");
        let minutes = |text: &String| {
            text.ends_with('m') && text[..text.len() - 1].parse().is_ok_and(|n: u32| n > 0)
        };
        assert!(rule.lasts.as_ref().is_none_or(minutes), "{alert}");
    }
    let alerts: BTreeSet<&str> = all.iter().filter_map(|rule| rule.alert.as_deref()).collect();
    assert_eq!(alerts.len() + recorded.len(), all.len(), "each name once");
}

#[tokio::test]
async fn every_panel_uses_existing_metrics_of_the_chosen_source() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    let shown = shown().await;
    for (expr, legend) in &found {
        let missing = missing(&shown, &[], expr, &[legend]);
        assert!(missing.is_empty(), "{missing:#?}");
        assert!(expr.contains("instance=~\"$instance\""), "for the chosen instances: {expr}");
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert_eq!(variables[0]["type"], "datasource");
    let query = variables[1]["query"]["query"].as_str().expect("a query");
    assert_eq!(missing(&shown, &[], query, &[]), Vec::<String>::new());
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
    }
}

/// The check itself finds what is wrong.
#[tokio::test]
async fn an_unknown_metric_is_found() {
    let shown = shown().await;
    for (expr, text) in [
        ("cache_mirror_backlog_oldest > 60", ""),
        ("cache_mirror_backlog_events{pear=\"x\"} > 60", ""),
        ("rate(cache_mirror_deliveries_total{outcome=\"fialed\"}[5m])", ""),
        ("sum by (pear) (cache_mirror_backlog_events)", ""),
        ("cache_mirror_backlog_events > 60", "{{ $labels.pear }}"),
        ("irate(cache_mirror_deliveries_total[5m])", ""),
    ] {
        assert_eq!(missing(&shown, &[], expr, &[text]).len(), 1, "{expr} {text}");
    }
    let good = "sum by (peer) (rate(cache_mirror_deliveries_total{outcome!=\"failed\"}[5m])) > 1e3";
    assert_eq!(
        missing(&shown, &[], good, &["{{ $value }} at {{ $labels.peer }}"]),
        Vec::<String>::new()
    );
}
