//! `doctor` against real instances, and against what goes wrong with them.

use serde_json::Value;

use super::support::{Desk, Ran, until};

const ACCOUNT: [&str; 2] =
    ["mirrors.login.email=m@x.example", "mirrors.login.password=a-password-of-the-tests"];

/// The findings of one run, by name.
pub struct Found(pub Vec<Value>);

impl Found {
    pub fn of(ran: &Ran) -> Self {
        Self(ran.json()["checks"].as_array().expect("a list").clone())
    }

    /// The first finding of this name and status.
    #[track_caller]
    pub fn get(&self, name: &str, status: &str) -> &Value {
        let found = self.0.iter().find(|it| it["name"] == name && it["status"] == status);
        found.unwrap_or_else(|| panic!("no {status} {name} in {:#?}", self.0))
    }

    /// Asserts that a finding has this text and this remedy.
    #[track_caller]
    pub fn reports(&self, name: &str, status: &str, detail: &str, remedy: &str) {
        let is_it = |it: &&Value| {
            let has =
                |member: &str, part: &str| it[member].as_str().unwrap_or_default().contains(part);
            it["name"] == name
                && it["status"] == status
                && has("detail", detail)
                && has("remedy", remedy)
        };
        assert!(self.0.iter().any(|it| is_it(&it)), "{name} {status} {detail:?}: {:#?}", self.0);
    }
}

/// Runs it where an instance was started with the same settings.
pub fn doctor(desk: &Desk, url: &str, settings: &[&str], more: &[&str]) -> Ran {
    let mut args = vec!["doctor", "--json"];
    args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    args.extend(more);
    desk.ask(url, &args)
}

/// S1 1.22: the checklist, with nothing to complain of, in both forms.
#[test]
fn two_healthy_instances_pass_every_check() {
    let (here, there) = (Desk::new(), Desk::new());
    let (_peer, peer_url) = there.serve(&[&ACCOUNT[..], &["instance.name=b"]].concat());
    let mirror = format!("mirrors.peers=[{{ name = \"b\", url = \"{peer_url}\" }}]");
    let settings = [&ACCOUNT[..], &["instance.name=a", &mirror]].concat();
    let (_server, url) = here.serve(&settings);
    let ran = doctor(&here, &url, &settings, &[]).ended(0);
    assert_eq!(ran.json()["ok"], true);
    let found = Found::of(&ran);
    let well = ["config", "listen", "log", "journal", "versions", "mirror:b", "backlog"];
    for name in well.into_iter().chain(["redirect", "clock", "names", "sse"]) {
        found.get(name, "ok");
    }
    found.reports("revalidate", "skip", "no endpoint is named", "NEXT_REVALIDATE_URL");
    found.reports("env", "ok", "CACHE_MIRROR_TOKEN=***", "");
    assert!(found.0.iter().all(|it| it["status"] != "fail"));
    for secret in ["a-password-of-the-tests", super::support::TOKEN] {
        assert!(!ran.stdout.contains(secret), "{}", ran.stdout);
    }

    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let shown = here.ask(&url, &[&["doctor"][..], &set].concat()).ended(0).stdout;
    assert!(shown.lines().any(|line| line.starts_with("ok    mirror:b")), "{shown}");
    let some = here.ask(&url, &["doctor", "--only", "config,env"]).ended(0).stdout;
    assert!(some.contains("ok    config") && !some.contains("listen"), "{some}");
    here.ask(&url, &["doctor", "--only", "mirors"]).refused(2, "mirror");
}

/// Findings about the settings of this shell do not apply to an instance that runs with others.
#[test]
fn doctor_checks_the_running_configuration_if_an_instance_answers() {
    let (here, there) = (Desk::new(), Desk::new());
    let mirror = "mirrors.peers=[{ name = \"gone\", url = \"http://127.0.0.1:1\" }]";
    let (_server, url) = there.serve(&[&ACCOUNT[..], &["instance.name=a", mirror]].concat());
    let ran = here.ask(&url, &["doctor", "--json"]);
    let found = Found::of(&ran);
    assert!(!ran.stdout.contains("nothing leaves this instance"), "{}", ran.stdout);
    found.reports("config", "ok", "this shell's settings, not the instance's", "");
    found.get("mirror:gone", "fail");
    // Nor is anything else that only the settings of this shell name.
    let shell = "this shell's settings, not the instance's: ";
    found.reports("names", "skip", &format!("{shell}no mirrors"), "");
    for name in ["env", "log", "journal"] {
        let detail = found.get(name, "ok")["detail"].as_str().expect("a text");
        assert!(detail.starts_with(shell), "{name}: {detail}");
    }
    found.reports("listen", "ok", "a answers at", "");

    // An address in .env names the instance for this command as for all others.
    let env = format!("CACHE_MIRROR_URL={url}\nCACHE_MIRROR_TOKEN={}\n", super::support::TOKEN);
    std::fs::write(here.path().join(".env"), env).expect("writes");
    let found = Found::of(&here.run(&["doctor", "--json"]));
    found.reports("listen", "ok", "a answers at", "");
    assert!(here.run(&["health"]).ended(0).stdout.starts_with(&url));
}

