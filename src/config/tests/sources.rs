//! Where settings come from, and which of them wins.
//! Each layer is tried against the one below it; a wrong value must be named with its source.

use super::super::{mask, schema};
use super::*;

#[test]
fn the_reference_and_the_starter_are_true_settings() {
    let plain = Scene::new().good();
    assert_eq!(plain.server.listen.to_string(), "127.0.0.1:4400");
    let whole = Scene::file(REFERENCE).good();
    assert_eq!(format!("{:?}", whole.store), format!("{:?}", plain.store));
    let started = Scene::file(&starter());
    assert_eq!(format!("{:?}", started.good().deliver), format!("{:?}", plain.deliver));
    let from_file = show(&started.sources).iter().filter(|(.., origin)| origin == FILE).count();
    assert_eq!(from_file, 0, "all of it is commented out");
}

#[test]
fn the_keys_are_those_that_people_have_in_their_files() {
    let keys: Vec<&str> = schema::keys().collect();
    let known: Vec<&str> = include_str!("keys.txt").lines().collect();
    assert_eq!(keys, known, "a key was renamed: people's files must go on working");
}

#[test]
fn every_preset_loads() {
    for name in presets::names() {
        let scene = Scene::new().and_flag("graph.preset", name);
        assert!(!scene.good().resolve.dependencies.is_empty(), "{name}");
    }
    let problems = Scene::file("graph.preset = 'polymec'").bad();
    assert!(problems.contains("unknown preset; known: job-readiness"), "{problems}");
}

#[test]
fn each_layer_lies_above_the_one_before() {
    let origin_and_value = |scene: &Scene| {
        let shown = show(&scene.sources);
        let found = shown.into_iter().find(|(key, ..)| key == "mirrors.burst").unwrap();
        (scene.good().deliver.peers.first().map(|peer| peer.burst), found.2)
    };
    let expect = |scene: &Scene, burst, origin: &str| {
        assert_eq!(origin_and_value(scene), (Some(burst), origin.to_owned()));
    };
    let scene = Scene::new().and_flag("mirrors.urls", "a.org");
    expect(&scene, 20, "default");
    let scene = scene.and_file("mirrors.burst = 1");
    expect(&scene, 1, "config/cache-mirror.toml");
    let scene = scene.and_dot_env("CACHE_MIRROR__MIRRORS__BURST=2\n");
    expect(&scene, 2, ".env CACHE_MIRROR__MIRRORS__BURST");
    let scene = scene.and_env(&[("CACHE_MIRROR__MIRRORS__BURST", "3")]);
    expect(&scene, 3, "environment CACHE_MIRROR__MIRRORS__BURST");
    let mut scene = scene.and_flag("mirrors.burst", "4");
    expect(&scene, 4, "flag");
    scene.sources.overrides.retain(|(key, _)| key != "mirrors.burst");
    scene.sources.env.clear();
    scene.sources.is_isolated = true;
    expect(&scene, 20, "default");
}

#[test]
fn a_preset_lies_below_the_users_graph_entry_by_entry() {
    let settings = Scene::file(
        "graph.preset = 'polymech'\n[dependencies]\nposts = ['tags']\n[aliases]\narticle = 'posts'",
    )
    .good();
    assert_eq!(settings.resolve.dependencies["posts"], ["tags"]);
    assert_eq!(settings.resolve.dependencies["categories"], ["types"]);
    assert_eq!(settings.resolve.aliases["article"], "posts");
}

#[test]
fn a_named_file_must_be_there_and_replaces_the_usual_one() {
    let mut scene =
        Scene::file("instance.name = 'usual'").write("own.toml", "instance.name = 'own'");
    scene.sources.file = Some("own.toml".into());
    assert_eq!(scene.good().instance.name, "own");
    scene.sources.file = Some("absent.toml".into());
    let problems = scene.bad();
    assert!(
        problems.contains("--config = \"absent.toml\" (flag): expected a readable"),
        "{problems}"
    );
}

