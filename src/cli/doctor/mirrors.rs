//! The mirrors: who answers, whether our account works there, and what waits.
//!
//! A running instance is asked to ask them, so that it is its view and its settings; where none
//! runs, this process asks them with the settings found here. The login is a real one.

use futures_util::future::join_all;
use reqwest::Method;

use super::Case;
use super::answering::{Instance, Running, running};
use super::check::Check;
use crate::cli::client::{encoded, parse};
use crate::cli::mirrors::{is_mirror, waiting_ms};
use crate::cli::{Exit, print};
use crate::deliver::identity::BootNonce;
use crate::deliver::{ConfiguredKind, Mint, Pinger};
use crate::resolve::Rules;
use crate::support::clock;
use crate::wire::{DestinationView, PingReport, RemovedDestination};

/// A backlog that is older than this is not on its way any more.
const BACKLOG_AGE_MS_MAX: u64 = 60_000;

/// Who answers, and whether our account works there.
pub async fn reached(case: &Case) -> Vec<Check> {
    let found = match &case.instance {
        Instance::Running(running) => through(running).await,
        _ => from_here(case).await,
    };
    if found.is_empty() {
        let remedy = "set CACHE_MIRRORS or mirrors.urls, if there is another instance";
        let none = match &case.instance {
            Instance::Running(_) => "no mirrors",
            _ => "no mirrors in the settings of this shell",
        };
        return vec![Check::skip("mirror", none, remedy)];
    }
    found
}

