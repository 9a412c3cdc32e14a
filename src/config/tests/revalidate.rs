//! Sites to be revalidated: plain names, targets, templates, and refusals without secrets.

use std::time::Duration;

use super::*;
use crate::deliver::PeerConfig;
use crate::deliver::targets::{Revalidate, RevalidateForm, Target};

fn targets(scene: &Scene) -> Vec<(PeerConfig, Revalidate)> {
    let peers = scene.good().deliver.peers.into_iter();
    peers
        .filter_map(|peer| match peer.class.target() {
            Some(Target::Revalidate(it)) => Some((peer.clone(), Revalidate::clone(it))),
            _ => None,
        })
        .collect()
}

/// S1 1.4, 1.12, 1.18, 1.27: the names that the applications have set make the target.
#[test]
fn the_plain_names_make_a_target() {
    let url = ("NEXT_REVALIDATE_URL", "http://localhost:3000/api/revalidate");
    for (secret, expected) in [
        (&[("NEXT_REVALIDATE_SECRET", "own"), ("REVALIDATE_SECRET", "shared")][..], "own"),
        (&[("REVALIDATE_SECRET", "shared")], "shared"),
    ] {
        let scene = Scene::env(&[url]).and_env(secret);
        let [(peer, it)] = &targets(&scene)[..] else { panic!("one target") };
        assert_eq!(peer.name, "nextjs");
        assert_eq!(peer.destination(), "beside:nextjs");
        assert_eq!(peer.base.as_str(), "http://localhost:3000/");
        assert_eq!(it.url.as_str(), url.1);
        assert_eq!(it.secret.expose(), expected);
        assert_eq!(it.timeout, Duration::from_secs(5));
        assert!(matches!(it.form, RevalidateForm::Paths(_)) && !it.is_for_all_addresses);
        assert_eq!(scene.good().not_revalidated, None);
        let shown = format!("{:?} {:?}", show(&scene.sources), scene.good());
        assert!(!shown.contains("\"own\"") && !shown.contains("\"shared\""), "{shown}");
    }
    let scene = Scene::env(&[url, ("REVALIDATE_SECRET_FILE", "s")]).write("s", "from a file\n");
    assert_eq!(targets(&scene)[0].1.secret.expose(), "from a file");
}

/// A site that can be told nothing of types is said once, at the start.
#[test]
fn a_site_without_any_path_is_said() {
    let site = || {
        let url = ("NEXT_REVALIDATE_URL", "https://www.example.org");
        Scene::env(&[url, ("NEXT_REVALIDATE_SECRET", "s")])
    };
    let is_said = |scene: Scene| {
        let warnings = scene.good().warnings;
        warnings.iter().filter(|text| text.contains("no revalidate.paths")).count()
    };
    assert_eq!(is_said(site()), 1);
    assert_eq!(is_said(site().and_file("[revalidate.paths]\nposts = ['/']")), 0);
    let tags = "[[revalidate.targets]]\nurl = 'https://a.example'\nsecret = 's'\nform = ";
    assert_eq!(is_said(Scene::file(&format!("{tags}'nextjs-tags'"))), 0, "types are tags");
}

/// What a form has no words for is said at the start; tags have words for everything.
#[test]
fn what_a_form_cannot_say_is_warned_of() {
    let said = |form: &str, rest: &str| {
        let target = "[[revalidate.targets]]\nurl = 'https://a.example'\nsecret = 's'\nname = 'x'";
        let warnings = Scene::file(&format!("{target}\nform = '{form}'\n{rest}")).good().warnings;
        warnings.into_iter().filter(|it| it.starts_with("x is ")).collect::<Vec<_>>().join("\n")
    };
    let paths = said("nextjs", "paths.posts = ['/']");
    assert!(paths.contains("not called for tags") && paths.contains("pass `type` on"), "{paths}");
    assert!(said("nextjs", "").contains("never for types"));
    assert!(said("names", "names.posts = 'posts'").contains("paths, tags"));
    assert_eq!(said("nextjs-tags", ""), "");
}

/// The plain names take the form that the section says.
#[test]
fn the_form_of_the_plain_names_is_a_setting() {
    let names = [("NEXT_REVALIDATE_URL", "https://a.example"), ("NEXT_REVALIDATE_SECRET", "s")];
    for (scene, is_tags) in [
        (Scene::env(&names), false),
        (Scene::env(&names).and_file("[revalidate]\nform = 'nextjs-tags'"), true),
        (Scene::env(&names).and_flag("graph.preset", "laravel-next"), true),
    ] {
        let it = &targets(&scene)[0].1;
        assert_eq!(matches!(it.form, RevalidateForm::Tags { .. }), is_tags);
    }
}

