//! From what is written to what is true: ranges, forms, defaults, generated secrets.
//! Tables where a rule holds for many keys; scenes where a start changes the data directory.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::super::schema;
use super::*;
use crate::deliver::WidenedAll;
use crate::gate::{Password, is_within};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY$\
                    hVRLLTwJ7+0PAqmWlmyJVg2WaNEi6ZrDBqGZsOlSXpc";

#[test]
fn every_number_has_a_range_that_holds_its_default() {
    let is_integer = |key: &&str| schema::default(key).is_some_and(toml::Value::is_integer);
    let integers: Vec<&str> = schema::keys().filter(is_integer).collect();
    assert!(integers.len() > 60, "{integers:?}");
    for key in integers {
        let node = schema::leaf(key).expect("a key");
        let (min, max) = (node["minimum"].as_i64(), node["maximum"].as_i64());
        let (min, max) = min.zip(max).unwrap_or_else(|| panic!("no range of {key}"));
        for bound in [min, max] {
            let settings = load(&Scene::new().and_flag(key, &bound.to_string()).sources);
            let told = settings.err().unwrap_or_default();
            assert!(told.iter().all(|it| it.expected.contains("no more than")), "{told:?}");
        }
        for beyond in [min - 1, max + 1] {
            let problems = Scene::new().and_flag(key, &beyond.to_string()).bad();
            let expected =
                format!("config: {key} = {beyond} (flag): expected an integer from {min} to {max}");
            assert!(problems.contains(&expected), "{problems}");
        }
    }
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let scene = Scene::new();
    let settings = scene.good();
    assert_eq!(settings.instance.data_dir, scene.dir.path().join("data"));
    assert_eq!(settings.journal.dir, settings.instance.data_dir);
    assert_eq!(settings.log.file, scene.dir.path().join("logs/cache.json"));
    assert_eq!(settings.store.ttl, Duration::from_secs(300));
    assert_eq!(settings.store.count_time_max, Duration::from_millis(20));
    assert_eq!(settings.server.wait_time_max, Duration::from_secs(30));
    assert_eq!(settings.deliver.backoff.max, Duration::from_secs(60));
    assert_eq!(settings.deliver.widened_all, WidenedAll::AsMerged);
    assert_eq!(settings.gate.issuer, settings.instance.name);
    assert_eq!(settings.announce.retry, Duration::from_secs(3));
    assert!(
        super::super::types::Name::is_valid(&settings.instance.name),
        "{}",
        settings.instance.name
    );
    assert_eq!(settings.warnings.len(), 1, "no mirrors: {:?}", settings.warnings);
}

