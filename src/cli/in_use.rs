//! Settings for tokens: those found here, and what the instance of the data directory goes by.
//!
//! A token is worth something where an instance accepts it. So where the instance uses other values
//! than the settings of this shell, its values are used and named on stderr. Flags of the command
//! that contradict it are an error for a command that makes a token, and a warning for one that
//! inspects a token.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::client::Client;
use super::connect::server;
use super::health::local;
use super::settings::SettingsArgs;
use super::{Exit, print};
use crate::config::{InUse, Settings};
use crate::support::Secret;

/// What the command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Makes a token.
    Making,
    /// Looks into one.
    Looking,
}

/// One value that decides about tokens.
struct Value<'a> {
    /// Its key, and the other keys that it may come from.
    keys: &'a [&'a str],
    here: String,
    there: String,
}

/// The settings with the secrets that an instance made here before, and with what the instance of
/// the data directory goes by.
///
/// # Errors
/// As of loading; [`Exit::Config`] where a token made by these settings would not be accepted.
pub fn recalled(args: &SettingsArgs, what: For) -> Result<Settings, Exit> {
    let mut settings = args.settings()?;
    settings.recall().map_err(|problem| Exit::Config(vec![problem.to_string()]))?;
    let dir = settings.instance.data_dir.clone();
    match InUse::read(&dir) {
        Ok(None) => {}
        Ok(Some(instance)) => adopt(&mut settings, &instance, (args, &dir), what)?,
        Err(why) => print::talk(format_args!(
            "{}: cannot be read ({}): what the instance goes by is not known, the settings here \
             are used",
            print::safe(&InUse::file(&dir).display().to_string()),
            print::safe(&why)
        )),
    }
    Ok(settings)
}

/// Refuses a token that the instance which listens where these settings say would refuse. It has
/// another data directory: in this one no instance has recorded what it uses. If a flag names the
/// issuer or the audience, the token may be for another instance, and no instance is asked.
///
/// # Errors
/// [`Exit::Config`] where something answers there, and it is a 401.
pub async fn tried(settings: &Settings, args: &SettingsArgs, token: &str) -> Result<(), Exit> {
    let is_named = ["auth.issuer", "auth.audience"].iter().any(|key| is_set(args, key));
    let is_known = InUse::read(&settings.instance.data_dir) != Ok(None);
    if is_named || is_known || settings.server.listen.port() == 0 {
        return Ok(());
    }
    let base = server(&local(Some(settings.server.listen)))?;
    let client = Client::new(base, Some(Secret::new(token)), Duration::ZERO)?;
    let request = client.request(Method::GET, "/api/cache/stats")?;
    match client.send(request).await {
        Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
            let dir = settings.instance.data_dir.display().to_string();
            Err(Exit::Config(vec![format!(
                "auth.issuer: the instance at {} refuses a token of {:?}, and it does not run in \
                 {}: give instance.data_dir, auth.issuer or the key as the instance has them",
                client.server(),
                print::safe(&settings.gate.issuer),
                print::safe(&dir)
            )]))
        }
        // Nobody is there, or the token holds.
        _ => Ok(()),
    }
}

fn adopt(
    settings: &mut Settings,
    instance: &InUse,
    (args, dir): (&SettingsArgs, &Path),
    what: For,
) -> Result<(), Exit> {
    let gate = &mut settings.gate;
    let list = |roles: &[String]| roles.join(",");
    let whose = format!("the instance of {}", print::safe(&dir.display().to_string()));
    for Value { keys, here, there } in [
        value(&["auth.issuer", "instance.name"], &gate.issuer, &instance.issuer),
        value(&["auth.audience"], &gate.audience, &instance.audience),
        value(&["auth.role_claim"], &gate.role_claim, &instance.role_claim),
        value(&["auth.admin_roles"], &list(&gate.admin_roles), &list(&instance.admin_roles)),
        value(&["auth.editor_roles"], &list(&gate.editor_roles), &list(&instance.editor_roles)),
    ] {
        if here == there {
            continue;
        }
        let (key, here, there) = (keys[0], print::safe(&here), print::safe(&there));
        let flag = keys.iter().find(|key| is_set(args, key));
        match (flag, what) {
            (Some(flag), For::Making) => {
                return Err(Exit::Config(vec![format!(
                    "--set {flag}: {whose} goes by {key} = {there:?} and would refuse a token of \
                     {here:?}: leave the flag away, or start the instance with it first"
                )]));
            }
            (Some(_), For::Looking) => print::talk(format_args!(
                "{key}: {here:?} by the flags; {whose} uses {there:?} to check tokens"
            )),
            (None, _) => {
                print::talk(format_args!(
                    "{key}: {there:?} as {whose} has it; the settings here have {here:?}"
                ));
                match key {
                    "auth.issuer" => gate.issuer.clone_from(&instance.issuer),
                    "auth.audience" => gate.audience.clone_from(&instance.audience),
                    "auth.role_claim" => gate.role_claim.clone_from(&instance.role_claim),
                    "auth.admin_roles" => gate.admin_roles.clone_from(&instance.admin_roles),
                    _ => gate.editor_roles.clone_from(&instance.editor_roles),
                }
            }
        }
    }
    adopt_keys(settings, instance, (args, &whose), what)
}

/// Leaves the keys that the instance knows.
fn adopt_keys(
    settings: &mut Settings,
    instance: &InUse,
    (args, whose): (&SettingsArgs, &str),
    what: For,
) -> Result<(), Exit> {
    let here = settings.gate.key_names();
    if here.iter().all(|key| instance.keys.contains(key)) {
        return Ok(());
    }
    let is_flag = ["auth.jwt_secret", "auth.signing_key"].iter().any(|key| {
        ["", "_file", "_previous", "_previous_file"]
            .iter()
            .any(|end| is_set(args, &format!("{key}{end}")))
    });
    if !(is_flag && what == For::Looking) {
        settings.gate.keep_keys(&instance.keys);
    }
    let is_left = !settings.gate.key_names().is_empty();
    if what == For::Making && (is_flag || !is_left) {
        return Err(Exit::Config(vec![format!(
            "auth.jwt_secret, auth.signing_key: {whose} does not know the key that signs here and \
             would refuse the token: give the command the key of the instance"
        )]));
    }
    print::talk(format_args!(
        "auth.jwt_secret, auth.signing_key: {whose} does not know every key of the settings here{}",
        if is_flag { "" } else { "; only those that it knows are used" }
    ));
    Ok(())
}

fn value<'a>(keys: &'a [&'a str], here: &str, there: &str) -> Value<'a> {
    Value { keys, here: here.to_owned(), there: there.to_owned() }
}

/// Whether a flag of the command gives this key.
fn is_set(args: &SettingsArgs, key: &str) -> bool {
    args.set.iter().any(|set| set.split('=').next().is_some_and(|it| it.trim() == key))
}