/// S1 1.3: what is missing is said, and nothing fails.
#[test]
fn a_site_known_by_half_is_said() {
    let missing = |scene: &Scene| {
        assert!(targets(scene).is_empty());
        scene.good().not_revalidated.map(|it| (it.url, it.has_secret))
    };
    let url = "https://me:pass@www.example.org/api/revalidate?x=y";
    let no_secret = Scene::env(&[("NEXT_REVALIDATE_URL", url)]);
    let masked = "https://***@www.example.org/api/revalidate?***";
    assert_eq!(missing(&no_secret), Some((masked.into(), false)));
    let no_url = Scene::env(&[("NEXT_REVALIDATE_SECRET", "s")]);
    assert_eq!(missing(&no_url), Some((String::new(), true)));
    let hint = "set REVALIDATE_SECRET to accept";
    let is_hinted = |scene: &Scene| scene.good().warnings.iter().any(|it| it.contains(hint));
    assert!(is_hinted(&no_url) && !is_hinted(&no_secret));
    let both = [("NEXT_REVALIDATE_SECRET", "s"), ("REVALIDATE_SECRET", "s")];
    assert!(!is_hinted(&Scene::env(&both)));
    let by_preset = Scene::file("[revalidate.paths]\nposts = ['/']");
    assert_eq!(missing(&by_preset), Some((String::new(), false)));
    for nobody_asked in [Scene::new(), Scene::env(&[("REVALIDATE_SECRET", "s")])] {
        assert_eq!(missing(&nobody_asked), None);
    }
}

/// S0 0.6, 0.9: the site of the older form, called for what is named and skipped without a token.
#[test]
fn a_site_is_called_by_name_where_names_are_given() {
    let site = ("NEXT_PUBLIC_SITE_URL", "https://www.example.org");
    let token = ("REVALIDATE_SECRET_TOKEN", "t");
    assert!(targets(&Scene::env(&[site, token])).is_empty(), "no names, no calls");
    let names = "[revalidate.names]\ncourse = 'courses'\ntraining_days = 'training-days'";
    let scene = Scene::env(&[site, token]).and_file(names);
    let [(peer, it)] = &targets(&scene)[..] else { panic!("one target") };
    assert_eq!(peer.name, "web");
    assert_eq!(it.url.as_str(), "https://www.example.org/api/revalidate");
    let RevalidateForm::Names(names_there) = &it.form else { panic!("by name") };
    assert_eq!(names_there.values().collect::<Vec<_>>(), ["courses", "training-days"]);
    let without = Scene::env(&[site]).and_file(names).good();
    let expected = "REVALIDATE_SECRET_TOKEN not set, skipping web cache invalidation";
    assert_eq!(without.warnings.iter().filter(|text| *text == expected).count(), 1);
}

#[test]
fn targets_take_what_they_do_not_say_from_the_section() {
    let scene = Scene::file(
        r#"
        [revalidate]
        rate_per_second = 3
        [revalidate.paths]
        posts = ["/posts"]
        [revalidate.groups]
        product = ["/", "/products/{slug}"]
        [[revalidate.targets]]
        url = "https://www.example.org/shop/api/revalidate"
        secret = "s"
        signing_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        [[revalidate.targets]]
        url = "https://tags.example.org"
        name = "tags"
        form = "nextjs-tags"
        secret_file = "secret"
        resolve = "all"
        burst = 1
        timeout_ms = 100
        [revalidate.targets.tags]
        products = ["products", { tag = "products:{id}", actions = ["force_delete"] }]
        [[revalidate.targets]]
        url = "https://own.example.org/"
        name = "own"
        secret = "s"
        [revalidate.targets.paths]
        product = [{ path = "@product", when_fields = ["slug"], otherwise = "/products/[slug]" }]
        docs = [{ path = "/docs", type = "layout" }]
        "*" = ["/sitemap.xml"]
        "#,
    )
    .write("secret", "swordfish");
    let [(www, posts), (_, tags), (_, own)] = &targets(&scene)[..] else { panic!("three") };
    assert_eq!(www.name, "www.example.org");
    assert_eq!(www.base.as_str(), "https://www.example.org/shop/");
    assert_eq!((www.rate_per_second, www.burst), (3.0, 20));
    let RevalidateForm::Paths(paths) = &posts.form else { panic!("paths") };
    assert_eq!(paths.of.len(), 1);
    assert!(posts.signer.is_some() && tags.signer.is_none());
    assert_eq!(tags.url.as_str(), "https://tags.example.org/api/revalidate");
    assert_eq!((tags.secret.expose(), tags.is_for_all_addresses), ("swordfish", true));
    assert_eq!(tags.timeout, Duration::from_millis(100));
    let RevalidateForm::Tags { tags: by_tag, paths: beside } = &tags.form else { panic!("tags") };
    assert_eq!(beside.of.len(), 1, "paths go with tags");
    assert_eq!((by_tag.of_others.len(), by_tag.of.len()), (2, 1));
    let RevalidateForm::Paths(own) = &own.form else { panic!("paths") };
    let docs: Vec<_> = own.of.values().flatten().filter(|it| it.is_layout).collect();
    assert_eq!(docs.len(), 1);
    let products: Vec<_> = own.of.values().flatten().filter(|it| !it.is_layout).collect();
    assert_eq!(products.len(), 2, "the group");
    assert!(products.iter().all(|it| it.otherwise.is_some() && it.when_fields.len() == 1));
    assert_eq!(own.always.len(), 1);
}

