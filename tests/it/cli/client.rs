//! Commands that talk to a running instance.

use super::support::{Desk, TOKEN, http};

/// An instance with the graph and one unreachable mirror.
const LONELY: &[&str] = &[
    "graph.preset=polymech",
    "instance.name=a",
    "mirrors.peers=[{ name = \"gone\", url = \"http://127.0.0.1:1\" }]",
    "mirrors.login.email=m@x.example",
    "mirrors.login.password=a-password",
];

#[test]
fn invalidate_reports_what_was_cleared_and_json_is_the_answer_alone() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech", "instance.name=a"]);
    let shown = desk.ask(&url, &["invalidate", "post/42", "pages"]).ended(0);
    assert!(shown.stdout.starts_with("cleared 0 entries; with it go feed  version 1"), "{shown:?}");
    assert!(!shown.stdout.contains('\u{1b}'), "no colours into a pipe");

    let args = [
        "invalidate",
        "--tag",
        "t",
        "--path",
        "/x/*",
        "--key",
        "k",
        "--pattern",
        "p:*",
        "--soft",
        "--no-mirror",
        "--reason",
        "why",
        "--action",
        "delete",
        "--json",
    ];
    let answer = desk.ask(&url, &args).ended(0).json();
    assert_eq!((&answer["success"], &answer["version"]), (&true.into(), &2.into()));
    let event = desk.ask(&url, &["status", "--json"]).ended(0).json();
    assert_eq!(event["versions"]["version"], 2);

    let dry = desk.ask(&url, &["invalidate", "--all", "--dry-run"]).ended(0);
    assert!(dry.stdout.starts_with("would clear 0 entries"), "{dry:?}");
    let odd = desk.ask(&url, &["invalidate", "pots"]).ended(0);
    assert!(odd.stderr.contains("warning: pots is not in the graph"), "{odd:?}");
}

/// Every destination is named, with its present state, and nothing is queued.
#[test]
fn a_dry_run_names_every_destination_and_its_state() {
    let desk = Desk::new();
    let site =
        r#"revalidate.targets=[{ name = "site", url = "http://127.0.0.1:1/x", secret = "s" }]"#;
    let paths = r#"revalidate.paths={ posts = ["/"] }"#;
    let cache =
        "purge.targets=[{ name = \"edge\", kind = \"http\", hosts = [\"http://127.0.0.1:1\"] }]";
    let (_server, url) = desk.serve(&[LONELY, &[site, paths, cache]].concat());
    desk.ask(&url, &["mirrors", "pause", "gone"]).ended(0);
    let answer = desk.ask(&url, &["invalidate", "posts/1", "--dry-run", "--json"]).ended(0).json();
    let of = |list: &str, at: usize| {
        let it = &answer[list][at];
        (it["peer"].clone(), it["status"].clone(), it["state"].clone())
    };
    assert_eq!(of("mirrors", 0), ("gone".into(), "would_queue".into(), "paused".into()));
    assert_eq!(of("beside", 0), ("site".into(), "would_queue".into(), "ok".into()), "{answer}");
    assert_eq!(of("beside", 1), ("edge".into(), "would_queue".into(), "ok".into()), "{answer}");
    let local = ["invalidate", "posts/1", "--dry-run", "--no-mirror", "--json"];
    let answer = desk.ask(&url, &local).ended(0).json();
    assert_eq!(answer["mirrors"][0]["status"], "skipped");
    assert_eq!(answer["mirrors"][0]["reason"], "local");
    assert_eq!(answer["beside"][0]["status"], "would_queue");
    let shown = desk.ask(&url, &["invalidate", "posts/1", "--dry-run"]).ended(0).stdout;
    assert!(shown.contains("would queue") && shown.contains("edge"), "{shown}");
    let waiting = desk.ask(&url, &["mirrors", "--json"]).ended(0).json();
    assert!(waiting.to_string().contains("\"backlog_events\":0"), "{waiting}");
}

