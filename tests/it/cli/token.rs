//! `token mint` and `token inspect`: what one makes the other accepts, an instance too, and neither
//! shows more than it should.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::Desk;

const SECRET: &str = "auth.jwt_secret=a-secret-of-thirty-two-bytes-or-more";

fn minted(desk: &Desk, args: &[&str]) -> String {
    let mut all = vec!["token", "mint", "--set", SECRET, "--set", "instance.name=here"];
    all.extend(args);
    desk.run(&all).ended(0).stdout.trim_end().to_owned()
}

const INSPECT: [&str; 6] = ["token", "inspect", "--set", SECRET, "--set", "instance.name=here"];

#[test]
fn a_minted_token_is_accepted_and_shown_without_its_signature() {
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
fn the_reason_why_a_token_is_refused_is_shown() {
    let desk = Desk::new();
    let of = |args: &[&str]| minted(&desk, &[&["--sub", "ann@x.org"], args].concat());
    let other_name = ["--set", "instance.name=elsewhere"];
    let other_key = ["--set", "auth.jwt_secret=another-secret-of-thirty-two-bytes"];
    for (token, expected) in [
        (of(&["--aud", "them"]), "for another audience than cache-mirror"),
        (of(&other_name), "issued by another than here"),
        (of(&other_key), "not signed with a key of ours"),
        (
            of(&["--role", "guest", "--set", "auth.admin_roles=guest"]),
            "a role that this instance knows",
        ),
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
    for role in ["guest", "", "admin"] {
        let args = ["token", "mint", "--set", SECRET, "--sub", "ann@x.org", "--role", role];
        desk.run(&args).refused(2, "expected service, or one of");
        desk.run(&args).refused(2, "(ADMIN, TRAINER)");
    }
    desk.run(&["token", "mint", "--sub", "x", "--ttl", "1w"]).refused(2, "--ttl");
}

/// Without a key there is no token; nothing is made by the way, for no instance would know it.
#[test]
fn the_key_of_the_instance_is_used_and_never_created() {
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

/// A token of another issuer is judged by the keys that it publishes, as an instance would.
#[test]
fn a_token_of_another_issuer_is_judged_by_its_published_keys() {
    let desk = Desk::new();
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("generates");
    let body = STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    std::fs::write(desk.path().join("signing.pem"), pem).expect("writes");
    let key = "auth.signing_key_file=signing.pem";
    let (server, url) = desk.serve(&["instance.name=there", key]);
    let mint = ["token", "mint", "--sub", "m@x.org", "--set", key, "--set", "instance.name=there"];
    let token = desk.run(&mint).ended(0).stdout;
    let jwks = format!("auth.jwks_url={url}/.well-known/jwks.json");
    let inspect = |issuer: &str| {
        let args = [&INSPECT[..], &["--set", &jwks, "--set", issuer]].concat();
        desk.run_with(&args, &token)
    };
    let shown = inspect("auth.jwks_issuer=there").ended(0).stdout;
    assert!(shown.contains("accepted as m@x.org (service)"), "{shown}");
    let refused = inspect("auth.jwks_issuer=else").ended(5);
    assert!(refused.stderr.contains("issued by another than else"), "{refused:?}");
    drop(server);
}

/// A token without an end is worth something only where it is listed.
#[test]
fn a_token_of_an_application_is_valid_until_it_is_revoked() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path().join("data")).expect("made");
    let mint = |args: &[&str]| minted(&desk, &[&["--app", "shop"], args].concat());
    let (token, other) = (mint(&[]), mint(&["--role", "service"]));
    let shown = desk.run_with(&INSPECT, &token).ended(0).stdout;
    assert!(shown.contains("accepted as app:shop (editor)") && !shown.contains("exp"), "{shown}");
    let shown = desk.run_with(&INSPECT, &other).ended(0).stdout;
    assert!(shown.contains("accepted as app:shop (service)"), "{shown}");
    let listed = desk.run(&["token", "ls", "--json"]).ended(0);
    assert!(!listed.stdout.contains(&token), "{listed:?}");
    let tokens = listed.json()["tokens"].as_array().cloned().expect("a list");
    assert_eq!(tokens.len(), 2);
    assert!(tokens.iter().all(|it| it["app"] == "shop" && it["revoked"].is_null()), "{tokens:?}");
    desk.run(&["token", "revoke", "other"]).refused(1, "no valid token of \"other\"");
    let revoked = desk.run(&["token", "revoke", "shop", "--json"]).ended(0).json();
    assert_eq!(revoked["revoked"], 2);
    for token in [&token, &other] {
        let ran = desk.run_with(&INSPECT, token).ended(5);
        assert!(ran.stderr.contains("the application token of shop was revoked"), "{ran:?}");
    }
    desk.run(&["token", "revoke", "shop"]).refused(1, "no valid token");
    assert!(desk.run(&["token", "ls"]).ended(0).stdout.contains("revoked"));
    let again = mint(&[]);
    desk.run_with(&INSPECT, &again).ended(0);
    std::fs::write(desk.path().join("data/app-tokens.json"), "{").expect("written");
    let ran = desk.run_with(&INSPECT, &again).ended(5);
    assert!(ran.stderr.contains("cannot be read"), "{ran:?}");
    desk.run(&["token", "revoke", "shop"]).refused(1, "the list of application tokens");
    for (args, expected) in [
        (&["--app", "a b"][..], "--app"),
        (&["--app", "shop", "--ttl", "1h"], "--ttl"),
        (&["--app", "shop", "--role", "guest"], "--role"),
        (&[], "--sub"),
    ] {
        desk.run(&[&["token", "mint", "--set", SECRET], args].concat()).refused(2, expected);
    }
}

/// A shell does not know the flags of a running instance.
#[test]
fn a_token_is_made_and_judged_as_the_instance_of_the_data_directory_does() {
    let desk = Desk::new();
    let started = ["auth.issuer=staging", "auth.audience=ours", "auth.editor_roles=WRITER"];
    let (mut server, url) = desk.serve(&started);
    let accepted = |token: &str| {
        let mut why = desk.command(&["why", "k", "--server", &url]);
        let ran = why.env("CACHE_MIRROR_TOKEN", token.trim_end()).output().expect("it runs");
        ran.status.code() != Some(5)
    };
    let mint = |args: &[&str]| desk.run(&[&["token", "mint"], args].concat());
    let ran = mint(&["--sub", "ann@x.org", "--role", "WRITER"]).ended(0);
    for part in
        ["auth.issuer: \"staging\" as the instance of", "auth.audience", "auth.editor_roles"]
    {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    assert!(accepted(&ran.stdout), "{ran:?}");
    let shown = desk.run_with(&["token", "inspect"], &ran.stdout).ended(0);
    assert!(shown.stdout.contains("accepted as ann@x.org (editor)"), "{shown:?}");
    let app = mint(&["--app", "shop"]).ended(0);
    assert!(accepted(&app.stdout), "{app:?}");

    // Flags that contradict the instance create no token, and inspecting a token reports them.
    let secret = "a-secret-of-thirty-two-bytes-or-more";
    for (flag, expected) in [
        ("auth.issuer=vm".to_owned(), "goes by auth.issuer = \"staging\""),
        ("instance.name=vm".to_owned(), "--set instance.name"),
        ("auth.audience=theirs".to_owned(), "goes by auth.audience = \"ours\""),
        (format!("auth.jwt_secret={secret}"), "does not know the key"),
    ] {
        let args = ["--sub", "ann@x.org", "--role", "WRITER", "--set", &flag];
        mint(&args).refused(78, expected);
        let app = ["--app", "shop", "--set", &flag];
        mint(&app).refused(78, expected);
    }
    let looking = ["token", "inspect", "--set", "auth.issuer=vm"];
    let ran = desk.run_with(&looking, &app.stdout).ended(5);
    assert!(ran.stderr.contains("uses \"staging\" to check tokens"), "{ran:?}");

    // A key that only this shell knows signs nothing.
    let mut other = desk.command(&["token", "mint", "--sub", "ann@x.org"]);
    let other = other.env("CACHE_MIRROR__AUTH__JWT_SECRET", secret).output().expect("it runs");
    assert_eq!(other.status.code(), Some(78), "{other:?}");

    // What the instance goes by is written again when it changes.
    server.signal("KILL");
    drop(server.end());
    let (server, _) = desk.serve(&["auth.issuer=other"]);
    let token = mint(&["--sub", "m@x.org"]).ended(0);
    let json = desk.run_with(&["token", "inspect", "--json"], &token.stdout).ended(0).json();
    assert_eq!((&json["claims"]["iss"], &json["accepted"]), (&"other".into(), &true.into()));
    drop(server);
    let text = std::fs::read_to_string(desk.path().join("data/in-use.json")).expect("it stays");
    let secret = std::fs::read_to_string(desk.path().join("data/jwt.secret")).expect("made");
    assert!(!text.contains(secret.trim()) && !text.contains(super::support::TOKEN), "{text}");

    // What cannot be read decides nothing.
    std::fs::write(desk.path().join("data/in-use.json"), "{").expect("written");
    let ran = mint(&["--sub", "m@x.org"]).ended(0);
    assert!(ran.stderr.contains("cannot be read"), "{ran:?}");
}

/// An instance with another data directory shares no file with this shell, but it can be asked.
#[test]
fn no_token_is_made_that_the_instance_which_answers_refuses() {
    let (there, here) = (Desk::new(), Desk::new());
    let (_server, url) = there.serve(&["instance.name=staging", SECRET]);
    let listen = format!("control.listen={}", url.trim_start_matches("http://"));
    let mint = |args: &[&str]| {
        let common = ["token", "mint", "--sub", "m@x.org", "--set", SECRET, "--set", &listen];
        here.run(&[&common[..], args].concat())
    };
    mint(&["--set", "instance.name=vm"]).refused(78, "refuses a token of \"vm\"");
    mint(&["--set", "instance.name=staging"]).ended(0);
    mint(&["--set", "auth.issuer=elsewhere"]).ended(0);
    mint(&["--set", "instance.name=vm", "--aud", "others"]).ended(0);
}
