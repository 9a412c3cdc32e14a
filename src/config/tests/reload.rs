//! Reading again: what changes now, what waits for a restart, and what of it is shown.

use super::*;

impl Scene {
    fn again(&self, running: &Settings) -> Reload {
        reload(&self.sources, running).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    }
}

fn running(scene: &Scene) -> Settings {
    let mut settings = scene.good();
    settings.complete().unwrap();
    settings
}

#[test]
fn nothing_changes_where_nothing_changed() {
    let scene = Scene::file("[mirrors]\nurls = [\"b.example\"]\n");
    let running = running(&scene);
    let again = scene.again(&running);
    assert!(again.changed.is_empty() && again.needs_restart.is_empty(), "{again:?}");
    assert_eq!(again.settings.gate.admin_tokens, running.gate.admin_tokens, "the generated one");
}

#[test]
fn a_key_that_needs_a_restart_keeps_its_value_and_others_do_not_take_the_new_one() {
    let scene = Scene::file("[instance]\nname = \"a\"\n[graph]\npreset = \"polymech\"\n");
    let running = running(&scene);
    let scene = scene.and_file(
        "[instance]\nname = \"b\"\ndata_dir = \"elsewhere\"\n[control]\nlisten = \"127.0.0.1:1\"\n\
         trusted_proxies = [\"10.0.0.1\"]\n[journal]\nevents_kept = 5000\n[limits]\nburst = 9\n",
    );
    let again = scene.again(&running);
    let waits = ["control.listen", "instance.data_dir", "instance.name", "journal.events_kept"];
    assert_eq!(again.needs_restart, waits);
    assert!(again.changed.contains(&"control.trusted_proxies".to_owned()), "{:?}", again.changed);
    assert!(again.changed.contains(&"graph.preset".to_owned()), "{:?}", again.changed);
    assert!(again.changed.contains(&"limits.burst".to_owned()), "{:?}", again.changed);
    let (old, new) = (&running, &again.settings);
    assert_eq!((&new.gate.issuer, &new.instance.name), (&"a".to_owned(), &"a".to_owned()));
    assert_eq!(
        (new.journal.dir.as_path(), new.server.listen),
        (old.journal.dir.as_path(), old.server.listen)
    );
    assert_eq!(new.gate.burst, 9);
    assert!(new.resolve.dependencies.is_empty(), "the preset is gone");
    assert!(!scene.dir.path().join("elsewhere").exists(), "nothing is made there");
    // The next reading still says so.
    assert_eq!(scene.again(new).needs_restart, waits);
}

/// Also what only a restart would use must be good, and a problem anywhere stops all of it.
#[test]
fn what_a_restart_would_refuse_is_refused_now() {
    let scene = Scene::file("");
    let running = running(&scene);
    let scene =
        scene.and_file("[limits]\nburst = 9\n[store]\nttl_s = 900000\nttl_s_max = 800000\n");
    let problems = reload(&scene.sources, &running).expect_err("no good");
    assert!(shown(&problems).contains("expected no more than store.ttl_s_max"), "{problems:?}");
}

#[test]
fn secrets_in_files_are_read_again_and_shown_nowhere() {
    let scene = Scene::file(
        "[mirrors]\n[[mirrors.peers]]\nurl = \"b.example\"\nemail = \"m@x\"\npassword_file = \
         \"peer.secret\"\n[auth]\nadmin_token_file = \"admin.secret\"\n",
    )
    .write("peer.secret", "first-of-the-peer")
    .write("admin.secret", "first-of-the-admin");
    let running = running(&scene);
    let scene = scene.write("peer.secret", "second-of-the-peer");
    let again = scene.again(&running);
    assert_eq!(again.changed, ["mirrors.peers"]);
    let login = again.settings.deliver.peers[0].login.credentials.clone().unwrap();
    assert!(login.password.matches("second-of-the-peer"));
    let scene = scene.write("admin.secret", "second-of-the-admin");
    let again = scene.again(&again.settings);
    assert_eq!(again.changed, ["auth.admin_token"]);
    assert!(!format!("{again:?}").contains("-of-the-"), "{again:?}");
}

#[test]
fn the_file_in_use_is_watched_unless_told_otherwise() {
    assert_eq!(Scene::new().good().instance.watched, None);
    let scene = Scene::file("");
    let watched = scene.good().instance.watched.unwrap();
    assert_eq!(watched.path, scene.dir.path().join(FILE));
    assert_eq!(watched.seen, look(&watched.path));
    let scene = scene.and_flag("instance.watch_config", "false");
    assert_eq!(scene.good().instance.watched, None);
}

/// A data directory that is away, or came back empty, changes no secret that is in use.
#[test]
fn generated_secrets_outlive_their_files_and_are_written_again() {
    let scene = Scene::file("");
    let before = running(&scene);
    let dir = before.instance.data_dir.clone();
    let secrets = |settings: &Settings| {
        let gate = &settings.gate;
        (gate.admin_tokens.clone(), gate.jwt_secrets.clone())
    };
    fs::remove_dir_all(&dir).unwrap();
    let away = scene.again(&before);
    assert_eq!(secrets(&away.settings), secrets(&before));
    assert!(away.changed.is_empty() && !dir.exists(), "{away:?}");
    assert!(before.held().write_back().is_err(), "what is missing may be a mount");
    fs::create_dir(&dir).unwrap();
    let again = scene.again(&away.settings);
    assert_eq!(secrets(&again.settings), secrets(&before));
    let held = again.settings.held();
    assert_eq!(held.write_back().unwrap(), ["admin.token", "jwt.secret"]);
    assert_eq!(held.write_back().unwrap(), [""; 0], "what is there is left alone");
    assert_eq!(secrets(&running(&scene)), secrets(&before), "as a restart reads them");
    let shown = format!("{held:?}");
    assert!(!shown.contains(before.gate.admin_tokens[0].expose()), "{shown}");
    // A secret that is configured now is no business of the data directory.
    let scene = scene.and_file("auth.admin_token = 'configured-configured'\n");
    let configured = scene.again(&again.settings).settings;
    fs::remove_file(dir.join("admin.token")).unwrap();
    assert_eq!(configured.held().write_back().unwrap(), [""; 0]);
}

/// A secret that is being written anew is empty for a moment; the one in use stays.
#[test]
fn a_secret_file_caught_empty_is_refused() {
    let secret = "a-secret-in-a-file-0123456789-0123456789";
    for (key, file) in [("admin_token_file", "token"), ("jwt_secret_file", "key")] {
        let mut scene = Scene::file(&format!("[auth]\n{key} = '{file}'\n")).write(file, secret);
        let before = running(&scene);
        for text in ["", "\n", "\r\n\n"] {
            scene = scene.write(file, text);
            let problems = reload(&scene.sources, &before).expect_err("no good");
            let told = shown(&problems);
            assert!(told.contains(key) && told.contains("the file is empty"), "{told}");
        }
    }
}