#[test]
fn variables_are_read_by_the_type_of_their_key() {
    let settings = Scene::env(&[
        ("CACHE_MIRROR__INSTANCE__NAME", "eu-1"),
        ("CACHE_MIRROR__STORE__MAX_BYTES", " 2048 "),
        ("CACHE_MIRROR__MIRRORS__RATE_PER_SECOND", "2"),
        ("CACHE_MIRROR__STREAM__PUBLIC", "1"),
        ("CACHE_MIRROR__GRAPH__STRICT_TYPES", "True"),
        ("CACHE_MIRROR__AUTH__ADMIN_ROLES", "ADMIN, , OWNER,"),
        ("CACHE_MIRROR__AUTH__EDITOR_ROLES", "[\"A,B\", 'C']"),
        ("CACHE_MIRROR__MIRRORS__URLS", "[::1]:4400,a.org"),
        ("CACHE_MIRROR__MIRRORS__PEERS", "[{url = 'b.org', burst = 3}]"),
        ("CACHE_MIRROR__DEPENDENCIES", "{posts = ['pictures']}"),
        ("CACHE_MIRROR__DEPENDENCIES__FEED", "posts,pages"),
        ("CACHE_MIRROR__ALIASES__ARTICLE", "posts"),
        ("CACHE_MIRROR__LOG__LEVEL", ""),
    ])
    .good();
    assert_eq!(settings.instance.name, "eu-1");
    assert_eq!(settings.store.bytes_max, 2048);
    assert!(settings.announce.is_public && settings.resolve.is_strict);
    assert_eq!(settings.gate.admin_roles, ["ADMIN", "OWNER"]);
    assert_eq!(settings.gate.editor_roles, ["A,B", "C"]);
    let names: Vec<String> = settings.deliver.peers.iter().map(|peer| peer.name.clone()).collect();
    assert_eq!(names, ["[::1]:4400", "a.org", "b.org"]);
    assert_eq!(settings.deliver.peers[1].rate_per_second, 2.0);
    assert_eq!(settings.resolve.dependencies["posts"], ["pictures"]);
    assert_eq!(settings.resolve.dependencies["feed"], ["posts", "pages"]);
    assert_eq!(settings.resolve.aliases["article"], "posts");
    assert_eq!(settings.log.level, crate::activity::Level::Info);
}

#[test]
fn plain_names_work_and_explicit_ones_win() {
    let scene = Scene::env(&[
        ("CACHE_MIRRORS", "a.org b.org,\n c.org"),
        ("CACHE_MIRROR_TOKEN", "plain-plain-plain"),
        ("SERVICE_EMAIL", "mirror@example.org"),
        ("SERVICE_PASSWORD", "swordfish"),
        ("PORT", "8080"),
        ("NEXT_REVALIDATE_URL", "not judged yet"),
        ("CACHE_MIRROR_PORT", "tcp://10.0.0.1:4400"),
        ("CACHE_MIRROR_URL", "http://x"),
    ]);
    let settings = scene.good();
    assert_eq!(settings.deliver.peers.len(), 3);
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.gate.admin_tokens[0].expose(), "plain-plain-plain");
    let settings = scene
        .and_env(&[
            ("CACHE_MIRROR__MIRRORS__URLS", "d.org"),
            ("CACHE_MIRROR__CONTROL__LISTEN", "[::1]:9"),
            ("CACHE_MIRROR__AUTH__ADMIN_TOKEN", "explicit-explicit"),
        ])
        .good();
    assert_eq!(settings.deliver.peers[0].name, "d.org");
    assert_eq!(settings.server.listen.to_string(), "[::1]:9");
    assert_eq!(settings.gate.admin_tokens[0].expose(), "explicit-explicit");
    let scene = Scene::file("control.listen = '[::]:1'\nauth.allow = ['::1']");
    assert_eq!(scene.and_env(&[("PORT", "0")]).good().server.listen.to_string(), "[::]:0");
    let problems = Scene::env(&[("PORT", "tcp://x")]).bad();
    assert!(problems.contains("control.listen = \"tcp://x\" (environment PORT): expected a port"));
}

