//! `[[purge.targets]]` as users write them.

use super::*;
use crate::deliver::targets::{Purge, Target};
use crate::deliver::{DestinationClass, PeerConfig};

const VARNISH: &str = "[[purge.targets]]\nname = 'v'\nkind = 'http'\n";

fn targets(settings: &Settings) -> Vec<(&PeerConfig, &Purge)> {
    let peers = settings.deliver.peers.iter();
    peers
        .filter_map(|peer| match &peer.class {
            DestinationClass::Target(Target::Purge(purge)) => Some((peer, &**purge)),
            _ => None,
        })
        .collect()
}

#[test]
fn each_host_is_a_destination_of_its_own() {
    let text = format!("{VARNISH}hosts = ['http://10.0.0.1:6081', 'http://10.0.0.2:6081']\n");
    let settings = Scene::file(&(text + "burst = 7\n")).good();
    let names: Vec<_> =
        targets(&settings).iter().map(|(peer, _)| (peer.destination(), peer.burst)).collect();
    let name = |host: &str| format!("beside:v@{host}:6081");
    assert_eq!(names, [(name("10.0.0.1"), 7), (name("10.0.0.2"), 7)]);
    let settings = Scene::file(&format!("{VARNISH}hosts = ['http://10.0.0.1']")).good();
    let found = targets(&settings);
    assert_eq!((&*found[0].0.name, &*found[0].1.name), ("v", "v"), "one host needs no suffix");
}

#[test]
fn what_would_not_happen_is_refused() {
    let host = "hosts = ['http://10.0.0.1']\n";
    for (fields, expected) in [
        ("kind = 'varnish'\n", "expected http, refresh, cloudflare"),
        ("kind = 'refresh'\nhosts = ['http://10.0.0.1']\nall_tag = 'x'", "nothing for the kind"),
        ("kind = 'bunny'\npull_zone = '1'", "expected a token that may purge"),
        ("kind = 'bunny'\ntoken = 't'", "expected its id"),
        ("kind = 'fastly'\ntoken = 't'\nservice = 'a/b'", "expected its id"),
        ("kind = 'fastly'\ntoken = 't'\nservice = 's'\nhosts = ['http://a']", "means nothing"),
        (
            "kind = 'fastly'\ntoken = 't'\nservice = 's'\napi = 'http://api.example'",
            "expected an https:// URL, or one on loopback",
        ),
        ("kind = 'cloudflare'\ntoken = 't'\nzone = 'z'\nplan = 'big'", "free, pro, business"),
        ("kind = 'http'\n", "expected at least one, such as"),
        ("kind = 'http'\nhosts = ['10.0.0.1']", "expected http:// or https:// before"),
        ("kind = 'http'\nhosts = ['http://10.0.0.1/x']", "expected hosts without a path"),
        ("kind = 'http'\nhosts = ['http://169.254.169.254']", "metadata"),
        (&format!("kind = 'http'\n{host}type_tag = 'x'"), "expected a text with {type} in it"),
        (&format!("kind = 'http'\n{host}list_tag = 'x'"), "expected a text with {type} in it"),
        (&format!("kind = 'http'\n{host}tag_header = 'a b'"), "expected a header's name"),
        (&format!("kind = 'http'\n{host}absent_status = 1000"), "from 0 to 599"),
        (&format!("kind = 'http'\n{host}burst = 0"), "expected an integer from 1"),
        (&format!("kind = 'http'\n{host}tag_headers = 'a'"), "tag_header"),
        (
            "kind = 'http'\nhosts = ['https://10.0.0.1']\nsites = ['https://a.example']",
            "expected only beside http:// hosts",
        ),
    ] {
        let problems = Scene::file(&format!("[[purge.targets]]\nname = 'v'\n{fields}")).bad();
        assert!(problems.contains(expected), "{fields}: {problems}");
    }
    let twice = format!("{VARNISH}{host}{VARNISH}{host}");
    assert!(Scene::file(&twice).bad().contains("another destination has the same name"));
    let mirror = format!("[mirrors]\nurls = ['v']\n{VARNISH}{host}");
    assert!(Scene::file(&mirror).bad().contains("another destination has the same name"));
}

#[test]
fn a_token_is_given_once_and_never_shown() {
    let fields = format!("{VARNISH}hosts = ['http://10.0.0.1']\n");
    let scene = Scene::file(&format!("{fields}token_file = 'token'")).write("token", "hunter2\n");
    let settings = scene.good();
    assert_eq!(targets(&settings)[0].1.token.expose(), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
    let both = format!("{fields}token = 'hunter3'\ntoken_file = 'token'");
    let problems = Scene::file(&both).write("token", "hunter2").bad();
    assert!(problems.contains("token is set as well"), "{problems}");
    let odd = Scene::file(&format!("{fields}token = 'hunter 4'")).bad();
    assert!(odd.contains("expected a token without blanks"), "{odd}");
    assert!(![problems, odd].iter().any(|shown| shown.contains("hunter")));
    let shown = show(&Scene::file(&format!("{fields}token = 'hunter5'")).sources);
    assert!(!format!("{shown:?}").contains("hunter"), "{shown:?}");
}

#[test]
fn a_cdn_is_limited_as_its_vendor_limits() {
    let text = |kind: &str| format!("[[purge.targets]]\nname = 'c'\ntoken = 't'\nkind = {kind}");
    for (kind, url, limit) in [
        ("'cloudflare'\nzone = 'z'", "https://api.cloudflare.com/client/v4/", (5.0 / 60.0, 25)),
        ("'cloudflare'\nzone = 'z'\nplan = 'enterprise'", "", (50.0, 500)),
        ("'fastly'\nservice = 's'", "https://api.fastly.com/", (20.0, 100)),
        ("'bunny'\npull_zone = '1'", "https://api.bunny.net/", (0.5, 20)),
        ("'vercel'\nproject = 'p'\nburst = 3", "https://api.vercel.com/", (1.0, 3)),
    ] {
        let settings = Scene::file(&text(kind)).good();
        let (peer, _) = targets(&settings)[0];
        assert_eq!((peer.rate_per_second, peer.burst), limit, "{kind}");
        assert!(url.is_empty() || peer.base.as_str() == url, "{}", peer.base);
    }
}

/// What the document shows can be copied.
#[test]
fn the_documents_targets_are_accepted() {
    let document = include_str!("../../../docs/PURGE.md");
    let blocks: Vec<&str> =
        document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 6, "one for each kind");
    let tokens = ["cloudflare", "fastly", "bunny", "vercel"].map(|name| format!("{name}.token"));
    for block in blocks {
        let scene = tokens.iter().fold(Scene::file(block), |scene, name| scene.write(name, "t\n"));
        assert!(!targets(&scene.good()).is_empty(), "{block}");
    }
}