/// The address and the token are those of the settings, for every command, as for doctor.
#[test]
fn a_command_without_an_address_uses_the_address_in_the_settings() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["instance.name=a"]);
    let listen = url.trim_start_matches("http://");
    let here = Desk::new();
    let data = desk.path().join("data");
    std::fs::create_dir_all(here.path().join("config")).expect("a directory");
    let file = format!(
        "control.listen = {listen:?}\ninstance.data_dir = {data:?}\nauth.admin_token = {TOKEN:?}\n"
    );
    std::fs::write(here.path().join("config/cache-mirror.toml"), file).expect("a file");
    assert!(here.run(&["status"]).ended(0).stdout.contains(&url));
    here.run(&["invalidate", "posts/42"]).ended(0);
    assert!(here.run(&["version", "get"]).ended(0).stdout.starts_with("1,"));

    std::fs::remove_dir_all(here.path().join("config")).expect("its own directory");
    let dot_env = format!("CACHE_MIRROR_URL={url}\nCACHE_MIRROR_TOKEN={TOKEN}\n");
    std::fs::write(here.path().join(".env"), dot_env).expect("a file");
    assert!(here.run(&["status"]).ended(0).stdout.contains(&url));
}

#[test]
fn a_wait_that_some_mirrors_miss_is_partial_and_names_them() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(LONELY);
    let late =
        desk.ask(&url, &["invalidate", "posts/1", "--wait", "all", "--timeout", "300ms"]).ended(3);
    assert!(late.stdout.starts_with("cleared"), "{late:?}");
    assert!(late.stderr.contains("0 of 1 mirrors acknowledged within 300ms"), "{late:?}");
    assert!(late.stderr.contains("gone"), "{late:?}");
    desk.ask(&url, &["invalidate", "posts/1", "--wait", "local"]).ended(0);
}

/// On a terminal, a long wait shows the missing mirrors and erases the line later. In a pipe it
/// shows nothing.
#[test]
fn a_long_wait_names_the_missing_mirrors_on_a_terminal() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(LONELY);
    let binary = env!("CARGO_BIN_EXE_cache-mirror");
    let wait = format!("{binary} invalidate posts/1 --wait all --timeout 2s >/dev/null");
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", &wait, "/dev/null"]);
    command.current_dir(desk.path()).env("CACHE_MIRROR_URL", &url);
    command.env("CACHE_MIRROR_TOKEN", TOKEN).stdin(std::process::Stdio::null());
    let shown = command.output().expect("script runs");
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("waiting for 1 mirror: gone"), "{shown:?}");
    assert!(shown.contains("\r\u{1b}[K0 of 1 mirrors acknowledged"), "{shown:?}");

    let piped = desk.ask(&url, &["invalidate", "posts/2", "--wait", "all", "--timeout", "700ms"]);
    assert!(!piped.ended(3).stderr.contains("waiting for"));
}

#[test]
fn status_is_a_readable_report_with_remedies() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(LONELY);
    let fresh = desk.ask(&url, &["status"]).ended(0).stdout;
    assert!(fresh.contains("everything was sent to all of them"), "{fresh}");
    assert!(fresh.contains("not reached yet (use \"cache-mirror mirrors ping gone\")"), "{fresh}");
    desk.ask(&url, &["mirrors", "pause", "gone"]).ended(0);
    desk.ask(&url, &["invalidate", "posts/1"]).ended(0);
    let shown = desk.ask(&url, &["status"]).ended(0).stdout;
    let expected = [
        url.as_str(),
        "version   1, last invalidation",
        "(use \"cache-mirror events\" to see what was cleared)",
        "mirrors   1 mirror has something waiting",
        "store     0 entries",
        "journal   seq 1",
        "1 event waiting",
        "(use \"cache-mirror mirrors resume gone\")",
    ];
    for part in expected {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    let json = desk.ask(&url, &["status", "--json"]).ended(0).json();
    assert_eq!(json["stats"]["instance"], "a");
    assert_eq!(json["mirrors"][0]["paused"], "operator");
}