#[test]
fn what_no_site_could_use_is_refused() {
    let target = |rest: &str| {
        format!("[[revalidate.targets]]\nurl = 'https://a.org'\nsecret = 'hunter2'\n{rest}")
    };
    for (text, expected) in [
        ("[[revalidate.targets]]\nurl = 'https://a.org'".to_owned(), "the target's secret"),
        ("[[revalidate.targets]]\nsecret = 'hunter2'".to_owned(), "expected a host or a URL"),
        (target("form = 'next'"), "expected nextjs, nextjs-tags or names"),
        (target("resolve = 'some'"), "expected one or all"),
        (target("signing_secret = 'hunter2'"), "expected whsec_"),
        (target("burst = 0"), "expected an integer from 1"),
        (target("timeout_ms = 0"), "expected an integer from 1"),
        (target("rate_per_second = 0"), "expected a number from"),
        (target("secrets = 'hunter2'"), "secret"),
        (target("name = 'a b'"), "expected 1 to 64"),
        (target("secret_file = 'f'"), "secret is set as well"),
        (target("paths.posts = ['posts']"), "begins with /"),
        (target("paths.posts = ['/{']"), "expected variables as {name}"),
        (target("paths.posts = ['@all']"), "no group"),
        (target("paths.posts = [{ tag = '/x' }]"), "expected a table with path"),
        (target("paths.posts = [{ path = '/x', tag = 'x' }]"), "expected path here"),
        (target("paths.posts = [{ path = '/', otherwise = 'x' }]"), "begins with /"),
        (target("paths.posts = [{ path = '/', actions = ['x'] }]"), "expected actions"),
        (target("paths.posts = [{ path = '/', when_field = ['x'] }]"), "when_fields"),
        (target("paths.posts = [1]"), "expected a list of strings and tables"),
        (target("paths.'a b' = ['/']"), "is not a type"),
        (target("paths.a = ['/[lang]/p/{slug}']"), "has no variables"),
        (target("paths.a = ['/p/x[slug]']"), "a whole segment"),
        (target("paths.a = ['/(shop)/layout']"), "type = \"layout\""),
        (target("paths.a = [{ path = '/{id}', otherwise = '/(.)a/[id]' }]"), "intercepting"),
        (target("paths.a = [{ path = '/a', type = 'page' }]"), "page is for patterns"),
        (target("paths.a = [{ path = '/a', type = 'all' }]"), "expected type: layout"),
        (target("form = 'nextjs-tags'\ntags.a = [{ tag = 'a', type = 'layout' }]"), "beside a tag"),
        ("[revalidate]\nurl = 'https://a.org'\nsecret = 's'\nform = 'x'".to_owned(), "nextjs-tags"),
        (target("form = 'names'\nnames.posts = 'a/b'"), "expected a name of"),
        ("[revalidate.paths]\nposts = '/'".to_owned(), "expected a list of strings and tables"),
        ("[revalidate]\nurl = 'http://10.0.0.7'\nsecret = 's'".to_owned(), "revalidate.allow_http"),
        (target(&target("")), "another destination has this name"),
    ] {
        let problems = Scene::file(&text).bad();
        assert!(problems.contains(expected), "{text}\n{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    Scene::env(&[("CACHE_MIRRORS", "a.org")]).and_file(&target("name = 'b'")).good();
    let same = Scene::env(&[("CACHE_MIRRORS", "a.org")]).and_file(&target("")).bad();
    assert!(same.contains("another destination has this name"), "{same}");
}

/// A type of the templates is the type that events name, however either is spelt.
#[test]
fn types_fold_as_everywhere() {
    let scene = Scene::file(
        "[aliases]\narticle = 'posts'\n[revalidate]\nurl = 'https://a.org'\nsecret = 's'\n\
         [revalidate.paths]\narticle = ['/a']\npost = ['/b']",
    );
    let RevalidateForm::Paths(paths) = &targets(&scene)[0].1.form else { panic!("paths") };
    assert_eq!(paths.of.len(), 1, "{paths:?}");
    assert_eq!(paths.of.values().next().map(Vec::len), Some(2));
}

#[test]
fn a_secret_exchanged_in_its_file_is_a_change() {
    let scene = Scene::file("[[revalidate.targets]]\nurl = 'https://a.org'\nsecret_file = 'f'")
        .write("f", "one");
    let mut running = scene.good();
    running.complete().expect("completes");
    let scene = scene.write("f", "two");
    let again = reload(&scene.sources, &running).expect("good settings");
    assert_eq!(again.changed, ["revalidate.targets"]);
}
