//! Secrets in the wrong place, or under a misspelt name: no message shows them.

use std::collections::BTreeSet;

use super::super::schema;
use super::*;

/// Two forms, for what is let through by one reader is refused by the next.
const CANARIES: [&str; 2] = ["canary-7d1f", "canary 7d1f/$"];

/// A table of each kind, as far as it goes without the secret.
const TABLES: [&str; 18] = [
    "[[mirrors.peers]]\nurl = 'a.org'\n",
    "[[mirrors.peers]]\nurl = 'a.org'\n[mirrors.peers.login]\npreset = 'bearer'\n",
    "[[mirrors.peers]]\nurl = 'a.org'\n[mirrors.peers.login]\npreset = 'oauth2'\n",
    "[[auth.service_accounts]]\nemail = 'a@a.org'\n",
    "[[ingest.hooks]]\nname = 'h'\npreset = 'supabase'\n",
    "[[ingest.hooks]]\nname = 'h'\nmapping.type = 'x'\n[ingest.hooks.auth]\nscheme = 'hmac'\n",
    "[[ingest.hooks]]\nname = 'h'\n[ingest.hooks.mapping]\ntype = 'x'\n",
    "[[revalidate.targets]]\nurl = 'http://127.0.0.1:1'\n",
    "[[revalidate.targets]]\nurl = 'http://127.0.0.1:1'\n[revalidate.targets.names]\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'http'\nhosts = ['http://10.0.0.1']\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'refresh'\nhosts = ['http://10.0.0.1']\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'cloudflare'\nzone = 'abc'\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'fastly'\nservice = 'abc'\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'bunny'\npull_zone = '1'\n",
    "[[purge.targets]]\nname = 'p'\nkind = 'vercel'\nproject = 'abc'\n",
    "[[schedules]]\nid = 's'\ncron = '0 3 * * *'\ninvalidate = { type = 'posts' }\n",
    "[[schedules]]\nid = 's'\ncron = '0 3 * * *'\n[schedules.invalidate]\ntype = 'posts'\n",
    "[groups.g]\nclears = ['posts']\n",
];

/// Fields that are no secret and may be taken for one.
const ASKING: [&str; 5] = ["auth", "login", "headers", "mapping", "names"];

/// Names that somebody may give a secret.
fn names() -> Vec<String> {
    let known = ["token", "secret", "password", "signing_secret", "password_hash", "admin_token"];
    let mut names: Vec<String> =
        ["pw", "apikey", "api_key", "credentials", "jwt"].map(str::to_owned).to_vec();
    for name in known {
        let left_out = name.len() - 2;
        names.push(format!("{}{}", &name[..left_out], &name[left_out + 1..]));
        names.extend([format!("api_{name}"), format!("{name}s"), format!("my_{name}_2")]);
    }
    names
}

/// Every section of the reference, and the file's own level.
fn sections() -> BTreeSet<String> {
    let prefixes = |key: &'static str| key.match_indices('.').map(move |(at, _)| &key[..at]);
    let maps = schema::keys().filter(|key| schema::kind(key) == Some(schema::Kind::Map));
    let tables: BTreeSet<&str> = schema::keys().flat_map(prefixes).chain(maps).collect();
    std::iter::once(String::new()).chain(tables.iter().map(|it| format!("[{it}]\n"))).collect()
}

/// All that anybody is told about the settings.
fn problems_of(scene: &Scene) -> String {
    let problems = match load(&scene.sources) {
        Ok(settings) => settings.warnings.join("\n"),
        Err(problems) => shown(&problems),
    };
    let shown = show(&scene.sources).into_iter().filter(|(.., origin)| origin != "default");
    format!("{problems}\n{:?}\n{:?}", shown.collect::<Vec<_>>(), variables(&scene.sources))
}

#[test]
fn no_message_shows_a_secret_under_a_misspelt_name() {
    let sections = sections();
    assert!(sections.contains("[auth]\n") && sections.contains("[mirrors.login.headers]\n"));
    for place in sections.iter().map(String::as_str).chain(TABLES) {
        let is_table = place.contains("[[") && !place.contains(".names]");
        let asking = ASKING.iter().filter(|_| is_table).map(|name| (*name).to_owned());
        let names: BTreeSet<String> = names().into_iter().chain(asking).collect();
        for canary in CANARIES {
            let lines = names.iter().map(|name| format!("{name} = \"{canary}\"\n"));
            let text = format!("{place}{}", lines.collect::<String>());
            let told = problems_of(&Scene::file(&text));
            assert!(!told.contains("7d1f"), "{text}\n{told}");
        }
    }
}

#[test]
fn a_misspelt_secret_is_refused_once_and_tells_the_right_name() {
    let target = "[[purge.targets]]\nname = 'cf'\nkind = 'cloudflare'\nzone = 'abc'\n";
    let problems = Scene::file(&format!("{target}api_token = 'LEAKED'")).bad();
    let of_it: Vec<&str> = problems.lines().filter(|line| line.contains("api_token")).collect();
    assert_eq!(
        of_it,
        ["config: purge.targets[0].api_token = *** (config/cache-mirror.toml): unknown key; did \
          you mean token?"]
    );
    let hook =
        "[[ingest.hooks]]\nname = 'h'\nauth = { scheme = 'hmac', header = 'x', key = 'LEAKED' }";
    let problems = Scene::file(hook).bad();
    assert!(problems.contains("auth.key = ***") && !problems.contains("LEAKED"), "{problems}");
    let numbers = Scene::file(&format!("{target}token = 't'\nratio = 5")).bad();
    assert!(numbers.contains("ratio = 5"), "what is no secret may be seen: {numbers}");
}

#[test]
fn variables_and_flags_with_misspelt_secrets_are_masked_too() {
    for name in ["ADMIN_TOKN", "PASSWRD", "SECRT", "X"] {
        let variable = format!("CACHE_MIRROR__AUTH__{name}");
        let table = format!("[{{ url = 'a.org', {name} = 'canary-7d1f' }}]");
        let scene =
            Scene::env(&[(&variable, "canary-7d1f"), ("CACHE_MIRROR__MIRRORS__PEERS", &table)])
                .and_flag(&format!("auth.{name}"), "canary-7d1f")
                .and_flag(&format!("aliases.MY_{name}_TOKN"), "canary $7d1f");
        let told = problems_of(&scene);
        assert!(told.contains("***") && !told.contains("7d1f"), "{told}");
    }
}

#[test]
fn each_mistake_is_told_once() {
    for text in [
        "[aliases]\n'a b' = 'posts'",
        "[dependencies]\nposts = ['a b']",
        "[[purge.targets]]\nname = 'p'\nkind = 'bunny'\npull_zone = '1'\ntoken_file = 'none'",
        "[[purge.targets]]\nname = 'p'\nkind = 'http'\nhosts = ['http://10.0.0.1']\n\
         token_file = 'none'",
        "[[revalidate.targets]]\nurl = 'http://127.0.0.1:1'\nsecret_file = 'none'",
        "[[ingest.hooks]]\nname = 'h'\npreset = 'supabase'\nsecret_file = 'none'",
        "[[auth.service_accounts]]\nemail = 'a'\npassword_hash_file = 'none'",
        "[mirrors.login]\npreset = 'bearer'\ntoken_file = 'none'",
    ] {
        let problems = Scene::file(text).bad();
        assert_eq!(problems.lines().count(), 1, "{text}\n{problems}");
    }
}