#[test]
fn what_no_module_could_use_is_refused() {
    for (key, text, expected) in [
        ("instance.name", "a b", "A-Z a-z"),
        ("instance.name", &"x".repeat(65), "1 to 64"),
        ("instance.name", "../x", "A-Z a-z"),
        ("instance.data_dir", "", "expected a path"),
        ("control.listen", "4400", "an address and a port"),
        ("control.listen", "localhost:4400", "an address and a port"),
        ("control.listen", "127.0.0.1:70000", "an address and a port"),
        ("control.trusted_proxies", "10.0.0.0/33", "expected networks"),
        ("auth.allow", "everybody", "expected networks"),
        ("auth.allow", "fe80::1%eth0", "expected networks without a zone"),
        ("control.trusted_proxies", "fe80::/10%25eth0", "expected networks without a zone"),
        ("auth.audience", "", "not empty"),
        ("auth.role_claim", "role", "JSON pointer"),
        ("auth.admin_token", "fifteen-letters", "at least 16 bytes"),
        ("auth.admin_token_previous", "short", "at least 16 bytes"),
        ("auth.admin_token", "line one is long\nline two", "control characters"),
        ("auth.jwt_secret", "thirty-one-letters-are-too-few-", "at least 32 bytes"),
        ("auth.jwt_secret_previous", "short", "at least 32 bytes"),
        ("store.ttl_s", "604801", "no more than store.ttl_s_max"),
        ("mirrors.backoff_ms_min", "60001", "no more than mirrors.backoff_ms_max"),
        ("mirrors.echo_ms_max", "1", "no more than mirrors.echo_ms_max"),
        ("mirrors.rate_per_second", "0", "expected a number from"),
        ("mirrors.rate_per_second", "-1", "expected a number from"),
        ("mirrors.rate_per_second", "inf", "expected a number from"),
        ("mirrors.widened_all", "maybe", "as-merged, hard or soft"),
        ("mirrors.login.url", "login", "a path that begins with /"),
        ("mirrors.login.url", "//evil.org/login", "a path that begins with /"),
        ("mirrors.login.url", "/log in", "a path that begins with /"),
        ("mirrors.login.url", "http://idp.org/token", "http only to loopback"),
        ("mirrors.login.url", "https://169.254.169.254/token", "metadata"),
        ("mirrors.login.body", "{email}:{password}", "expected JSON"),
        ("mirrors.login.token_pointer", "", "JSON pointer"),
        ("mirrors.login.expires_pointer", "expires", "JSON pointer"),
        ("alerts.signing_secret", "whsec_short", "secret generate --webhook"),
        ("alerts.webhook", "hooks.example.org/x", "a whole URL"),
        ("alerts.webhook", "http://hooks.example.org/x", "http only to loopback"),
        ("alerts.webhook", "https://169.254.169.254/x", "metadata"),
        ("alerts.webhook", "https://me:pw@hooks.example.org/x", "no user or password"),
        ("alerts.webhook", "https://hooks.example.org/\r\nx", "control characters"),
        ("stream.origins", "example.org", "https://host"),
        ("stream.origins", "https://example.org/app", "https://host"),
        ("log.level", "loud", "trace, debug"),
        ("log.file", "", "expected a path"),
        ("aliases.article", "", "is no type"),
        ("dependencies.posts", "pic tures", "is no type"),
        ("gateway.upstream", "http://127.0.0.1:3000", "not built yet"),
    ] {
        let problems = Scene::new().and_flag(key, text).bad();
        assert!(problems.contains(expected), "{key} = {text}: {problems}");
    }
}

#[test]
fn networks_origins_and_pointers_come_in_one_form() {
    let settings = Scene::file(
        "auth.allow = ['10.0.0.0/8', '::ffff:192.168.0.0/112', 'fd00::1']\n\
         stream.origins = ['https://WWW.example.org:443/', 'http://localhost:3000', '*']\n\
         mirrors.login.expires_pointer = ''\n\
         mirrors.login.url = 'https://idp.example.org/token?grant_type=password'\n\
         mirrors.timeout_ms = 2000",
    )
    .good();
    for (address, expected) in [
        ("10.9.9.9", true),
        ("::ffff:10.9.9.9", true),
        ("192.168.3.4", true),
        ("192.169.0.1", false),
        ("fd00::1", true),
        ("fd00::2", false),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(is_within(address, &settings.gate.allow), expected, "{address}");
    }
    assert_eq!(
        settings.announce.origins,
        ["https://www.example.org", "http://localhost:3000", "*"]
    );
    assert_eq!(settings.deliver.connect_time_max, Duration::from_secs(2), "part of the timeout");
}

#[test]
fn service_accounts_are_the_configured_ones() {
    let account = |email: &str, hash: &str| {
        format!("[[auth.service_accounts]]\nemail = '{email}'\npassword_hash = '{hash}'\n")
    };
    let scene = Scene::file(&account("eu@example.org", HASH))
        .and_env(&[("SERVICE_EMAIL", "own@example.org"), ("SERVICE_PASSWORD", "swordfish")]);
    let gate = scene.good().gate;
    assert_eq!(gate.service_accounts.len(), 1);
    assert!(matches!(&gate.service_accounts[0].password, Password::Hash(hash) if hash == HASH));
    assert_eq!(gate.service_emails, ["own@example.org", "eu@example.org"]);

    for (toml, expected) in [
        (account("", HASH), "expected an account name"),
        (account("a", ""), "argon2id"),
        (account("a", "swordfish"), "argon2id"),
        (account("a", &HASH.replace("argon2id", "argon2i")), "argon2id"),
        (account("a", &HASH.replace("argon2id", "scrypt")), "argon2id"),
        (account("a", &HASH[..HASH.rfind('$').unwrap()]), "argon2id"),
        (account("a", HASH) + &account("A", HASH), "given twice"),
    ] {
        let problems = Scene::file(&toml).bad();
        assert!(problems.contains(expected), "{toml}: {problems}");
    }
}

