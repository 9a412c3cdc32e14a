//! Names that older callers use, and the secrets that they send.

use super::*;

/// S0 0.6, S1 1.12: the variables of the older systems are taken as they are called there.
#[test]
fn the_secrets_have_the_names_that_callers_know() {
    let long = "x".repeat(64);
    let all = [
        ("REVALIDATE_SECRET_TOKEN", "a"),
        ("REVALIDATE_SECRET_TOKEN_PREVIOUS", "b"),
        ("REVALIDATE_SECRET", "c"),
        ("REVALIDATE_SECRET_PREVIOUS", "d"),
    ];
    let secrets = |scene: &Scene| -> Vec<String> {
        let secrets = scene.good().gate.revalidate_secrets;
        secrets.iter().map(|secret| secret.expose().to_owned()).collect()
    };
    assert_eq!(secrets(&Scene::env(&all)), ["a", "b", "c", "d"]);
    assert_eq!(secrets(&Scene::new()), Vec::<String>::new());
    let by_file = Scene::env(&[("REVALIDATE_SECRET_FILE", "secret")]).write("secret", &long);
    assert_eq!(secrets(&by_file), [long.as_str()]);
    let shown = format!("{:?} {:?}", show(&by_file.sources), by_file.good().gate);
    assert!(!shown.contains(&long), "{shown}");
}

/// S1 1.24: a secret below the advised length works and is warned about, without being shown.
#[test]
fn a_short_secret_is_warned_about() {
    let warned = |name: &str, bytes: usize| {
        let settings = Scene::env(&[(name, &"s".repeat(bytes))]).good();
        let found: Vec<_> = settings.warnings.iter().filter(|it| it.contains("compat.")).collect();
        assert!(!found.iter().any(|it| it.contains("sss")), "{found:?}");
        found.len()
    };
    assert_eq!((warned("REVALIDATE_SECRET", 63), warned("REVALIDATE_SECRET", 64)), (1, 0));
    let token = "REVALIDATE_SECRET_TOKEN";
    assert_eq!((warned(token, 43), warned(token, 44)), (1, 0));
}

#[test]
fn a_name_that_clears_nothing_is_an_error() {
    let good = Scene::file("[names]\ntraining-days = ['training_days', 'path:/courses*']").good();
    assert_eq!(good.resolve.names["training-days"].clears.len(), 2);
    for (text, expected) in [
        ("names.courses = []", "names.courses"),
        ("names.courses = ['no type']", "is not a type"),
        ("names.courses = 'courses'", "expected a list of strings"),
    ] {
        let problems = Scene::file(text).bad();
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn groups_and_hooks_are_checked_whole() {
    let text = "[groups]\nproducts = { clears = ['products'], narrowed = ['tag:p:{clientId}'] }\n\
                [hooks.onProductCreated]\nclears = ['products']\n\
                [ignore_fields]\nproducts = ['admin_notes']";
    let resolve = Scene::file(text).good().resolve;
    assert_eq!(resolve.groups["products"].narrowed, ["tag:p:{clientId}"]);
    assert_eq!(resolve.hooks["onProductCreated"].clears, ["products"]);
    assert_eq!(resolve.ignore_fields["products"], ["admin_notes"]);
    let env = [("CACHE_MIRROR__GROUPS", "{ g = { clears = ['posts'] } }")];
    assert!(Scene::env(&env).good().resolve.groups.contains_key("g"));
    for (text, expected) in [
        ("groups.g = ['products']", "expected a table"),
        ("groups.g = {}", "clears must name"),
        ("groups.g = { clear = ['x'] }", "did you mean clears?"),
        ("groups.g = { clears = 'x' }", "expected a list of strings"),
        ("groups.g = { clears = ['x'], narrowed = ['x/{id'] }", "not closed"),
        ("hooks.h = { clears = ['x'], narrowed = ['{id}'] }", "may stand in"),
        ("when_fields.'no type' = ['a']", "is no type"),
        ("ignore_fields.posts = 'a'", "expected a list of strings"),
    ] {
        let problems = Scene::file(text).bad();
        assert!(problems.contains(expected), "{problems}");
    }
}

/// The tables of the job-readiness site are other names of its types.
#[test]
fn presets_are_whole() {
    let of = |name: &str| Scene::new().and_flag("graph.preset", name).good().resolve;
    let site = of("job-readiness");
    assert_eq!((site.groups.len(), site.hooks.len()), (5, 5));
    assert_eq!(site.aliases["modules"], "module_content");
    assert_eq!(of("trainer-panel").names.len(), 2);
    assert_eq!(of("laravel-next").aliases.len(), 8);
}

/// S1 1.6, 1.9, 1.10 and S0 0.3: a preset says which pages show what, and a variable says where.
#[test]
fn presets_call_a_site_once_it_is_named() {
    let of = |preset: &str, env: &[(&str, &str)]| -> Vec<String> {
        let peers =
            Scene::env(env).and_flag("graph.preset", preset).good().deliver.peers.into_iter();
        peers.filter(|peer| peer.class.target().is_some()).map(|peer| peer.name).collect()
    };
    assert_eq!(of("laravel-next", &[]), Vec::<String>::new());
    let next = [
        ("NEXT_REVALIDATE_URL", "http://127.0.0.1:1/api/revalidate"),
        ("NEXT_REVALIDATE_SECRET", "s"),
    ];
    assert_eq!(of("laravel-next", &next), ["nextjs"]);
    let web = [("NEXT_PUBLIC_SITE_URL", "http://127.0.0.1:1"), ("REVALIDATE_SECRET_TOKEN", "t")];
    assert_eq!(of("trainer-panel", &web), ["web"]);
}
