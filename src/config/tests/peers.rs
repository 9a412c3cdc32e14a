//! Addresses and credentials of peers: one form for every spelling, and refusals without secrets.
//! What such a name resolves to is tried where connections are made.

use super::super::peers::{base, name};
use super::Scene;
use crate::deliver::LoginMethod;

#[test]
fn good_addresses_come_down_to_one_form() {
    for (text, allow_http, expected, named) in [
        ("eu.example.org", false, "https://eu.example.org/", "eu.example.org"),
        ("EU.Example.ORG", false, "https://eu.example.org/", "eu.example.org"),
        ("eu.example.org.", false, "https://eu.example.org/", "eu.example.org"),
        ("eu.example.org:8443", false, "https://eu.example.org:8443/", "eu.example.org:8443"),
        ("https://eu.example.org:443", false, "https://eu.example.org/", "eu.example.org"),
        ("HTTPS://eu.example.org/", false, "https://eu.example.org/", "eu.example.org"),
        ("https://eu.example.org/cache", false, "https://eu.example.org/cache/", "eu.example.org"),
        ("eu.example.org/a/b/", false, "https://eu.example.org/a/b/", "eu.example.org"),
        ("eu.example.org/@scope", false, "https://eu.example.org/@scope/", "eu.example.org"),
        ("localhost", false, "http://localhost/", "localhost"),
        ("localhost:4400", false, "http://localhost:4400/", "localhost:4400"),
        ("localhost:443", false, "http://localhost:443/", "localhost:443"),
        ("127.0.0.1:4400", false, "http://127.0.0.1:4400/", "127.0.0.1:4400"),
        ("127.1:80", false, "http://127.0.0.1/", "127.0.0.1"),
        ("[::1]:4400", false, "http://[::1]:4400/", "[::1]:4400"),
        ("https://localhost:4400", false, "https://localhost:4400/", "localhost:4400"),
        ("http://localhost:4400/x", false, "http://localhost:4400/x/", "localhost:4400"),
        ("10.1.2.3", false, "https://10.1.2.3/", "10.1.2.3"),
        ("192.168.0.9:4400", false, "https://192.168.0.9:4400/", "192.168.0.9:4400"),
        ("http://10.1.2.3:4400", true, "http://10.1.2.3:4400/", "10.1.2.3:4400"),
        ("[fd00::7]", false, "https://[fd00::7]/", "[fd00::7]"),
        ("bücher.example", false, "https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("cache_mirror:4400", false, "https://cache_mirror:4400/", "cache_mirror:4400"),
    ] {
        let url = base(text, allow_http).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((url.as_str(), name(&url).as_str()), (expected, named), "{text}");
    }
}

#[test]
fn bad_addresses_are_refused() {
    for (text, expected) in [
        ("", "expected a host"),
        ("https://", "expected a host"),
        ("https:///etc", "expected a host"),
        ("//eu.example.org", "expected a host"),
        ("https://:443", "expected a host"),
        ("::1", "expected a host"),
        ("eu.example.org:", "expected a host"),
        ("eu.example.org:99999", "expected a host"),
        ("eu.example.org:0", "port other than 0"),
        ("eu..example.org", "expected a host"),
        ("*.example.org", "expected a host"),
        ("ftp://eu.example.org", "expected https://"),
        ("file:///etc/passwd", "expected https://"),
        ("file:/etc/passwd", "expected a host"),
        ("javascript:alert(1)", "expected a host"),
        ("http:eu.example.org", "expected a host"),
        ("https:/eu.example.org", "expected a host"),
        ("https://me:hunter2@eu.example.org", "no user or password"),
        ("me@eu.example.org", "no user or password"),
        ("https://@eu.example.org", "no user or password"),
        ("eu.example.org?x=1", "no query"),
        ("https://eu.example.org/?", "no query"),
        ("https://eu.example.org/#x", "no fragment"),
        ("eu.example.org/a b", "no blanks"),
        ("eu.example.org\r\nHost:evil", "no blanks"),
        ("https://eu.exam\tple.org", "no blanks"),
        (" eu.example.org", "no blanks"),
        ("eu.example.org\u{a0}", "no blanks"),
        ("eu.example.org\0", "no blanks"),
        ("https:\\\\eu.example.org", "no blanks"),
        ("https://eu.example.org\\@evil.org", "no blanks"),
        ("http://eu.example.org", "http only to loopback"),
        ("http://10.1.2.3:4400", "http only to loopback"),
        ("http://localhost.evil.org", "http only to loopback"),
    ] {
        assert_refused(text, expected);
    }
    assert!(base(&"a".repeat(2049), false).unwrap_err().contains("2048"));
}

#[test]
fn addresses_of_no_host_are_refused_in_every_spelling() {
    for (text, expected) in [
        ("169.254.169.254", "metadata"),
        ("https://169.254.1.1/latest", "metadata"),
        ("2852039166", "metadata"),
        ("0xa9fea9fe", "metadata"),
        ("0251.0376.0251.0376", "metadata"),
        ("169.254.43518", "metadata"),
        ("１６９.254.169.254", "metadata"),
        ("169。254。169。254", "metadata"),
        ("%31%36%39.254.169.254", "metadata"),
        ("169.254.169.254.", "metadata"),
        ("[fe80::1]", "metadata"),
        ("[febf::1]:4400", "metadata"),
        ("[fe80::1%25eth0]", "expected a host"),
        ("[fd00:ec2::254]", "metadata"),
        ("[::ffff:169.254.169.254]", "metadata"),
        ("[::ffff:a9fe:a9fe]", "metadata"),
        ("[::169.254.169.254]", "metadata"),
        ("[::ffff:0:169.254.169.254]", "metadata"),
        ("[64:ff9b::169.254.169.254]", "metadata"),
        ("[64:ff9b:1::a9fe:a9fe]", "metadata"),
        ("[2002:a9fe:a9fe::1]", "metadata"),
        ("100.100.100.200", "metadata"),
        ("metadata.google.internal", "metadata"),
        ("Metadata.Google.Internal.", "metadata"),
        ("0.0.0.0", "unspecified"),
        ("0", "unspecified"),
        ("0.0.0.0:4400", "unspecified"),
        ("[::]", "unspecified"),
        ("[::ffff:0.0.0.0]", "unspecified"),
        ("224.0.0.1", "of one host"),
        ("255.255.255.255", "of one host"),
        ("[ff02::1]", "of one host"),
        ("[64:ff9b::224.0.0.1]", "of one host"),
    ] {
        assert_refused(text, expected);
    }
    assert!(base("http://169.254.169.254", true).unwrap_err().contains("metadata"));
}

fn assert_refused(text: &str, expected: &str) {
    match base(text, false) {
        Ok(url) => panic!("{text:?} was taken for {url}"),
        Err(error) => assert!(error.contains(expected), "{text:?}: {error}"),
    }
}

#[test]
fn no_error_about_an_address_shows_its_password() {
    for url in ["https://me:hunter2@eu.org", "me:hunter2@eu.org", "https://me:hun/ter2@eu.org"] {
        let problems = Scene::env(&[("CACHE_MIRRORS", url)]).bad();
        assert!(problems.contains("mirrors.urls") && problems.contains("***@eu.org"), "{problems}");
        assert!(!problems.contains("ter2"), "{problems}");
    }
    let problems = Scene::file("[[mirrors.peers]]\nurl = 'https://eu.org/?token=hunter2'").bad();
    assert!(
        problems.contains("mirrors.peers[0].url") && !problems.contains("hunter2"),
        "{problems}"
    );
}

#[test]
fn peers_take_what_they_do_not_say_from_the_rest() {
    let scene = Scene::file(
        r#"
        [mirrors]
        urls = ["a.example.org", "b.example.org/base"]
        rate_per_second = 3
        burst = 4
        [mirrors.login]
        email = "mirror@example.org"
        password = "everywhere"
        [[mirrors.peers]]
        url = "c.example.org"
        name = "c"
        rate_per_second = 0.5
        burst = 1
        email = "other@example.org"
        password_file = "c.password"
        "#,
    )
    .write("c.password", "only there\r\n");
    let peers = scene.good().deliver.peers;
    let names: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["a.example.org", "b.example.org", "c"]);
    assert_eq!(peers[1].base.as_str(), "https://b.example.org/base/");
    assert_eq!((peers[0].rate_per_second, peers[0].burst), (3.0, 4));
    assert_eq!((peers[2].rate_per_second, peers[2].burst), (0.5, 1));
    let login = |at: usize| peers[at].login.credentials.clone().unwrap();
    assert_eq!(
        (login(0).email.as_str(), login(0).password.expose()),
        ("mirror@example.org", "everywhere")
    );
    assert_eq!(
        (login(2).email.as_str(), login(2).password.expose()),
        ("other@example.org", "only there")
    );
    let LoginMethod::Request(request) = &peers[2].login.means else { panic!("a request") };
    assert_eq!(request.url, "/api/auth/login");
}