#[test]
fn an_account_may_have_two_passwords_and_either_may_lie_in_a_file() {
    let scene = Scene::file(
        "[[auth.service_accounts]]\nemail = 'a'\npassword_hash_file = 'new'\n\
         password_hash_previous_file = 'old'",
    )
    .write("new", HASH)
    .write("old", &HASH.replace("m=19456", "m=19457"));
    let gate = scene.good().gate;
    let hashes = gate.service_accounts.iter().map(|account| match &account.password {
        Password::Hash(hash) => hash.contains("m=19456"),
        Password::Plain(_) => panic!("a plain one"),
    });
    assert_eq!(hashes.collect::<Vec<_>>(), [true, false]);
    assert_eq!(gate.service_emails, ["a"]);

    let scene = Scene::env(&[
        ("SERVICE_EMAIL", "own@example.org"),
        ("SERVICE_PASSWORD", "new"),
        ("SERVICE_PASSWORD_PREVIOUS_FILE", "old"),
        ("CACHE_MIRRORS", "a.org"),
    ]);
    let settings = scene.write("old", "old").good();
    let plain = settings.gate.service_accounts.iter().map(|account| match &account.password {
        Password::Plain(password) => password.expose().to_owned(),
        Password::Hash(_) => panic!("a hash"),
    });
    assert_eq!(plain.collect::<Vec<_>>(), ["new", "old"]);
    let login = settings.deliver.peers[0].login.credentials.clone().expect("an account");
    assert_eq!(login.password.expose(), "new", "we ourselves use the new one");
}

#[test]
fn one_env_file_serves_every_instance() {
    let gate = Scene::new()
        .and_dot_env("SERVICE_EMAIL=own@example.org\nSERVICE_PASSWORD=swordfish\n")
        .good()
        .gate;
    assert_eq!(gate.service_accounts[0].email, "own@example.org");
    let Password::Plain(password) = &gate.service_accounts[0].password else { panic!("a hash") };
    assert_eq!(password.expose(), "swordfish");
    assert_eq!(gate.service_emails, ["own@example.org"]);
}

#[test]
fn a_persons_account_logs_in_but_makes_no_peer() {
    let person = [("TEST_EMAIL", "ann@example.org"), ("TEST_PASSWORD", "her own")];
    let scene = Scene::env(&person).and_env(&[("CACHE_MIRRORS", "a.org")]);
    let settings = scene.good();
    let login = settings.deliver.peers[0].login.credentials.clone().unwrap();
    assert_eq!((login.email.as_str(), login.password.expose()), ("ann@example.org", "her own"));
    assert!(settings.gate.service_accounts.is_empty() && settings.gate.service_emails.is_empty());
    let hers = settings.gate.person.expect("she logs in here too");
    assert_eq!((&*hers.email, hers.password.expose()), ("ann@example.org", "her own"));
    assert_eq!(hers.role, "TRAINER");
    assert!(settings.warnings.iter().any(|text| text.contains("TEST_EMAIL")));

    for scene in [
        Scene::env(&person).and_dot_env("SERVICE_EMAIL=own@example.org\nSERVICE_PASSWORD=x\n"),
        Scene::env(&person)
            .and_file("mirrors.login.email='own@example.org'\nmirrors.login.password='x'"),
    ] {
        let settings = scene.and_env(&[("CACHE_MIRRORS", "a.org")]).good();
        let login = settings.deliver.peers[0].login.credentials.clone().unwrap();
        assert_eq!((login.email.as_str(), login.password.expose()), ("own@example.org", "x"));
        assert_eq!(settings.gate.service_emails, ["own@example.org"]);
    }
    let half = Scene::env(&person)
        .and_env(&[("SERVICE_EMAIL", "own@example.org"), ("CACHE_MIRRORS", "a.org")])
        .good();
    assert!(
        half.deliver.peers[0].login.credentials.is_none(),
        "never one's name with another's word"
    );
}

