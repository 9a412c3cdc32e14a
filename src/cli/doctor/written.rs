//! What is written down: settings, secrets, variables. Nothing is asked over a network.
//!
//! A secret is measured and compared here, and never shown.

use super::answering::{Instance, Running};
use super::check::Check;
use crate::cli::settings::destinations;
use crate::config::{self, Invalid, NO_MIRRORS, Settings, Sources, Variable};
use crate::deliver::LoginMethod;
use crate::support::Secret;

/// Characters below which a secret can be guessed with patience, or by its hash.
const SECRET_CHARS_MIN: usize = 32;
/// What signs, or is sent with every request, should have this many (48 bytes in base64).
const KEY_CHARS_MIN: usize = 64;

/// What makes the settings unusable: one finding each.
pub fn broken(problems: &[Invalid]) -> Vec<Check> {
    let found = problems.iter().map(|problem| {
        let text = problem.to_string();
        let detail = text.strip_prefix("config: ").unwrap_or(&text);
        let remedy = format!(
            "correct {} where it is set ({}); every key: config/cache-mirror.default.toml",
            problem.key, problem.origin
        );
        Check::fail("config", detail, remedy)
    });
    found.collect()
}

/// Valid settings, and what in them may not be meant. Where the instance that answers runs with
/// other settings, these are labelled as this shell's, and no finding is reported that is not true
/// of it.
pub fn settings(settings: &Settings, instance: &Instance) -> Vec<Check> {
    let label = label(settings, instance);
    let is_other = !label.is_empty();
    let valid = format!(
        "{label}valid: {} on {}, {}",
        settings.instance.name,
        settings.server.listen,
        destinations(settings)
    );
    let is_shown =
        |text: &&String| !(is_of_secrets(text) || is_other && text.starts_with(NO_MIRRORS));
    let warnings = settings.warnings.iter().filter(is_shown).map(|warning| {
        let (detail, remedy) = split(warning);
        Check::warn("config", format!("{label}{detail}"), remedy)
    });
    std::iter::once(Check::ok("config", valid)).chain(warnings).collect()
}

/// The prefix of findings about these settings, where something answers that runs with other
/// settings, or with unknown ones.
pub fn label(settings: &Settings, instance: &Instance) -> &'static str {
    match instance {
        Instance::Running(running) if !is_same(running, settings) => {
            "this shell's settings, not the instance's: "
        }
        Instance::Closed { .. } => "this shell's settings, perhaps not the instance's: ",
        Instance::Running(_) | Instance::Silent { .. } => "",
    }
}

/// Whether an instance runs with the name and the destinations of these settings.
fn is_same(running: &Running, settings: &Settings) -> bool {
    let mut here: Vec<&str> = settings.deliver.peers.iter().map(|peer| &*peer.name).collect();
    let mut there: Vec<&str> = running.destinations.iter().map(|it| it.name.as_str()).collect();
    here.sort_unstable();
    there.sort_unstable();
    running.stats.instance == settings.instance.name && here == there
}

/// Whether a warning of the settings is about a secret: those are reported by their own check.
fn is_of_secrets(warning: &str) -> bool {
    warning.contains("may be guessed")
}

/// A warning ends in its remedy, in parentheses.
fn split(warning: &str) -> (&str, &str) {
    let parts = warning.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    parts.unwrap_or((warning, "see: cache-mirror config show"))
}

/// A secret, by what it is called.
struct Named {
    key: String,
    secret: Secret,
    chars_min: usize,
}

/// Long enough, and each with one role.
pub fn secrets(settings: &Settings) -> Vec<Check> {
    let short = settings.warnings.iter().filter(|warning| is_of_secrets(warning)).map(|warning| {
        let (detail, remedy) = split(warning);
        Check::warn("secrets", detail, remedy)
    });
    judge(&configured(settings), short.collect())
}