/// A mirror that was never contacted is neither reported as healthy nor as identified.
#[test]
fn doctor_reports_nothing_about_mirrors_that_no_instance_contacted() {
    let desk = Desk::new();
    let mirror = "mirrors.peers=[{ name = \"gone\", url = \"http://127.0.0.1:1\" }]";
    let settings = [&ACCOUNT[..], &["instance.name=a", mirror]].concat();
    let (_server, url) = desk.serve(&settings);
    let found = Found::of(&doctor(&desk, &url, &settings, &[]));
    found.reports("names", "skip", "no mirror proved which instance it is", "");
    found.reports("clock", "skip", "no mirror sent its time", "");
    let retried = desk.ask(&url, &["mirrors", "retry", "gone"]).ended(0).stdout;
    assert_eq!(retried, "gone: nothing waits, so nothing is sent\n");
}

/// S1 1.23 "Connection refused": an instance must be running only if its URL was given.
#[test]
fn an_unreachable_instance_fails_only_if_its_url_was_given() {
    let desk = Desk::new();
    // No program listens on port 1 of a machine that runs tests.
    let args = ["doctor", "--json", "--set", "control.listen=127.0.0.1:1"];
    let ran = desk.run(&args).ended(0);
    let found = Found::of(&ran);
    found.reports("listen", "warn", "connection refused", "cache-mirror serve");
    found.get("versions", "skip");
    found.reports("mirror", "skip", "no mirrors", "CACHE_MIRRORS");
    let ran = desk.run(&[&args[..], &["--server", "127.0.0.1:1"]].concat()).ended(4);
    Found::of(&ran).get("listen", "fail");
    assert_eq!(ran.json()["ok"], false);
    assert_eq!(std::fs::read_dir(desk.path()).expect("readable").count(), 0, "it leaves nothing");
}

#[test]
fn bad_settings_are_reported_one_by_one_and_exit_78() {
    let desk = Desk::new();
    let args = ["doctor", "--json", "--set", "control.lissten=x", "--set", "mirrors.burst=0"];
    let ran = desk.run(&args).ended(78);
    let found = Found::of(&ran);
    found.reports("config", "fail", "did you mean control.listen?", "correct control.lissten");
    found.reports("config", "fail", "mirrors.burst = 0", "flag");
    assert_eq!(found.0.len(), 2);
}

#[test]
fn a_refused_token_is_reported_with_the_remedy() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    std::fs::write(desk.path().join("wrong"), "a-token-of-somebody-else").expect("write");
    let ran = doctor(&desk, &url, &[], &["--token-file", "wrong"]).ended(1);
    Found::of(&ran).reports("listen", "fail", "does not accept the token", "--token-file");
}

/// S3 3.5: a refused login, from a running instance and from the settings alone.
#[test]
fn a_mirror_with_another_password_and_another_graph_is_reported() {
    let (here, there) = (Desk::new(), Desk::new());
    let theirs = ["graph.preset=polymech", "instance.name=b", ACCOUNT[0]];
    let theirs = [&theirs[..], &["mirrors.login.password=another-password"]].concat();
    let (_peer, peer_url) = there.serve(&theirs);
    let mirror = format!("mirrors.peers=[{{ name = \"b\", url = \"{peer_url}\" }}]");
    let settings = [&ACCOUNT[..], &["instance.name=a", &mirror]].concat();
    let unreached = "control.listen=127.0.0.1:1";
    let set: Vec<&str> =
        settings.iter().chain([&unreached]).flat_map(|setting| ["--set", setting]).collect();
    let alone = here.run(&[&["doctor", "--json"][..], &set].concat()).ended(1);
    let (_server, url) = here.serve(&settings);
    let asked = doctor(&here, &url, &settings, &[]).ended(1);
    for ran in [alone, asked] {
        let found = Found::of(&ran);
        found.reports(
            "mirror:b",
            "fail",
            "http 401",
            "the same SERVICE_EMAIL and SERVICE_PASSWORD",
        );
        found.reports("mirror:b", "warn", "dependency graph", "graph.preset");
    }
}

/// S3 3.7: oneself in one's own list is no fault.
#[test]
fn a_mirror_that_is_this_instance_is_recognised() {
    let desk = Desk::new();
    // A port that was free a moment ago: it must be known before the start.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port();
    drop(held);
    let listen = format!("control.listen=127.0.0.1:{port}");
    let urls = format!("mirrors.urls=127.0.0.1:{port}");
    let settings = [&ACCOUNT[..], &[&listen, &urls]].concat();
    let (_server, url) = desk.serve(&settings);
    let ran = doctor(&desk, &url, &settings, &[]).ended(0);
    let name = format!("mirror:127.0.0.1:{port}");
    Found::of(&ran).reports(&name, "ok", "this instance itself", "");
}

