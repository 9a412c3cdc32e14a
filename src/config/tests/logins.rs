//! Ways to a token at a peer: presets, what is written over them, and a peer's own table.

use super::*;
use crate::deliver::{Login, LoginMethod, LoginRequest};

const ACCOUNT: &str = "email = 'me@x.org'\npassword = 'hunter2'\n";

/// The login of one peer under this `[mirrors.login]`.
fn login(toml: &str) -> Login {
    let scene = Scene::file(&format!("mirrors.urls = ['a.org']\n[mirrors.login]\n{toml}"));
    let peer = scene.good().deliver.peers.remove(0);
    peer.login
}

fn request(login: &Login) -> &LoginRequest {
    let LoginMethod::Request(request) = &login.means else { panic!("{login:?}") };
    request
}

#[test]
fn a_preset_fills_in_what_is_not_written() {
    let json = r#"{"email":{email},"password":{password}}"#;
    let form = "grant_type=client_credentials&client_id={email}&client_secret={password}";
    for (toml, url, body, is_form) in [
        ("", "/api/auth/login", json, false),
        ("preset = 'supabase'", "/auth/v1/token?grant_type=password", json, false),
        (
            "preset = 'supabase'\nurl = 'https://p.supabase.co/'",
            "https://p.supabase.co/auth/v1/token?grant_type=password",
            json,
            false,
        ),
        ("preset = 'oauth2'", "/oauth/token", form, true),
        ("preset = 'oauth2'\nurl = 'https://idp.org/t'", "https://idp.org/t", form, true),
        (
            "form = true\nbody = 'u={email}&p={password}'",
            "/api/auth/login",
            "u={email}&p={password}",
            true,
        ),
    ] {
        let login = login(&format!("{ACCOUNT}{toml}"));
        let request = request(&login);
        assert_eq!((request.url.as_str(), request.body.as_str()), (url, body), "{toml}");
        assert_eq!(request.is_form, is_form, "{toml}");
        assert_eq!(request.token_pointer, "/access_token");
        assert!(!login.is_empty());
    }
    let scoped = login(&format!("{ACCOUNT}preset = 'oauth2'\nscope = 'cache:write x'"));
    assert!(request(&scoped).body.ends_with("&scope=cache%3Awrite+x"));
}

#[test]
fn headers_are_secrets_and_may_lie_in_files() {
    let scene = Scene::file(
        "mirrors.urls = ['a.org']\n[mirrors.login.headers]\napikey = 'hunter2'\n\
         X-Other_file = 'key'\n[[mirrors.peers]]\nurl = 'b.org'\n\
         [mirrors.peers.login]\nheaders = {apikey_file = 'key', b = 'hunter2'}\ntoken = 'hunter2'",
    )
    .write("key", "hunter3\n")
    .and_env(&[("CACHE_MIRROR__MIRRORS__LOGIN__HEADERS__FURTHER_FILE", "key")]);
    let settings = scene.good();
    let of = |at: usize| {
        let headers = &request(&settings.deliver.peers[at].login).headers;
        let pair = |(name, value): &(reqwest::header::HeaderName, crate::support::Secret)| {
            format!("{name}={}", value.expose())
        };
        headers.iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(of(0), ["x-other=hunter3", "apikey=hunter2", "further=hunter3"]);
    assert_eq!(of(1), ["apikey=hunter3", "b=hunter2"], "its own and no others");
    let shown = format!("{:?} {:?}", show(&scene.sources), settings.deliver.peers);
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn some_ways_need_less_of_an_account() {
    let login_of = login;
    let own = login_of("preset = 'self-signed'\nemail = 'me@x.org'");
    assert!(
        matches!(&own.means, LoginMethod::SelfSigned { audience } if audience == "cache-mirror")
    );
    assert_eq!(own.credentials.as_ref().map(|it| it.email.as_str()), Some("me@x.org"));
    let other = login_of("preset = 'self-signed'\nemail = 'me@x.org'\naudience = 'them'");
    assert!(matches!(&other.means, LoginMethod::SelfSigned { audience } if audience == "them"));
    assert!(login_of("preset = 'self-signed'").is_empty(), "in whose name?");
    let bearer = login_of("preset = 'bearer'\ntoken = 'abc'");
    assert!(matches!(&bearer.means, LoginMethod::Bearer(token) if token.expose() == "abc"));
    assert!(!bearer.is_empty());
    assert!(login_of("email = 'me@x.org'").is_empty());
}

/// A URL or an API key meant for one server never goes to another.
#[test]
fn a_peers_own_login_replaces_the_common_one_but_for_the_account() {
    let peers = Scene::file(
        "[mirrors.login]\nemail = 'me@x.org'\npassword = 'p'\npreset = 'supabase'\n\
         url = 'https://p.supabase.co'\nheaders = {apikey = 'k'}\n\
         [[mirrors.peers]]\nurl = 'a.org'\n[mirrors.peers.login]\nexpires_pointer = ''\n\
         [[mirrors.peers]]\nurl = 'b.org'\n\
         [[mirrors.peers]]\nurl = 'c.org'\nemail = 'c@x.org'\n\
         [mirrors.peers.login]\npreset = 'self-signed'",
    )
    .good()
    .deliver
    .peers;
    let [a, b, c] = &peers[..] else { panic!("three peers") };
    let plain = request(&a.login);
    assert_eq!((plain.url.as_str(), plain.headers.len()), ("/api/auth/login", 0));
    assert_eq!(plain.expires_pointer, "");
    assert_eq!(a.login.credentials.as_ref().map(|it| it.email.as_str()), Some("me@x.org"));
    assert!(request(&b.login).url.starts_with("https://p.supabase.co/auth/v1/"));
    assert_eq!(c.login.credentials.as_ref().map(|it| it.email.as_str()), Some("c@x.org"));
}

#[test]
fn what_is_wrong_with_a_login_is_said_of_its_field() {
    for (toml, expected) in [
        ("preset = 'hunter'", "login.preset = \"hunter\""),
        ("preset = 'bearer'", "login.token"),
        ("preset = 'bearer'\ntoken = 'hunter2 x'", "expected a token without blanks"),
        ("form = true", "login.body"),
        ("form = true\nbody = 'a={email} b'", "expected a form"),
        ("scope = 'x'", "expected only with the preset oauth2"),
        ("url = 'http://idp.org/t'", "http only to loopback"),
        ("token_pointer = 'x'", "JSON pointer"),
        ("headers = {'a b' = 'hunter2'}", "expected a header's name"),
        ("headers = {a = ''}", "expected a header's name"),
        ("headers = {a = \"hunter2\\nx\"}", "expected a header's name"),
        ("headers = {a = 5}", "expected a string"),
        ("headers = 'hunter2'", "expected a table"),
        ("presett = 'x'", "did you mean"),
    ] {
        let common = format!("[mirrors.login]\n{toml}");
        let own = format!("[[mirrors.peers]]\nurl = 'a.org'\n[mirrors.peers.login]\n{toml}");
        for text in [common, own] {
            let problems = Scene::file(&text).bad();
            assert!(problems.contains(expected), "{text}: {problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
    }
    for (file, expected) in [("absent", "readable file"), ("ca", "certificates in PEM")] {
        let toml = format!("[[mirrors.peers]]\nurl = 'a.org'\nca_file = '{file}'");
        let problems = Scene::file(&toml).write("ca", "no certificate").bad();
        assert!(problems.contains("mirrors.peers[0].ca_file"), "{problems}");
        assert!(problems.contains(expected), "{problems}");
    }
}