fn configured(settings: &Settings) -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |key: &str, secret: &Secret, chars_min: usize| {
        if !secret.is_empty() {
            all.push(Named { key: key.to_owned(), secret: secret.clone(), chars_min });
        }
    };
    for secret in &settings.gate.admin_tokens {
        add("auth.admin_token", secret, SECRET_CHARS_MIN);
    }
    for secret in &settings.gate.jwt_secrets {
        add("auth.jwt_secret", secret, KEY_CHARS_MIN);
    }
    for secret in &settings.deliver.known_revalidate_secrets() {
        // Of one length for each of their callers, which the settings warn of themselves.
        add("the secret of revalidation routes", secret, 0);
    }
    for peer in &settings.deliver.peers {
        if let Some(credentials) = &peer.login.credentials {
            // Logins are counted and refused after a few failures: no hash to guess from leaves.
            add("mirrors.login.password", &credentials.password, SECRET_CHARS_MIN / 2);
        }
        if let LoginMethod::Bearer(token) = &peer.login.means {
            add("mirrors.login.token", token, SECRET_CHARS_MIN);
        }
    }
    all
}

fn judge(all: &[Named], mut found: Vec<Check>) -> Vec<Check> {
    for (at, one) in all.iter().enumerate() {
        let before = &all[..at];
        if before.iter().any(|other| other.key == one.key && other.secret == one.secret) {
            continue;
        }
        let chars = one.secret.expose().chars().count();
        if chars < one.chars_min {
            let detail = format!("{} has {chars} characters of {}", one.key, one.chars_min);
            found.push(Check::warn("secrets", detail, "cache-mirror secret generate"));
        }
        if let Some(other) = before.iter().find(|other| other.secret == one.secret) {
            let detail = format!("{} and {} are the same", other.key, one.key);
            let remedy = "give each its own: a user who knows one can do what the other allows; \
                          cache-mirror secret generate";
            found.push(Check::warn("secrets", detail, remedy));
        }
    }
    if found.is_empty() {
        let detail = match all.len() {
            0 => "none is configured; generated ones are long enough".to_owned(),
            _ => "all are long enough, and each has one role".to_owned(),
        };
        found.push(Check::ok("secrets", detail));
    }
    found
}

/// Which variables were seen, and which of a set are missing.
pub fn variables(sources: &Sources) -> Vec<Check> {
    let seen = config::variables(sources);
    let mut found = vec![listed(&seen)];
    let has = |name: &str| {
        let file = format!("{name}_FILE");
        seen.iter().any(|variable| variable.name == name || variable.name == file)
    };
    for (one, other) in [("SERVICE_EMAIL", "SERVICE_PASSWORD"), ("TEST_EMAIL", "TEST_PASSWORD")] {
        for (here, missing) in [(one, other), (other, one)] {
            if has(here) && !has(missing) {
                let detail = format!("{here} is set and {missing} is not");
                let remedy = format!("set {missing}, in .env or in the service's environment");
                found.push(Check::warn("env", detail, remedy));
            }
        }
    }
    let has_secret = ["REVALIDATE_SECRET_TOKEN", "NEXT_REVALIDATE_SECRET", "REVALIDATE_SECRET"]
        .into_iter()
        .any(has);
    for name in ["NEXT_REVALIDATE_URL", "NEXT_PUBLIC_SITE_URL"] {
        if has(name) && !has_secret {
            let detail = format!("{name} is set and no secret for it: revalidation is skipped");
            let remedy = "set REVALIDATE_SECRET_TOKEN (or NEXT_REVALIDATE_SECRET) to the same \
                          text on both sides";
            found.push(Check::warn("env", detail, remedy));
        }
    }
    found
}