#[test]
fn mirrors_are_listed_paused_resumed_retried_and_limited() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(LONELY);
    let ask = |args: &[&str]| desk.ask(&url, args);
    let list = ask(&["mirrors"]).ended(0).stdout;
    assert!(list.contains("gone"), "{list}");
    assert_eq!(ask(&["mirrors", "ls"]).ended(0).stdout.lines().count(), list.lines().count());
    assert!(ask(&["mirrors", "pause", "gone"]).ended(0).stdout.starts_with("gone paused"));
    let state = || ask(&["mirrors", "--json"]).ended(0).json()["mirrors"][0]["paused"].clone();
    assert_eq!(state(), "operator");
    assert!(ask(&["mirrors", "resume", "gone"]).ended(0).stdout.starts_with("gone resumed"));
    assert!(state().is_null());
    ask(&["mirrors", "retry", "gone"]).ended(0);
    let limited = ask(&["mirrors", "limit", "gone", "20/s", "--burst", "3", "--json"]).ended(0);
    let limited = limited.json();
    assert_eq!((&limited["rate_per_second"], &limited["burst"]), (&20.0.into(), &3.into()));

    // The name that was configured, or where it is.
    let limited = ask(&["mirrors", "limit", "127.0.0.1:1", "30/min", "--json"]).ended(0).json();
    assert_eq!((&limited["name"], &limited["rate_per_second"]), (&"gone".into(), &0.5.into()));
    assert!(ask(&["mirrors", "pause", "127.0.0.1:1"]).ended(0).stdout.contains(" paused"));
    assert_eq!(state(), "operator");
    ask(&["mirrors", "resume", "127.0.0.1:1"]).ended(0);
    ask(&["mirrors", "pause", "nobody"]).refused(1, "no mirror \"nobody\"; there are: gone");
    ask(&["mirrors", "limit", "gone", "none"]).refused(2, "such as 20/s");
}

#[test]
fn each_error_has_its_exit_code_and_a_remedy() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["graph.preset=polymech"]);
    for command in [&["status"][..], &["mirrors"], &["invalidate", "posts"]] {
        let gone = [command, &["--server", "http://127.0.0.1:1"]].concat();
        let says = "cannot reach http://127.0.0.1:1: connection refused. Is it running?";
        desk.run(&gone).refused(4, says);
        // The token of this host's data directory does not exist: it was configured.
        let denied = [command, &["--server", &url]].concat();
        desk.run(&denied).refused(5, "wants a token and none was found: give --token-file");
    }
    std::fs::write(desk.path().join("wrong.token"), "a-token-of-somebody-else\n").expect("write");
    let wrong = ["status", "--server", &url, "--token-file", "wrong.token"];
    desk.run(&wrong).refused(5, "does not accept the token");
    let none = ["status", "--server", &url, "--token-file", "none.token"];
    desk.run(&none).refused(2, "--token-file none.token");
    desk.ask(&url, &["invalidate"]).refused(2, "--tag");
    desk.ask(&url, &["invalidate", "posts/"]).refused(2, "expected TYPE or TYPE/ID");
    desk.ask(&url, &["invalidate", "posts", "--timeout", "5s"]).refused(2, "--wait");
    desk.ask(&url, &["invalidate", "no type"]).refused(1, "(422)");
    desk.ask("ftp://x", &["status"]).refused(2, "expected an http or https URL");
}

/// Taken literally, it would clear nothing and still report success.
#[test]
fn a_url_with_the_wrong_scheme_gets_a_hint() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(LONELY);
    let secure = url.replace("http://", "https://");
    for command in [&["status"][..], &["health"], &["invalidate", "posts"]] {
        let ran = desk.ask(&secure, command).ended(4);
        assert!(ran.stderr.contains("the port answers plain HTTP: use http://"), "{}", ran.stderr);
    }
}