/// Where anything else says who logs in, a person's account of the environment is not added to it.
#[test]
fn a_persons_account_logs_in_here_only_where_nothing_else_says_who_does() {
    let scene = || Scene::env(&[("TEST_EMAIL", "ann@x.org"), ("TEST_PASSWORD", "her own")]);
    let person = |scene: Scene| scene.good().gate.person.map(|person| person.role);
    assert_eq!(person(scene()).as_deref(), Some("TRAINER"));
    let hash = crate::gate::hash_password("x").expect("hashes");
    let account =
        format!("auth.service_accounts = [{{ email = 'm@x.org', password_hash = '{hash}' }}]");
    for other in [
        scene().and_env(&[("SERVICE_EMAIL", "m@x.org"), ("SERVICE_PASSWORD", "x")]),
        scene().and_env(&[("SERVICE_EMAIL", "m@x.org")]),
        scene().and_flag("auth.jwks_url", "https://issuer.example/jwks.json"),
        scene().and_file(&account),
        scene().and_flag("auth.editor_roles", ""),
        scene().and_flag("auth.editor_roles", "ADMIN,service"),
        Scene::env(&[("TEST_EMAIL", "ann@x.org")]),
        Scene::env(&[("TEST_PASSWORD", "her own")]),
    ] {
        assert_eq!(person(other), None);
    }
    let other_roles = scene().and_flag("auth.editor_roles", "ADMIN,writer");
    assert_eq!(person(other_roles).as_deref(), Some("writer"), "never an administrator");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    std::fs::write(&file, "her own\n").expect("writes");
    let file = file.display().to_string();
    let of_file = Scene::env(&[("TEST_EMAIL", "ann@x.org"), ("TEST_PASSWORD_FILE", &file)]);
    let hers = of_file.good().gate.person.expect("the password of the file");
    assert_eq!(hers.password.expose(), "her own");
}

#[test]
fn warnings_are_few_and_useful() {
    let has = |scene: &Scene, part: &str| {
        let warnings = scene.good().warnings;
        for warning in &warnings {
            assert!(warning.contains(" (") && warning.ends_with(')'), "no remedy in {warning:?}");
        }
        warnings.iter().any(|text| text.contains(part))
    };
    assert!(has(&Scene::new(), "no mirrors"));
    let only_called =
        "[[purge.targets]]\nname = 'v'\nkind = 'http'\nhosts = ['http://127.0.0.1:1']";
    assert!(!has(&Scene::file(only_called), "no mirrors"), "something leaves it");
    let scene = Scene::env(&[("CACHE_MIRRORS", "a.org"), ("SERVICE_EMAIL", "m@x.org")]);
    assert!(has(&scene, "no credentials for 1 of 1 mirrors") && has(&scene, "not both"));
    let scene = scene.and_env(&[("SERVICE_PASSWORD", "x")]);
    assert_eq!(scene.good().warnings, [""; 0]);
    let open = Scene::new().and_flag("control.listen", "0.0.0.0:4400");
    assert!(has(&open, "auth.allow is empty"));
    assert!(!has(&open.and_flag("auth.allow", "10.0.0.0/8"), "auth.allow"));
    let dev = Scene::new().and_flag("control.dev", "true");
    assert!(has(&dev, "control.dev is on: a GET") && !has(&dev, "DANGER"));
    let wide = Scene::new()
        .and_flag("control.dev", "true")
        .and_flag("control.listen", "0.0.0.0:4400")
        .and_flag("auth.allow", "10.0.0.0/8");
    assert!(has(&wide, "DANGER: control.dev is on and control.listen is 0.0.0.0:4400"));
    let clear = Scene::new()
        .and_flag("mirrors.urls", "http://10.0.0.7,http://localhost:1")
        .and_flag("mirrors.allow_http", "true");
    assert!(has(&clear, "unencrypted to 10.0.0.7"));
}