async fn through(running: &Running) -> Vec<Check> {
    let names = running.destinations.iter().filter(|it| is_mirror(it));
    let asked = names.map(async |it| {
        let name = print::safe(&it.name);
        let path = format!("/api/mirrors/{}/ping", encoded(&name));
        match running.client.call(Method::POST, &path, None).await {
            Ok((_, ping)) => match parse(&ping) {
                Ok(ping) => judge(&ping),
                Err(exit) => vec![Check::skip(format!("mirror:{name}"), exit.to_string(), "")],
            },
            Err(exit) => {
                let remedy = match exit {
                    Exit::Denied(_) => {
                        "this needs an administrator's token: see --token-file".to_owned()
                    }
                    _ => format!("try it alone: cache-mirror mirrors ping {name}"),
                };
                vec![Check::skip(format!("mirror:{name}"), exit.to_string(), remedy)]
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn from_here(case: &Case) -> Vec<Check> {
    let settings = &case.settings;
    let Ok(rules) = Rules::new(&settings.resolve) else { return vec![] };
    let own = BootNonce::draw();
    let mirrors = settings.deliver.peers.iter().filter(|peer| peer.class.target().is_none());
    let asked = mirrors.map(async |peer| {
        let pinger = Pinger {
            own: &own,
            graph: rules.graph().hash(),
            mint: Mint::default(),
            timeout: settings.deliver.timeout,
            revalidate_secrets: settings.deliver.known_revalidate_secrets(),
            over: case.way_to(&peer.name),
        };
        let is_legacy = peer.kind == Some(ConfiguredKind::Legacy);
        judge(&pinger.ping_mirror(&peer.name, &peer.base, peer.login.clone(), is_legacy).await)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// One mirror that was asked.
fn judge(ping: &PingReport) -> Vec<Check> {
    let (name, kind) = (print::safe(&ping.name), print::safe(&ping.kind));
    let check = format!("mirror:{name}");
    if !ping.reachable {
        let error = print::optional(ping.error.as_deref());
        let remedy = unreachable(&error, &print::safe(&ping.url));
        return vec![Check::fail(check, format!("no answer: {error}"), remedy)];
    }
    if kind == "self" {
        return vec![Check::ok(check, "this instance itself: it is skipped, by proof of identity")];
    }
    let who = match &ping.instance {
        None if kind == "unknown" => "no identity".to_owned(),
        None => kind,
        Some(instance) => {
            let version = print::optional(ping.version.as_deref());
            format!("{}, {kind} {version}", print::safe(instance))
        }
    };
    let time = ping.round_trip_ms.unwrap_or(0.0);
    let error = print::optional(ping.login_error.as_deref());
    let mut found = vec![match &*ping.login {
        login @ ("ok" | "skipped") => {
            Check::ok(&check, format!("{who}, login {login}, {time:.1} ms"))
        }
        login => Check::fail(&check, format!("{who}: {error}"), denied(login, &error, &name)),
    }];
    found.extend(ping.revalidate_secret.as_deref().and_then(|compared| secret(&name, compared)));
    if ping.graph.as_deref() == Some("differs") {
        let remedy = "give both the same graph.preset, [dependencies] and [aliases]; until then \
                      each joins the other's cascade to its own";
        found.push(Check::warn(check, "its dependency graph is another one", remedy));
    }
    found
}

/// S1 1.18: the secret of the revalidation routes, compared by hash.
fn secret(name: &str, compared: &str) -> Option<Check> {
    let check = format!("secret:{name}");
    let differs = "the secret of its revalidation routes is another one";
    match compared {
        "equal" => Some(Check::ok(check, "the secret of revalidation routes is the same there")),
        "differs" => {
            let remedy = "where one of the two calls the other, set the same REVALIDATE_SECRET or \
                          REVALIDATE_SECRET_TOKEN on both sides; else environments may differ";
            Some(Check::warn(check, differs, remedy))
        }
        "absent" => {
            let remedy =
                "set REVALIDATE_SECRET or REVALIDATE_SECRET_TOKEN there too, if it is called";
            Some(Check::skip(check, "none is set there for revalidation routes", remedy))
        }
        "short" => {
            let remedy = "make one of 64 characters: cache-mirror secret generate --bytes 48";
            Some(Check::skip(check, "too short to be compared by hash", remedy))
        }
        _ => None,
    }
}

fn unreachable(error: &str, url: &str) -> String {
    let error = error.to_ascii_lowercase();
    let has = |part: &str| error.contains(part);
    if has("certificate") || has("unknownissuer") {
        "name the authority of its certificate in ca_file of its [[mirrors.peers]], or renew it"
            .into()
    } else if has("refused") {
        format!("start it, or correct the port in {url}")
    } else if has("lookup") || has("resolve") || has("name or service") {
        format!("correct the name in {url}, or the DNS of this host")
    } else if has("timeout") || has("timed out") {
        format!("open the way to {url}: a firewall or a proxy in between drops what is sent there")
    } else {
        format!("is it up at {url}, and is that its control API?")
    }
}

fn denied(login: &str, error: &str, name: &str) -> String {
    match login {
        "none" => "set SERVICE_EMAIL and SERVICE_PASSWORD, the same on both sides".into(),
        "refused" => format!(
            "set the same SERVICE_EMAIL and SERVICE_PASSWORD on both sides (or the account in \
             auth.service_accounts there), then use \"cache-mirror mirrors retry {name}\""
        ),
        _ if error.contains("no key of ours") => {
            "start the instance: it makes tokens with its own key; then run doctor again".into()
        }
        _ if error.contains("http 3") => "name the mirror by the URL that does not redirect".into(),
        _ => "correct mirrors.login (docs/AUTH.md lists the ways): this one gets no token there"
            .into(),
    }
}

/// What waits, and why.
pub fn backlogs(case: &Case) -> Vec<Check> {
    let running = match running(case, "backlog") {
        Ok(running) => running,
        Err(skipped) => return vec![skipped],
    };
    let now = clock::wall_ms();
    let mut found: Vec<Check> = running.destinations.iter().flat_map(waiting).collect();
    found.extend(running.removed.iter().filter_map(|it| removed(it, now)));
    if found.is_empty() {
        return vec![Check::ok("backlog", "nothing waits longer than it should")];
    }
    found
}

/// One that the settings name no more, where something is kept for it.
fn removed(destination: &RemovedDestination, now_ms: u64) -> Option<Check> {
    let waiting = Some(destination.backlog_events).filter(|waiting| *waiting > 0)?;
    let rest = destination.forgotten_ms.saturating_sub(now_ms) / 1000;
    let (events, rest) = (print::count(waiting, "event", "events"), print::seconds(rest));
    let detail = format!("removed from the settings, {events} waiting, kept for {rest}");
    let remedy = "name it in the settings again to continue from where it was; otherwise its \
                  events are dropped after mirrors.forget_after";
    Some(Check::warn(format!("backlog:{}", print::safe(&destination.name)), detail, remedy))
}

/// Events that wait until the kind of a mirror is known.
fn held(destination: &DestinationView, name: &str) -> Check {
    let held = print::count(destination.held_events, "event", "events");
    let detail = format!("its kind is not known yet, {held} held until it is");
    let remedy = format!(
        "find out what answers for it (cache-mirror mirrors ping {name}), or set kind = \"legacy\" \
         in its [[mirrors.peers]]"
    );
    Check::warn(format!("backlog:{name}"), detail, remedy)
}

/// What a mirror, a site or a cache refuses.
fn parked(destination: &DestinationView, name: &str, waits: &str) -> Check {
    let parked = destination.parked.iter().take(5);
    let names: Vec<String> = parked.map(|it| print::safe(&it.what)).collect();
    let what = if names.is_empty() { "everything".into() } else { names.join(", ") };
    let detail = format!("it refuses {what}; {waits}");
    let retry = format!("\"cache-mirror mirrors retry {name}\"");
    let remedy = format!("make it accept that, or stop sending it that; then use {retry}");
    Check::warn(format!("backlog:{name}"), detail, remedy)
}

/// Events that were not sent.
fn skipped(destination: &DestinationView, name: &str) -> Option<Check> {
    let skipped = Some(destination.skipped).filter(|skipped| *skipped > 0)?;
    let events = print::count(skipped, "event", "events");
    let detail = format!("{events} since the start not sent: it does not support them");
    let remedy = "name types in what you invalidate, or run a cache-mirror there";
    Some(Check::warn(format!("backlog:{name}"), detail, remedy))
}

/// One destination; nothing where all is well.
fn waiting(destination: &DestinationView) -> Vec<Check> {
    let name = print::safe(&destination.name);
    let check = format!("backlog:{name}");
    let events = destination.backlog_events;
    let age_ms = waiting_ms(destination);
    let waits = match events {
        0 => "nothing waits".to_owned(),
        _ => {
            let age = print::seconds(age_ms / 1000);
            format!("{} waiting for {age}", print::count(events, "event", "events"))
        }
    };
    let retry = format!("use \"cache-mirror mirrors retry {name}\"");
    let mut found = Vec::new();
    let error = print::optional(destination.last_error.as_deref());
    match (&*destination.state, destination.paused.as_deref()) {
        ("paused", Some("operator")) => {
            let remedy = format!("use \"cache-mirror mirrors resume {name}\"");
            let detail = format!("held back by an operator, {waits}");
            found.push(Check::warn(&check, detail, remedy));
        }
        ("paused", _) => {
            let detail = format!("its login does not work ({error}), {waits}");
            let remedy = match error.contains("the clock of this host") {
                true => format!("let NTP set the clocks of both hosts, then {retry}"),
                false => format!("set SERVICE_EMAIL and SERVICE_PASSWORD, then {retry}"),
            };
            found.push(Check::fail(&check, detail, remedy));
        }
        ("held", _) => found.push(held(destination, &name)),
        ("parked", _) => found.push(parked(destination, &name, &waits)),
        ("failing", _) => {
            let detail = format!("{error}; {waits}");
            let remedy = refused(&error, &destination.kind, &retry);
            found.push(Check::fail(&check, detail, remedy));
        }
        ("throttled", _) => {
            let until = print::optional(destination.throttled_until.as_deref());
            let detail = format!("it asked to be left alone until {until}; {waits}");
            let remedy = format!("raise its limit, or lower ours for it; or {retry}");
            found.push(Check::warn(&check, detail, remedy));
        }
        _ if events > 0 && age_ms > BACKLOG_AGE_MS_MAX => {
            let detail = format!("{waits}, limited to {:?}/s", destination.rate_per_second);
            let remedy = format!("use \"cache-mirror mirrors limit {name} 20/s --burst 40\"");
            found.push(Check::warn(&check, detail, remedy));
        }
        _ => {}
    }
    if !destination.parked.is_empty() && destination.state != "parked" {
        found.push(parked(destination, &name, &waits));
    }
    if destination.backlog_widened {
        let detail = "so much waits that whole types, or all, will be cleared there";
        let remedy = "send what changed together as one call with \"items\", and see above why it \
                      waits";
        found.push(Check::warn(&check, detail, remedy));
    }
    found.extend(skipped(destination, &name));
    if destination.echoing {
        found.push(echoing(&check));
    }
    found
}

/// It calls back with what it is sent.
fn echoing(check: &str) -> Check {
    let detail = "it is in a loop with this instance: whenever it is sent something, it calls \
                  back here with the same. Copies of what goes round wait up to a minute for \
                  it; other events go at once, and nothing is lost";
    let remedy = "over there, find what calls this instance (cache-mirror events shows under \
                  which name) and switch it off, or let it send \"mirror\": false, or \
                  Cache-Mirror-Via, or log in here with the service account";
    Check::warn(check, detail, remedy)
}

/// What helps against the last failure.
fn refused(error: &str, kind: &str, retry: &str) -> String {
    let is_called = kind == "revalidate";
    let is_mirror = matches!(kind, "unknown" | "legacy" | "cache-mirror");
    match error {
        _ if !is_called && !is_mirror && (error.contains("401") || error.contains("403")) => {
            format!("correct the token of its [[purge.targets]], then {retry}")
        }
        _ if error.contains("401") && is_called => {
            "\"Invalid secret\": set the same secret on both sides, then restart both".into()
        }
        _ if error.contains("403") && is_called => format!(
            "the secret is wrong or its role may not: set the same REVALIDATE_SECRET_TOKEN on \
             both sides, then {retry}"
        ),
        _ if error.contains("401") || error.contains("403") => format!(
            "the account may not invalidate there: its role must be one of a service or an \
             editor; then {retry}"
        ),
        _ if error.contains("404") => {
            "nothing is served at that path: correct the URL's base path".into()
        }
        _ if error.contains("http 3") => "name it by the URL that does not redirect".into(),
        _ if error.contains("http 5") => {
            format!("it fails by itself: read the log over there, then {retry}")
        }
        _ if !is_mirror && is_answer(error) => format!(
            "it answers, and does not take the call: compare {} with {}, then {retry}",
            if is_called { "its URL and form in [revalidate]" } else { "its [[purge.targets]]" },
            if is_called { "docs/REVALIDATE.md" } else { "docs/PURGE.md" },
        ),
        _ if !is_mirror => {
            let remedy = unreachable(error, "its URL");
            format!("{}, then {retry}", remedy.replace(", and is that its control API?", "?"))
        }
        _ => format!("{}, then {retry}", unreachable(error, "its URL")),
    }
}

/// Whether something answered, with a status or with a body that cannot be read.
fn is_answer(error: &str) -> bool {
    ["http ", "answer", "html", "json"].iter().any(|part| error.to_lowercase().contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check::Status;
    use super::*;

    fn ping(of: Value) -> PingReport {
        let mut ping = json!({ "name": "eu", "url": "https://eu/", "reachable": true,
            "kind": "cache-mirror", "instance": "eu-1", "version": "1", "login": "ok",
            "graph": "equal", "round_trip_ms": 2.0 });
        let more = of.as_object().expect("members").clone();
        ping.as_object_mut().expect("members").extend(more);
        parse(&ping).expect("a report")
    }

    fn of(found: &[Check]) -> Vec<(Status, &str)> {
        found.iter().map(|check| (check.status, check.remedy.as_str())).collect()
    }

    #[test]
    fn a_mirror_is_well_or_says_what_helps() {
        assert_eq!(of(&judge(&ping(json!({})))), [(Status::Ok, "")]);
        assert_eq!(of(&judge(&ping(json!({ "kind": "self" })))), [(Status::Ok, "")]);
        let graph = judge(&ping(json!({ "graph": "differs" })));
        assert_eq!(
            graph.iter().map(|it| it.status).collect::<Vec<_>>(),
            [Status::Ok, Status::Warn]
        );
        for (members, helps) in [
            (json!({ "login": "refused", "login_error": "login refused with http 401" }), "same"),
            (json!({ "login": "none", "login_error": "no credentials" }), "set SERVICE_EMAIL"),
            (json!({ "login": "failed", "login_error": "login answered http 301" }), "redirect"),
            (json!({ "reachable": false, "error": "connect: Connection refused" }), "start it"),
            (json!({ "reachable": false, "error": "timeout: operation timed out" }), "firewall"),
            (json!({ "reachable": false, "error": "connect: invalid certificate" }), "ca_file"),
        ] {
            let found = judge(&ping(members));
            assert_eq!(found[0].status, Status::Fail, "{found:?}");
            assert!(found[0].remedy.contains(helps), "{found:?}");
        }
    }

    #[test]
    fn a_backlog_is_judged_by_its_reason_and_its_age() {
        let waits = |more: Value| {
            let mut it = json!({ "name": "eu", "kind": "cache-mirror", "state": "ok",
                "backlog_events": 3, "backlog_age_ms": 1_000, "rate_per_second": 10.0 });
            it.as_object_mut().expect("members").extend(more.as_object().expect("it").clone());
            parse::<DestinationView>(&it).expect("a destination")
        };
        assert_eq!(waiting(&waits(json!({}))), [], "on its way");
        let of_then = json!({ "backlog_oldest_ms": 1_000 });
        assert_eq!(waiting(&waits(of_then)), [], "by the clock of the instance, not by ours");
        let old = waiting(&waits(json!({ "backlog_age_ms": 999_000 })));
        assert!(old[0].detail.starts_with("3 events waiting for 16 min"), "{old:?}");
        for (more, status, helps) in [
            (json!({ "state": "paused", "paused": "operator" }), Status::Warn, "resume eu"),
            (json!({ "state": "held", "held_events": 2 }), Status::Warn, "kind = \"legacy\""),
            (
                json!({ "state": "parked", "parked": [{ "what": "banners" }] }),
                Status::Warn,
                "retry eu",
            ),
            (json!({ "state": "paused", "paused": "auth" }), Status::Fail, "SERVICE_PASSWORD"),
            (json!({ "state": "failing", "last_error": "http 404" }), Status::Fail, "base path"),
            (json!({ "state": "failing", "last_error": "http 403" }), Status::Fail, "its role"),
            (json!({ "backlog_widened": true }), Status::Warn, "items"),
            (json!({ "skipped": 2 }), Status::Warn, "run a cache-mirror there"),
            (json!({ "echoing": true }), Status::Warn, "mirror"),
        ] {
            let found = waiting(&waits(more));
            assert_eq!(found[0].status, status, "{found:?}");
            assert!(found[0].remedy.contains(helps), "{found:?}");
        }
        let both = waits(json!({ "state": "failing", "last_error": "http 500",
            "parked": [{ "what": "/odd" }] }));
        assert!(
            waiting(&both)[1].detail.contains("refuses /odd"),
            "shown in addition to the failure"
        );
        let next = waits(json!({ "kind": "revalidate", "state": "failing",
            "last_error": "http 401" }));
        assert!(waiting(&next)[0].remedy.contains("Invalid secret"));
        let cdn = waits(json!({ "kind": "purge", "state": "failing", "last_error": "http 403" }));
        assert!(waiting(&cdn)[0].remedy.contains("purge.targets"));
        for (kind, error, helps) in [
            ("purge", "http 400: unknown zone", "docs/PURGE.md"),
            ("purge", "http 200, but the answer is not JSON", "docs/PURGE.md"),
            ("revalidate", "http 400", "docs/REVALIDATE.md"),
            ("purge", "connection refused", "start it"),
            ("purge", "closed", "is it up at its URL?"),
        ] {
            let it = waits(json!({ "kind": kind, "state": "failing", "last_error": error }));
            let remedy = &waiting(&it)[0].remedy;
            assert!(remedy.contains(helps) && !remedy.contains("control API"), "{remedy}");
        }
    }
}