#[test]
fn secrets_may_lie_in_files() {
    let scene = Scene::file("auth.jwt_secret_file = 'jwt'")
        .write("jwt", &format!("{}\n", "j".repeat(32)))
        .write("token", "t-t-t-t-t-t-t-t-t\r\n")
        .write("password", "two words \n\n")
        .write("previous", &"p".repeat(32))
        .and_env(&[
            ("CACHE_MIRROR_TOKEN_FILE", "token"),
            ("SERVICE_EMAIL", "m@example.org"),
            ("SERVICE_PASSWORD_FILE", "password"),
            ("CACHE_MIRROR__AUTH__JWT_SECRET_PREVIOUS_FILE", "previous"),
            ("CACHE_MIRRORS", "a.org"),
        ]);
    let settings = scene.good();
    assert_eq!(settings.gate.admin_tokens[0].expose(), "t-t-t-t-t-t-t-t-t");
    let keys: Vec<&str> =
        settings.gate.jwt_secrets.iter().map(crate::support::secret::Secret::expose).collect();
    assert_eq!(keys, ["j".repeat(32), "p".repeat(32)]);
    let login = settings.deliver.peers[0].login.credentials.clone().unwrap();
    assert_eq!(login.password.expose(), "two words ");
    for (name, path, expected) in [
        ("CACHE_MIRROR_TOKEN_FILE", "absent", "expected a readable file"),
        ("CACHE_MIRROR_TOKEN_FILE", "empty", "the file is empty"),
        ("CACHE_MIRROR_TOKEN_FILE", "/dev/zero", "larger than"),
        ("CACHE_MIRROR_TOKEN", "t-t-t-t-t-t-t-t-t", "set as well"),
    ] {
        let scene = Scene::env(&[("CACHE_MIRROR_TOKEN_FILE", "token"), (name, path)])
            .write("token", "t-t-t-t-t-t-t-t-t")
            .write("empty", "\n");
        let problems = scene.bad();
        assert!(problems.contains(expected), "{name}={path}: {problems}");
        assert!(!problems.contains("t-t-t"), "{problems}");
    }
}

#[test]
fn dot_env_is_read_only_where_we_stand_and_its_errors_show_no_line() {
    let scene = Scene::new().and_dot_env(
        "\u{feff}# ours\nexport CACHE_MIRRORS='a.org b.org'\n\nCACHE_MIRROR__STORE__TTL_S=81  \n\
         SERVICE_EMAIL=m@x.org # me",
    );
    let settings = scene.good();
    assert_eq!(settings.deliver.peers.len(), 2);
    assert_eq!(settings.store.ttl.as_secs(), 81);
    assert_eq!(settings.gate.service_emails, ["m@x.org"]);

    let problems =
        Scene::new().and_dot_env("A='1\n2'\nSERVICE_PASSWORD hunter2\nPORT=5\nB=\"hunter2\n").bad();
    assert!(problems.starts_with("config: line 3 (.env): expected NAME=value"), "{problems}");
    assert!(problems.contains("line 5 (.env)") && !problems.contains("hunter2"), "{problems}");
}

/// A shared `.env` belongs to the application: its port is not ours.
#[test]
fn port_moves_the_listener_from_the_environment_only() {
    let scene = Scene::new().and_dot_env("PORT=3000\n");
    let settings = scene.good();
    assert_eq!(settings.server.listen.port(), 4400);
    assert!(settings.warnings.iter().any(|text| text.starts_with("PORT in .env")));
    let scene = scene.and_env(&[("PORT", "8080")]);
    assert_eq!(scene.good().server.listen.port(), 8080);
    assert!(!scene.good().warnings.iter().any(|text| text.starts_with("PORT in .env")));
}