fn listed(seen: &[Variable]) -> Check {
    if seen.is_empty() {
        return Check::ok("env", "no variable of ours is set; settings come from files and flags");
    }
    let list: Vec<String> = seen
        .iter()
        .map(|variable| {
            let from = if variable.is_in_file { " (.env)" } else { "" };
            format!("{}={}{from}", variable.name, variable.shown)
        })
        .collect();
    Check::ok("env", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    fn named(key: &str, secret: &str, chars_min: usize) -> Named {
        Named { key: key.into(), secret: Secret::new(secret), chars_min }
    }

    #[test]
    fn warnings_bring_their_remedy_along() {
        assert_eq!(split("no mirrors: x (set A or B)"), ("no mirrors: x", "set A or B"));
        assert_eq!(split("one (two) three").0, "one (two) three");
    }

    /// S1 1.24: a secret is long, and differs from the others.
    #[test]
    fn short_secrets_and_those_with_two_roles_are_found_and_not_shown() {
        let long = "x".repeat(64);
        assert_eq!(judge(&[named("a", &long, 64)], vec![])[0].status, Status::Ok);
        let all = [named("a", &long, 64), named("b", &long, 64), named("c", "tiny", 32)];
        let found = judge(&all, vec![]);
        let details: Vec<&str> = found.iter().map(|check| check.detail.as_str()).collect();
        assert_eq!(details, ["a and b are the same", "c has 4 characters of 32"]);
        assert!(!format!("{found:?}").contains("tiny") && !format!("{found:?}").contains("xxx"));
        let peers = [named("p", &long, 16), named("p", &long, 16)];
        assert_eq!(judge(&peers, vec![])[0].status, Status::Ok, "two peers may share an account");
    }

    /// An instance that refuses our calls may run with other settings.
    #[test]
    fn nothing_is_said_of_an_instance_that_does_not_tell() {
        let sources = Sources { is_isolated: true, ..Sources::default() };
        let loaded = config::load(&sources).expect("valid");
        let closed = Instance::Closed { why: String::new() };
        let found = settings(&loaded, &closed);
        assert!(found.iter().all(|it| it.detail.starts_with("this shell's settings")), "{found:?}");
        assert!(found.iter().all(|it| !it.detail.contains(NO_MIRRORS)), "{found:?}");
        let silent = Instance::Silent { why: String::new(), is_named: false };
        assert!(settings(&loaded, &silent).iter().any(|it| it.detail.starts_with(NO_MIRRORS)));
    }

    /// S1 1.24: what callers send here, and what is sent to a site, is judged as well.
    #[test]
    fn short_secrets_of_revalidation_are_no_longer_called_long_enough() {
        let found = |env: &[(&str, &str)]| {
            let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            let sources = Sources { env: env.collect(), is_isolated: true, ..Sources::default() };
            let loaded = config::load(&sources).expect("valid");
            let silent = Instance::Closed { why: String::new() };
            assert!(
                settings(&loaded, &silent).iter().all(|check| !check.detail.contains("guessed"))
            );
            secrets(&loaded)
        };
        let site = ("NEXT_REVALIDATE_URL", "http://127.0.0.1:1/api/revalidate");
        let long = "x".repeat(64);
        for (env, key) in [
            (&[("REVALIDATE_SECRET", "short")][..], "compat.revalidate_secret is shorter than 64"),
            (&[("REVALIDATE_SECRET_TOKEN", "short")], "compat.revalidate_token is shorter than 44"),
            (&[site, ("NEXT_REVALIDATE_SECRET", "short")], "revalidate.secret is shorter than 44"),
            (&[site, ("REVALIDATE_SECRET", "short")], "compat.revalidate_secret is shorter"),
        ] {
            let found = found(env);
            assert_eq!((found.len(), found[0].status), (1, Status::Warn), "{found:?}");
            assert!(found[0].detail.starts_with(key), "{found:?}");
            assert!(found[0].remedy.contains("secret generate"), "{found:?}");
        }
        assert_eq!(found(&[site, ("REVALIDATE_SECRET", &long)])[0].status, Status::Ok);
    }

    /// S0 0.9 and S1 1.22: what was loaded, and what is missing.
    #[test]
    fn variables_are_listed_masked_and_halves_are_reported() {
        let env = [
            ("SERVICE_EMAIL", "m@example.org"),
            ("CACHE_MIRROR_TOKEN", "an-admin-token-of-a-user"),
            ("NEXT_PUBLIC_SITE_URL", "https://user:pw@www.example.org"),
            ("HOME", "/root"),
        ];
        let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let sources = Sources { env: env.collect(), is_isolated: true, ..Sources::default() };
        let found = variables(&sources);
        let all = format!("{found:?}");
        assert!(found[0].detail.contains("CACHE_MIRROR_TOKEN=***"), "{all}");
        assert!(!all.contains("of-a-user") && !all.contains("user:pw") && !all.contains("HOME"));
        assert!(all.contains("SERVICE_EMAIL is set and SERVICE_PASSWORD is not"), "{all}");
        assert!(all.contains("NEXT_PUBLIC_SITE_URL is set and no secret for it"), "{all}");
    }
}