#[test]
fn a_wildcard_in_an_id_or_a_type_is_refused_with_the_correct_form() {
    let desk = Desk::new();
    for (target, shown) in [
        ("posts/*", "the whole type is posts"),
        ("posts/4*", "the whole type is posts"),
        ("*", "everything is --all"),
        ("post*", "everything is --all"),
    ] {
        for command in ["invalidate", "explain"] {
            let refused = desk.run(&[command, target]).ended(2);
            let is_named = refused.stderr.contains(shown) && refused.stderr.contains("--pattern");
            assert!(is_named, "{command} {target}: {refused:?}");
        }
    }
}

#[test]
fn the_token_is_found_in_a_file_or_in_the_data_directory_of_this_host() {
    let desk = Desk::new();
    std::fs::write(desk.path().join("a.token"), format!("{TOKEN}\n")).expect("write");
    let (_server, url) = desk.serve(&[]);
    desk.run(&["status", "--server", &url, "--token-file", "a.token"]).ended(0);

    let generated = Desk::new();
    let server = generated.start(&["serve", "--set", "control.listen=127.0.0.1:0"]);
    let line = server.line();
    let url = line.strip_prefix("listening control=").expect("the line");
    generated.run(&["status", "--server", url]).ended(0);
}

/// A setting that is broken by now does not lead to another instance: the command finds the one
/// that was started here.
#[test]
fn a_broken_setting_does_not_hide_where_the_instance_listens() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["instance.data_dir=elsewhere"]);
    let listen = url.strip_prefix("http://").expect("an http URL");
    let settings = format!(
        "[control]\nlisten = {listen:?}\n[instance]\ndata_dir = \"elsewhere\"\n\
         [store]\nmax_bytes = 1\n"
    );
    std::fs::write(desk.path().join("broken.toml"), settings).expect("settings");
    desk.run(&["config", "check", "--config", "broken.toml"]).ended(78);
    desk.run(&["health", "--config", "broken.toml"]).ended(0);
    let wrong = desk.command(&["status", "--config", "broken.toml"]).output().expect("it runs");
    let shown = String::from_utf8_lossy(&wrong.stderr);
    // The server has a configured token, so there is none in its data directory.
    assert!(shown.contains(&url), "{shown}");
}

/// An instance with two mirrors, one of which is away and one of which takes the account: what is
/// wrong is seen from where it matters, before an event is.
#[test]
fn a_ping_reports_identity_login_and_duration() {
    let (here, there) = (Desk::new(), Desk::new());
    let hash = there.run_with(&["hash-password", "--stdin"], "a-password").ended(0).stdout;
    let account = format!(
        "auth.service_accounts=[{{ email = \"m@x.example\", password_hash = \"{}\" }}]",
        hash.trim()
    );
    let (_other, other) = there.serve(&["instance.name=b", &account]);
    let mirrors = |list: &str| format!("mirrors.peers=[{list}]");
    let up = format!("{{ name = \"up\", url = \"{other}\" }}");
    let both = mirrors(&format!("{up}, {{ name = \"gone\", url = \"http://127.0.0.1:1\" }}"));
    let login = ["mirrors.login.email=m@x.example", "mirrors.login.password=a-password"];
    let (_server, url) = here.serve(&["graph.preset=polymech", &both, login[0], login[1]]);
    let one = here.ask(&url, &["mirrors", "ping", "up"]).ended(0).stdout;
    for part in ["login ok", "cache-mirror", " b ", " ms", "its graph is another one"] {
        assert!(one.contains(part), "{part:?} in\n{one}");
    }
    let all = here.ask(&url, &["mirrors", "ping"]).ended(3);
    assert!(all.stdout.contains("no answer") && all.stdout.contains("is it up at"), "{all:?}");
    assert!(all.stderr.contains("1 of 2 mirrors do not work: gone"), "{all:?}");
    here.ask(&url, &["mirrors", "ping", "gone"]).ended(1);
    here.ask(&url, &["mirrors", "ping", "nobody"]).refused(1, "there are: up, gone");

    let wrong = Desk::new();
    let (_server, url) = wrong.serve(&[&mirrors(&up), login[0], "mirrors.login.password=no"]);
    let refused = wrong.ask(&url, &["mirrors", "ping", "up", "--json"]).ended(1).json();
    let ping = &refused["mirrors"][0];
    assert_eq!((&ping["login"], &ping["reachable"]), (&"refused".into(), &true.into()));
    assert_eq!(ping["graph"], "equal", "neither has one");
    assert!(!refused.to_string().contains("a-password"));
}