#[test]
fn a_peer_named_twice_is_one() {
    let scene =
        Scene::file("[[mirrors.peers]]\nurl = 'https://a.org:443/'\nname = 'own'\nburst = 7")
            .and_env(&[("CACHE_MIRRORS", "a.org, b.org  A.ORG")]);
    let settings = scene.good();
    let named: Vec<(&str, u32)> =
        settings.deliver.peers.iter().map(|peer| (peer.name.as_str(), peer.burst)).collect();
    assert_eq!(named, [("own", 7), ("b.org", 20)]);
    let told = settings.warnings.iter().filter(|text| text.contains("are one mirror")).count();
    assert_eq!(told, 2, "{:?}", settings.warnings);
}

#[test]
fn what_is_wrong_with_a_peer_is_said_of_its_field() {
    for (toml, expected) in [
        ("name = 'x'", "mirrors.peers[0].url"),
        ("url = 'a.org'\nname = 'a b'", "mirrors.peers[0].name = \"a b\""),
        ("url = 'a.org'\nrate_per_second = 0", "mirrors.peers[0].rate_per_second"),
        ("url = 'a.org'\nrate_per_second = nan", "mirrors.peers[0].rate_per_second"),
        ("url = 'a.org'\nburst = 0", "mirrors.peers[0].burst = 0"),
        ("url = 'a.org'\nburst = '1'", "expected an integer"),
        ("url = 'a.org'\nrat_per_second = 1.0", "did you mean rate_per_second?"),
        ("url = 'a.org'\nemail = 'me'", "belong together"),
        ("url = 'a.org'\npassword = 'hunter2'", "belong together"),
        ("url = 'a.org'\nemail='m'\npassword='hunter2'\npassword_file='f'", "set as well"),
        ("url = 'a.org'\nemail='m'\npassword_file='absent'", "readable file"),
        ("url = 'a.org'\npasword = 'hunter2'", "mirrors.peers[0].pasword = ***"),
        ("url = 'a.org'\n[[mirrors.peers]]\nurl='a.org/x'", "has the same name"),
    ] {
        let problems = Scene::file(&format!("[[mirrors.peers]]\n{toml}")).bad();
        assert!(problems.contains(expected), "{toml}: {problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}

#[test]
fn two_hundred_peers_are_enough() {
    let urls = |count: usize| (0..count).map(|n| format!("p{n}.org,")).collect::<String>();
    assert_eq!(Scene::env(&[("CACHE_MIRRORS", &urls(200))]).good().deliver.peers.len(), 200);
    assert!(Scene::env(&[("CACHE_MIRRORS", &urls(201))]).bad().contains("at most 200"));
}

/// The paths of endpoints are appended to a base: one that holds an endpoint reaches nothing.
#[test]
fn an_endpoint_is_no_mirror() {
    for path in [
        "/api/cache/invalidate",
        "/api/cache/invalidate/",
        "/base/API/Cache/Invalidate",
        "/api/auth/login",
        "/api/revalidate",
        "/api/stream",
        "/_cache-mirror/identity",
        "/healthz",
    ] {
        let problems =
            Scene::env(&[("CACHE_MIRRORS", &format!("https://eu.example.org{path}"))]).bad();
        assert!(problems.contains("expected the address of an instance"), "{path}: {problems}");
        let table = format!("[[mirrors.peers]]\nurl = \"https://eu.example.org{path}\"");
        assert!(Scene::file(&table).bad().contains("mirrors.peers[0].url"), "{path}");
    }
    for path in ["", "/", "/cache", "/api", "/api/cache-mirror", "/healthz-of"] {
        Scene::env(&[("CACHE_MIRRORS", &format!("https://eu.example.org{path}"))]).good();
    }
}