#[test]
fn missing_secrets_are_made_once_and_kept() {
    let scene = Scene::new();
    let mut first = scene.good();
    let dir = first.instance.data_dir.clone();
    assert!(first.gate.admin_tokens.is_empty() && !dir.exists(), "loading writes nothing");
    first.complete().unwrap();
    first.complete().unwrap();
    assert_eq!((first.gate.admin_tokens.len(), first.gate.jwt_secrets.len()), (1, 1));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["admin.token", "jwt.secret"]);
    for (name, secret) in
        [("admin.token", &first.gate.admin_tokens[0]), ("jwt.secret", &first.gate.jwt_secrets[0])]
    {
        assert_eq!(mode(&dir.join(name)), 0o600);
        assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), format!("{}\n", secret.expose()));
        assert_eq!(secret.expose().len(), 43, "32 bytes in base64url");
    }
    assert_ne!(first.gate.admin_tokens[0].expose(), first.gate.jwt_secrets[0].expose());
    let mut second = scene.good();
    second.complete().unwrap();
    assert_eq!(second.gate.admin_tokens[0].expose(), first.gate.admin_tokens[0].expose());
    assert_eq!(second.gate.jwt_secrets[0].expose(), first.gate.jwt_secrets[0].expose());
}

#[test]
fn what_is_configured_is_not_made() {
    let scene = Scene::env(&[
        ("CACHE_MIRROR_TOKEN", "configured-configured"),
        ("CACHE_MIRROR__AUTH__ADMIN_TOKEN_PREVIOUS", "previous-previous"),
        ("CACHE_MIRROR__AUTH__JWT_SECRET_PREVIOUS", "previous-previous-previous-previous"),
    ]);
    let mut settings = scene.good();
    settings.complete().unwrap();
    let tokens: Vec<&str> =
        settings.gate.admin_tokens.iter().map(crate::support::secret::Secret::expose).collect();
    assert_eq!(tokens, ["configured-configured", "previous-previous"]);
    assert!(!settings.instance.admin_token_file().exists());
    assert_eq!(
        settings.gate.jwt_secrets.len(),
        2,
        "a new one to sign with, the previous one after it"
    );
    assert!(settings.gate.jwt_secrets[1].expose().starts_with("previous"));
}

#[test]
fn two_starts_at_once_end_up_with_one_secret() {
    let scene = Scene::new();
    let tokens: Vec<String> = std::thread::scope(|threads| {
        let start = || {
            let mut settings = scene.good();
            settings.complete().unwrap();
            settings.gate.admin_tokens[0].expose().to_owned()
        };
        let starts: Vec<_> = (0..8).map(|_| threads.spawn(start)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[test]
fn a_data_directory_of_no_use_is_told() {
    for (path, text, expected) in [
        ("data", "a file", "/data\" (for auth.admin_token): expected a directory that can be made"),
        ("data/admin.token", "\n", "the file is empty"),
        ("data/admin.token", "short", "at least 16 bytes"),
        ("data/jwt.secret", "short and secret", "at least 32 bytes"),
    ] {
        let scene = Scene::new().write(path, text);
        let problem = scene.good().complete().unwrap_err().to_string();
        assert!(problem.contains(expected) && !problem.contains("and secret"), "{problem}");
    }
}

/// The path of a webhook may be all that protects it.
#[test]
fn a_webhook_is_a_secret_that_may_lie_in_a_file() {
    let scene = Scene::file("alerts.webhook_file = 'hook.url'\nalerts.failures = 3")
        .write("hook.url", "https://hooks.example.org/a-secret?x=1\n");
    let settings = scene.good();
    assert_eq!((settings.alerts.failures, settings.metrics_every), (3, Duration::from_secs(300)));
    assert!(settings.alerts.webhook.is_some());
    let shown = format!("{:?} {settings:?}", show(&scene.sources));
    assert!(!shown.contains("a-secret"), "{shown}");
    let bad = Scene::new().and_flag("alerts.webhook", "ftp://hooks.example.org/a-secret").bad();
    assert!(bad.contains("alerts.webhook = ***") && !bad.contains("a-secret"), "{bad}");
}