#[test]
fn a_variable_that_is_nearly_ours_is_named() {
    for (name, meant) in [
        ("CACHE_MIRROR_CONTROL_LISTEN", "CACHE_MIRROR__CONTROL__LISTEN"),
        ("CACHE_MIRROR_CONTROL__LISTEN", "CACHE_MIRROR__CONTROL__LISTEN"),
        ("CACHE_MIRROR_STORE_MAX_BYTES", "CACHE_MIRROR__STORE__MAX_BYTES"),
        ("CACHE_MIRROR_MIRRORS_URLS", "CACHE_MIRROR__MIRRORS__URLS"),
        ("CACHE_MIROR_TOKEN", "CACHE_MIRROR_TOKEN"),
        ("CACHE_MIRRORS_", "CACHE_MIRRORS"),
        ("SERVICE_EMAILS", "SERVICE_EMAIL"),
        ("CACHE_MIRROR_URLS", "CACHE_MIRROR_URL"),
    ] {
        let expected = format!("{name} is not read: did you mean {meant}?");
        assert!(Scene::env(&[(name, "x")]).good().warnings.contains(&expected), "{name}");
        let scene = Scene::new().and_dot_env(&format!("{name}=x\n"));
        assert!(scene.good().warnings.contains(&expected), "{name} in .env");
    }
    for name in [
        "CACHE_MIRROR_PORT",
        "CACHE_MIRROR_SERVICE_HOST",
        "CACHE_MIRROR_PORT_4400_TCP_ADDR",
        "DATABASE_URL",
        "PORTS",
        "NEXT_PUBLIC_API_URL",
    ] {
        let warnings = Scene::env(&[(name, "tcp://x")]).good().warnings;
        assert!(!warnings.iter().any(|text| text.contains("is not read")), "{name}: {warnings:?}");
    }
}

