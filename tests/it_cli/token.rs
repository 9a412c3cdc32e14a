//! `token mint` and `token inspect`: what one makes the other accepts, an instance too, and neither
//! shows more than it should.

use crate::support::Desk;

const SECRET: &str = "auth.jwt_secret=a-secret-of-thirty-two-bytes-or-more";

fn minted(desk: &Desk, args: &[&str]) -> String {
    let mut all = vec!["token", "mint", "--set", SECRET, "--set", "instance.name=here"];
    all.extend(args);
    desk.run(&all).ended(0).stdout.trim_end().to_owned()
}

const INSPECT: [&str; 6] = ["token", "inspect", "--set", SECRET, "--set", "instance.name=here"];

#[test]
fn what_was_minted_is_accepted_and_shown_without_its_signature() {
    let desk = Desk::new();
    let token = minted(&desk, &["--sub", "ann@x.org", "--role", "ADMIN", "--ttl", "1h"]);
    let shown = desk.run_with(&INSPECT, &format!("{token}\n")).ended(0).stdout;
    for part in
        ["HS256", "ann@x.org", "here", "cache-mirror", ", in ", "accepted as ann@x.org (admin)"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let signature = token.rsplit('.').next().expect("three parts");
    assert!(!shown.contains(signature) && !shown.contains("a-secret"), "{shown}");
    let json = desk.run_with(&[&INSPECT[..], &["--json"]].concat(), &token).ended(0).json();
    assert_eq!((&json["accepted"], &json["role"]), (&true.into(), &"admin".into()));
    assert_eq!(json["claims"]["sub"], "ann@x.org");
    let whole = json.to_string();
    assert!(!whole.contains(signature), "{whole}");
}

#[test]
fn why_a_token_is_not_accepted_is_said() {
    let desk = Desk::new();
    let of = |args: &[&str]| minted(&desk, &[&["--sub", "ann@x.org"], args].concat());
    let other_name = ["--set", "instance.name=elsewhere"];
    let other_key = ["--set", "auth.jwt_secret=another-secret-of-thirty-two-bytes"];
    for (token, expected) in [
        (of(&["--aud", "them"]), "for another audience than cache-mirror"),
        (of(&other_name), "issued by another than here"),
        (of(&other_key), "not signed with a key of ours"),
        (of(&["--role", "guest"]), "a role that this instance knows"),
        ("no token".to_owned(), "a header that"),
        (format!("{}x", of(&[])), "not signed with a key of ours"),
    ] {
        let ran = desk.run_with(&INSPECT, &token).ended(5);
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        let json = desk.run_with(&[&INSPECT[..], &["--json"]].concat(), &token).ended(5).json();
        assert_eq!(json["accepted"], false);
        assert!(json["reason"].as_str().expect("a reason").contains(expected), "{json}");
    }
    desk.run_with(&INSPECT, "\n").refused(2, "no token");
    desk.run(&["token", "mint", "--sub", "x", "--ttl", "1w"]).refused(2, "--ttl");
}

/// Without a key there is no token; nothing is made by the way, for no instance would know it.
#[test]
fn a_key_is_taken_from_where_the_instance_keeps_it_and_never_made() {
    let desk = Desk::new();
    desk.run(&["token", "mint", "--sub", "ann@x.org"]).refused(78, "no key to sign with");
    assert!(!desk.path().join("data").exists());
    let (server, url) = desk.serve(&["instance.name=here"]);
    let mint =
        ["token", "mint", "--sub", "a@x.org", "--role", "ADMIN", "--set", "instance.name=here"];
    let token = desk.run(&mint).ended(0).stdout;
    let mut status = desk.command(&["status", "--server", &url]);
    let status = status.env("CACHE_MIRROR_TOKEN", token.trim_end()).output().expect("it runs");
    assert!(status.status.success(), "{status:?}");
    drop(server);
}
