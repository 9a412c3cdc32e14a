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