/// Expansion would shorten a secret silently, and empty a bcrypt hash.
#[test]
fn a_dollar_in_dot_env_is_kept_and_named_where_other_tools_expand_it() {
    let scene = Scene::new().and_dot_env(
        "REVALIDATE_SECRET=s3cret$value-and-enough-characters\nSERVICE_EMAIL=m@x.org\n\
         SERVICE_PASSWORD='pa$word'\nUNRELATED=${HOME}\n",
    );
    let settings = scene.good();
    let secrets = &settings.gate.revalidate_secrets;
    assert!(secrets.iter().any(|it| it.expose() == "s3cret$value-and-enough-characters"));
    let named: Vec<_> = settings.warnings.iter().filter(|text| text.contains("\"$\"")).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with(".env REVALIDATE_SECRET") && !named[0].contains("s3cret"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let scene = Scene::new()
        .write("config/cache-mirror.toml", "\u{feff}mirrors.burst = 7\n")
        .write("secret", "\u{feff}t-t-t-t-t-t-t-t-t-t-t-t-t-t-t-t\n")
        .and_env(&[("CACHE_MIRROR_TOKEN_FILE", "secret")]);
    let settings = scene.good();
    let token = &settings.gate.admin_tokens[0];
    assert_eq!(token.expose(), "t-t-t-t-t-t-t-t-t-t-t-t-t-t-t-t");
    let shown = crate::config::show(&scene.sources);
    assert!(shown.contains(&(
        "mirrors.burst".into(),
        "7".into(),
        "config/cache-mirror.toml".into()
    )));
}

#[test]
fn a_misspelt_key_is_told_the_nearest_one_wherever_it_stands() {
    for key in schema::keys() {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let misspelt = format!("{name}x").replacen('_', "", 1);
        let misspelt = if section.is_empty() { misspelt } else { format!("{section}.{misspelt}") };
        let expected = format!("did you mean {key}?");
        for scene in
            [Scene::new().and_flag(&misspelt, "5"), Scene::file(&format!("{misspelt} = 5"))]
        {
            let problems = scene.bad();
            assert!(problems.contains("unknown key") && problems.contains(&expected), "{problems}");
        }
    }
    let scene = Scene::file("mirrors.rate_per_secnd = 5");
    assert_eq!(
        scene.bad(),
        "config: mirrors.rate_per_secnd = 5 (config/cache-mirror.toml): unknown key; did you mean \
         mirrors.rate_per_second?\n"
    );
    for (toml, expected) in [
        ("[mirror]\nurls = ['a.org']", "did you mean mirrors.urls?"),
        ("rate_per_second = 1", "did you mean mirrors.rate_per_second?"),
        ("[wholly_else]", "wholly_else"),
        ("[wholly.else]\nentirely = 1", "wholly.else.entirely = 1 (config"),
        ("mirrors = 5", "mirrors = 5 (config/cache-mirror.toml): expected a table"),
    ] {
        let problems = Scene::file(toml).bad();
        assert!(problems.contains(expected), "{toml}: {problems}");
    }
    let problems = Scene::env(&[("CACHE_MIRROR__MIRORS__URLS", "x")]).bad();
    assert!(problems.contains("mirors.urls"), "{problems}");
    assert!(problems.contains("environment CACHE_MIRROR__MIRORS__URLS"), "{problems}");
}

#[test]
fn a_wrong_type_is_told_the_right_one() {
    for (toml, expected) in [
        ("instance.name = 5", "instance.name = 5 (config/cache-mirror.toml): expected a string"),
        (
            "store.ttl_s = '5'",
            "store.ttl_s = \"5\" (config/cache-mirror.toml): expected an integer",
        ),
        ("store.ttl_s = 5.5", "expected an integer"),
        ("mirrors.rate_per_second = '5'", "expected a number"),
        ("stream.public = 1", "expected true or false"),
        ("mirrors.urls = 'a.org'", "expected a list of strings"),
        ("mirrors.urls = [1]", "expected a list of strings"),
        ("mirrors.peers = ['a.org']", "expected an array of tables"),
        ("mirrors.peers = {}", "expected an array of tables"),
        ("dependencies = 5", "expected a table"),
        ("dependencies.posts = 'pages'", "expected a list of strings"),
        ("aliases.posts = ['pages']", "expected a string"),
        ("store.ttl_s = 1979-05-27", "expected an integer"),
        ("store.ttl_s = {a = 1}", "store.ttl_s"),
    ] {
        let problems = Scene::file(toml).bad();
        assert!(problems.contains(expected), "{toml}: {problems}");
    }
    for (key, text, expected) in [
        ("store.ttl_s", "5s", "expected an integer"),
        ("store.ttl_s", "", "expected an integer"),
        ("mirrors.rate_per_second", "fast", "expected a number"),
        ("mirrors.rate_per_second", "nan", "expected a number from"),
        ("stream.public", "yes please", "expected true or false"),
        ("mirrors.peers", "[{url=", "expected an array of tables"),
        ("mirrors.urls", "['a.org'", "expected a list of strings"),
    ] {
        let problems = Scene::new().and_flag(key, text).bad();
        assert!(problems.contains(expected), "{key}={text}: {problems}");
    }
}

#[test]
fn all_problems_are_told_at_once_also_in_layers_that_are_overridden() {
    let problems = Scene::file("store.ttl_s = 'x'\nstore.bans_max = 0\nnonsense = 1")
        .and_dot_env("CACHE_MIRROR__STORE__TTL_S=x\n")
        .and_env(&[
            ("CACHE_MIRROR__STORE__TTL_S", "5"),
            ("CACHE_MIRRORS", "ftp://a.org"),
            ("PORT", "x"),
        ])
        .and_flag("log.level", "loud")
        .bad();
    for expected in ["store.ttl_s", "bans_max = 0", "nonsense", "PORT", "mirrors.urls", "log.level"]
    {
        assert!(problems.contains(expected), "{expected} in {problems}");
    }
    assert_eq!(problems.lines().count(), 7, "{problems}");
}

#[test]
fn no_error_and_no_listing_shows_a_secret() {
    const SECRET: &str = "hunter2";
    let hidden = |problems: String| assert!(!problems.contains(SECRET), "{problems}");
    for toml in [
        "auth.admin_token = 'hunter2'",
        "auth.jwt_secret = 'hunter2'",
        "auth.jwt_secret = ['hunter2']",
        "auth.jwt_secret = {a = 'hunter2'}",
        "auth.admin_tokn = 'hunter2'",
        "auth = 'hunter2'",
        "admin_token = 'hunter2'",
        "[auth.admin]\ntoken = 'hunter2'",
        "auth.admin_token = 'hunter2",
        "auth.admin_token = \"hunter2\nx",
        "mirrors.login = 'me:hunter2'",
        "mirrors.peers = 'https://me:hunter2@a.org'",
        "mirrors.peers = ['https://me:hunter2@a.org']",
        "mirrors.login.url = 'https://me:hunter2@a.org/login'",
        "mirrors.login.body = '{\"apikey\":\"hunter2\"'",
        "[[auth.service_accounts]]\nemail = 'x'\npassword_hash = 'hunter2'",
        "[[auth.service_accounts]]\nemail = 'x'\npassword = 'hunter2'",
        "revalidate.secret = ['hunter2']",
        "[[revalidate.targets]]\nurl = 'https://me:hunter2@a.org'\nsecret = 'hunter2'",
    ] {
        hidden(Scene::file(toml).bad());
    }
    for (name, text) in [
        ("CACHE_MIRROR_TOKEN", "hunter2"),
        ("CACHE_MIRROR__AUTH__JWT_SECRT", "hunter2"),
        ("CACHE_MIRROR__MIRRORS__PEERS", "[{url='a.org', password='hunter2'"),
        ("CACHE_MIRROR__MIRRORS__PEERS", "[{url='a.org', password='hunter2'}]"),
    ] {
        hidden(Scene::env(&[(name, text)]).bad());
    }
    let scene = Scene::file(
        r#"
        auth.jwt_secret = "hunter2hunter2hunter2hunter2hunter2"
        mirrors.login.body = '{"apikey":"hunter2","e":{email},"p":{password}}'
        [[mirrors.peers]]
        url = "a.org"
        email = "me"
        password = "hunter2"
        "#,
    )
    .and_env(&[("SERVICE_EMAIL", "m@x.org"), ("SERVICE_PASSWORD", SECRET)]);
    let settings = scene.good();
    hidden(format!("{:?} {:?}", settings.gate, settings.deliver.peers[0].login.credentials));
    hidden(format!("{:?}", show(&scene.sources)));
    let listed: BTreeMap<String, (String, String)> =
        show(&scene.sources).into_iter().map(|(key, value, from)| (key, (value, from))).collect();
    let line = |key: &str| (listed[key].0.as_str(), listed[key].1.as_str());
    assert_eq!(line("auth.jwt_secret"), ("***", FILE));
    assert_eq!(line("auth.admin_token"), ("\"\"", "default"));
    assert_eq!(line("mirrors.login.password"), ("***", "environment SERVICE_PASSWORD"));
    assert!(listed["mirrors.peers"].0.contains("url = \"a.org\""), "{:?}", listed["mirrors.peers"]);
    let is_map = |key: &&str| schema::kind(key) == Some(schema::Kind::Map);
    let keys = schema::keys().filter(|key| !is_map(key)).count();
    assert_eq!(listed.len(), keys, "all but the free maps");
}

#[test]
fn wrong_fields_of_tables_are_listed_and_masked() {
    let scene = Scene::file(
        "[[mirrors.peers]]\nurl = 'a.org'\nburst = 'many'\npasword = 'hunter2'\npassword = 7",
    );
    let problems = scene.bad();
    for key in ["peers[0].burst", "peers[0].pasword", "peers[0].password"] {
        assert_eq!(problems.matches(&format!("mirrors.{key} =")).count(), 1, "{key} in {problems}");
    }
    let listed = show(&scene.sources);
    let (_, peers, _) = listed.iter().find(|(key, ..)| key == "mirrors.peers").expect("the peers");
    for field in ["url = \"a.org\"", "burst = \"many\"", "password = ***", "pasword = ***"] {
        assert!(peers.contains(field), "{field} in {peers}");
    }
}

#[test]
fn an_error_is_one_line_whatever_the_value() {
    let problems =
        Scene::env(&[("CACHE_MIRROR__LOG__LEVEL", "a\nb\u{1b}[31m")]).and_flag("x\ny", "1").bad();
    assert_eq!(problems.lines().count(), 2, "{problems}");
    assert!(!problems.contains('\u{1b}'));
    let long = mask::value("log.level", &toml::Value::String("é".repeat(500)));
    assert!(long.chars().count() < 130 && long.ends_with('…'), "{long}");
}