#[test]
fn a_log_and_a_data_directory_that_cannot_be_written_are_found() {
    let desk = Desk::new();
    // Nobody makes files there, not even root.
    let settings = ["log.file=/proc/cache.json", "instance.data_dir=/proc/data"];
    let set: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let args = [&["doctor", "--json", "--only", "log,journal"][..], &set].concat();
    let found = Found::of(&desk.run(&args).ended(1));
    found.reports("log", "fail", "/proc/cache.json cannot be written", "log.file");
    found.reports("journal", "fail", "/proc/data cannot be written", "instance.data_dir");

    let file = desk.path().join("logs/cache.json");
    std::fs::create_dir(desk.path().join("logs")).expect("dir");
    std::fs::write(&file, vec![b'x'; 200_000]).expect("write");
    let set = ["--set", "log.rotate_bytes=65536", "--only", "log"];
    let found = Found::of(&desk.run(&[&["doctor", "--json"][..], &set].concat()).ended(0));
    found.reports("log", "warn", "rotation fails", "rename");
}

/// What `serve` would refuse is found while nothing runs; what it made itself is well.
#[test]
fn a_data_directory_of_another_version_is_found() {
    let desk = Desk::new();
    let (server, _) = desk.serve(&[]);
    drop(server);
    let args = ["doctor", "--json", "--only", "journal", "--set", "control.listen=127.0.0.1:1"];
    Found::of(&desk.run(&args).ended(0)).get("journal", "ok");
    std::fs::write(desk.path().join("data/format"), "cache-mirror data 99\n").expect("write");
    let found = Found::of(&desk.run(&args).ended(1));
    found.reports("journal", "fail", "cache-mirror data 99", "instance.data_dir");
    let serve = desk.run(&["serve", "--set", "control.listen=127.0.0.1:0"]);
    assert!(serve.stderr.contains("cache-mirror data 99"), "{serve:?}");
}

#[test]
fn a_waiting_backlog_and_outdated_settings_are_reported_with_reasons() {
    let desk = Desk::new();
    let mirror = "mirrors.peers=[{ name = \"gone\", url = \"http://127.0.0.1:1\" }]";
    let settings = [&ACCOUNT[..], &["instance.name=a", mirror]].concat();
    let (_server, url) = desk.serve(&settings);
    desk.ask(&url, &["mirrors", "pause", "gone"]).ended(0);
    desk.ask(&url, &["invalidate", "posts/1"]).ended(0);
    let found = Found::of(&doctor(&desk, &url, &settings, &[]).ended(1));
    found.reports(
        "backlog:gone",
        "warn",
        "held back by an operator, 1 event",
        "mirrors resume gone",
    );
    found.reports("mirror:gone", "fail", "refused", "start it");

    desk.ask(&url, &["mirrors", "resume", "gone"]).ended(0);
    let found = until("a failed attempt", || {
        let found = Found::of(&doctor(&desk, &url, &settings, &["--only", "backlog"]));
        found.0.iter().any(|it| it["status"] == "fail").then_some(found)
    });
    found.reports("backlog:gone", "fail", "refused", "mirrors retry gone");

    let other = ["instance.name=a"];
    let found = Found::of(&doctor(&desk, &url, &other, &["--only", "listen"]).ended(0));
    found.reports("listen", "warn", "other mirrors (gone)", "cache-mirror reload");
}

/// S1 1.18: the command reports whether two sides have the same secret, and shows neither.
#[test]
fn the_secret_of_revalidation_routes_is_compared_by_hash() {
    let secret = "a-secret-of-sixty-four-characters-as-the-guide-of-its-site-asks!";
    let other = "another-secret-of-the-same-length-that-belongs-to-another-place!";
    let there = Desk::new();
    let theirs = format!("compat.revalidate_secret={secret}");
    let (_peer, peer_url) = there.serve(&[&ACCOUNT[..], &[&theirs]].concat());
    let none = Desk::new();
    let (_none, none_url) = none.serve(&ACCOUNT);
    let mirrors = format!(
        "mirrors.peers=[{{ name = \"b\", url = \"{peer_url}\" }}, \
         {{ name = \"c\", url = \"{none_url}\" }}]"
    );
    for (ours, status, reports) in [
        (secret, "ok", "the same there"),
        (other, "warn", "another one"),
        ("short", "skip", "too short"),
    ] {
        let here = Desk::new();
        let ours = format!("compat.revalidate_secret={ours}");
        let settings = [&ACCOUNT[..], &[&mirrors, &ours]].concat();
        let (_server, url) = here.serve(&settings);
        let ran = doctor(&here, &url, &settings, &["--only", "mirror"]).ended(0);
        let found = Found::of(&ran);
        found.reports("secret:b", status, reports, "");
        found.reports("secret:c", "skip", "none is set there", "REVALIDATE_SECRET");
        assert!(!ran.stdout.contains(secret) && !ran.stdout.contains(other), "{}", ran.stdout);
    }
}