/// A target is called without a login.
#[test]
fn a_target_is_pinged_without_a_login_and_is_not_a_mirror() {
    let (desk, there) = (Desk::new(), Desk::new());
    let (_site, site) = there.serve(&[]);
    let secret = "a-secret-of-sixty-four-characters-as-the-guide-of-its-site-asks!";
    let targets = format!(
        "revalidate.targets=[{{ name = \"site\", url = \"{site}\", secret = \"{secret}\" }}]"
    );
    let (_server, url) = desk.serve(&[&targets]);
    let shown = desk.ask(&url, &["mirrors", "ping"]).ended(0).stdout;
    assert!(shown.contains("answers  a site that is revalidated: no login"), "{shown}");
    let shown = desk.ask(&url, &["mirrors", "ping", "site", "--json"]).ended(0).json();
    let ping = &shown["mirrors"][0];
    assert_eq!((&ping["kind"], &ping["login"]), (&"revalidate".into(), &"skipped".into()));
    let shown = desk.ask(&url, &["explain", "posts"]).ended(0).stdout;
    assert!(shown.contains("targets   site: called too; their cost is not included"), "{shown}");
    let checked = desk.run(&["config", "check", "--set", &targets]).ended(0);
    assert!(checked.stdout.contains(", 0 mirrors, 1 target"), "{checked:?}");
    assert!(!checked.stderr.contains("nothing leaves"), "{checked:?}");
}

/// RFC 9110 9.3.2: the same but for the body.
#[test]
fn every_get_route_answers_head() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    for path in ["/dashboard", "/dashboard/app.js", "/metrics", "/openapi.json", "/healthz"] {
        let [get, head] = ["GET", "HEAD"].map(|method| http(&url, method, path, ""));
        let parts = |answer: &str| -> (String, String) {
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            let head = head.lines().filter(|line| {
                line.starts_with("HTTP/") || line.to_lowercase().starts_with("content-type")
            });
            (head.collect(), body.to_owned())
        };
        assert_eq!(parts(&get).0, parts(&head).0, "{path}");
        assert!(get.starts_with("HTTP/1.1 200") && parts(&head).1.is_empty(), "{path}: {head}");
    }
}

#[test]
fn reload_reports_changes_and_a_refused_one_exits_like_a_refused_start() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&["instance.name=a"]);
    let shown = desk.ask(&url, &["reload"]).ended(0);
    assert_eq!(shown.stdout, "reloaded: nothing changed\n");
    let shown = desk.ask(&url, &["reload", "--json"]).ended(0).json();
    assert_eq!((&shown["success"], &shown["changed"]), (&true.into(), &serde_json::json!([])));

    std::fs::create_dir(desk.path().join("config")).expect("made");
    let file = desk.path().join("config/cache-mirror.toml");
    std::fs::write(&file, "[limits]\nbursts = 1\n[log]\nlevel = \"loud\"\n").expect("written");
    let refused = desk.ask(&url, &["reload"]).ended(78);
    assert!(refused.stderr.contains("did you mean limits.burst?"), "{refused:?}");
    assert!(refused.stderr.contains("log.level"), "every problem: {refused:?}");
    std::fs::write(&file, "[limits]\nburst = 1\n[store]\nttl_s = 9\n").expect("written");
    let shown = desk.ask(&url, &["reload"]).ended(0);
    assert_eq!(shown.stdout, "reloaded: limits.burst\n");
    assert_eq!(shown.stderr, "store.ttl_s cannot change while running: restart\n");
}
