//! Settings from variables: the process's own and those in `.env`, which only differ in rank.
//!
//! `CACHE_MIRROR__SECTION__KEY` reaches every key; a handful of plain names is what applications
//! have set already. With one underscore after the prefix a name is none of ours: container
//! platforms inject such (`CACHE_MIRROR_PORT=tcp://…`). Nothing here changes the process's
//! environment.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::dot_env::DotEnv;
use super::invalid::Invalid;
use super::layer::{Layer, Origin, invalid, read_secret};
use super::{Sources, mask, nearest, schema};

type Variables = BTreeMap<String, String>;

const PREFIX: &str = "CACHE_MIRROR__";

/// Names without the prefix, and their keys. `CACHE_MIRROR_URL` is the client commands' own;
/// `REDIS_URL` and `DATABASE_URL` switch nothing on yet.
const PLAIN: [(&str, &str); 12] = [
    ("NEXT_REVALIDATE_URL", "revalidate.url"),
    ("NEXT_REVALIDATE_SECRET", "revalidate.secret"),
    ("NEXT_PUBLIC_SITE_URL", "revalidate.site"),
    ("CACHE_MIRRORS", "mirrors.urls"),
    ("CACHE_MIRROR_TOKEN", "auth.admin_token"),
    ("SERVICE_EMAIL", "mirrors.login.email"),
    ("SERVICE_PASSWORD", "mirrors.login.password"),
    ("SERVICE_PASSWORD_PREVIOUS", "mirrors.login.password_previous"),
    ("REVALIDATE_SECRET_TOKEN", "compat.revalidate_token"),
    ("REVALIDATE_SECRET_TOKEN_PREVIOUS", "compat.revalidate_token_previous"),
    ("REVALIDATE_SECRET", "compat.revalidate_secret"),
    ("REVALIDATE_SECRET_PREVIOUS", "compat.revalidate_secret_previous"),
];

/// What `PORT` in a shared `.env` is: the application's port, and not this instance's.
pub(super) fn unread_port(process: &Variables, dot_env: &Variables) -> Option<String> {
    let is_given = |from: &Variables| from.get("PORT").is_some_and(|text| !text.is_empty());
    (is_given(dot_env) && !is_given(process)).then(|| {
        "PORT in .env is taken for the application's port and not read (set \
         CACHE_MIRROR__CONTROL__LISTEN to choose where the control API listens)"
            .to_owned()
    })
}

/// Variables that are probably meant for us and are not read, each with the name that is.
pub(super) fn near_misses(variables: &Variables) -> Vec<(String, String)> {
    let given = variables.iter().filter(|(name, text)| !text.is_empty() && !is_read(name));
    given.filter_map(|(name, _)| Some((name.clone(), near_miss(name, variables)?))).collect()
}

fn near_miss(name: &str, variables: &Variables) -> Option<String> {
    // Platforms inject names with one underscore (CACHE_MIRROR_SERVICE_HOST): near ones only.
    if let Some(rest) = name.strip_prefix("CACHE_MIRROR_") {
        let squeezed = |text: &str| text.to_lowercase().replace(['_', '.'], "");
        let rest = squeezed(rest);
        let mut keys = schema::keys().filter(|key| key.contains('.') && squeezed(key) == rest);
        if let Some(key) = keys.next() {
            return Some(format!("{PREFIX}{}", key.to_uppercase().replace('.', "__")));
        }
    }
    let plain = PLAIN.iter().map(|(plain, _)| *plain).chain(["CACHE_MIRROR_URL"]);
    let mut near = plain.filter(|plain| {
        name.len() >= NEAR_CHARS_MIN
            && strsim::osa_distance(&name.to_uppercase(), plain) <= 1
            && variables.get(*plain).is_none_or(String::is_empty)
    });
    near.next().map(str::to_owned)
}

/// Shorter names are like one another by chance.
const NEAR_CHARS_MIN: usize = 10;

/// Which of the two it is.
pub(super) type Rank = fn(String) -> Origin;

/// What the variables set. An empty one counts as unset.
pub(super) fn layer(variables: &Variables, rank: Rank, workdir: &Path) -> Layer {
    let mut plain = Layer::new(workdir);
    let mut explicit = Layer::new(workdir);
    for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
        let origin = rank(name.clone());
        if let Some(key) = name.strip_prefix(PREFIX) {
            explicit.add_text(key.to_lowercase().replace("__", "."), text, &origin);
        } else if let Some(key) = plain_key(name) {
            add_plain(&mut plain, key, text, &origin);
        } else if let ("PORT", Origin::Environment(_)) = (name.as_str(), &origin) {
            add_port(&mut plain, text, origin);
        }
    }
    plain.leaves.extend(explicit.leaves);
    plain.problems.extend(explicit.problems);
    plain
}

fn plain_key(name: &str) -> Option<String> {
    let key_of = |name| PLAIN.iter().find(|(plain, _)| *plain == name).map(|(_, key)| *key);
    let of_file = || {
        let key = format!("{}_file", key_of(name.strip_suffix("_FILE")?)?);
        schema::secret_of(&key).is_some().then_some(key)
    };
    key_of(name).map(str::to_owned).or_else(of_file)
}

fn add_plain(layer: &mut Layer, key: String, text: &str, origin: &Origin) {
    if key == "mirrors.urls" {
        let urls = schema::list(text.split(|c: char| c == ',' || c.is_whitespace()));
        layer.add(key, urls, origin);
    } else {
        layer.add_text(key, text, origin);
    }
}

fn add_port(layer: &mut Layer, text: &str, origin: Origin) {
    match text.trim().parse() {
        Ok(port) => layer.port = Some((port, origin)),
        Err(_) => {
            let given = Value::String(text.to_owned());
            layer.refuse("control.listen", &given, &origin, "expected a port, 0 to 65535");
        }
    }
}

/// Variables of applications around us that say where things are, and client commands' own.
const AROUND: [&str; 12] = [
    "PORT",
    "TEST_EMAIL",
    "TEST_PASSWORD",
    "TEST_PASSWORD_FILE",
    "CACHE_MIRROR_URL",
    "REVALIDATE_SECRET_TOKEN",
    "REVALIDATE_SECRET",
    "NEXT_REVALIDATE_URL",
    "NEXT_REVALIDATE_SECRET",
    "NEXT_PUBLIC_SITE_URL",
    "REDIS_URL",
    "DATABASE_URL",
];

/// A variable that was seen, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, masked where it is or may hold a secret.
    pub shown: String,
    /// Whether it stands in `.env` rather than in the process's environment.
    pub is_in_file: bool,
}

/// What the process's variables and those of `.env` say, by name. The former hide the latter.
pub fn variables(sources: &Sources) -> Vec<Variable> {
    let dot_env = match sources.is_isolated {
        true => Variables::new(),
        // Loading the settings reports what is wrong with the file.
        false => DotEnv::read(&sources.workdir).variables,
    };
    let mut seen: BTreeMap<&String, (&String, bool)> = BTreeMap::new();
    seen.extend(dot_env.iter().map(|(name, text)| (name, (text, true))));
    let process = sources.env.iter().filter(|(_, text)| !text.is_empty());
    seen.extend(process.map(|(name, text)| (name, (text, false))));
    seen.into_iter()
        .filter(|(_, (text, _))| !text.is_empty())
        .filter_map(|(name, (text, is_in_file))| {
            Some(Variable { name: name.clone(), shown: shown(name, text)?, is_in_file })
        })
        .collect()
}

/// Whether a variable means something to an instance or to its commands.
pub(super) fn is_read(name: &str) -> bool {
    name.starts_with(PREFIX) || plain_key(name).is_some() || AROUND.contains(&name)
}

/// A variable's own text: the process's before that of `.env`. It may be a secret.
pub fn variable(sources: &Sources, name: &str) -> Option<String> {
    let given = |from: &Variables| from.get(name).filter(|text| !text.is_empty()).cloned();
    given(&sources.env).or_else(|| {
        (!sources.is_isolated).then(|| given(&DotEnv::read(&sources.workdir).variables))?
    })
}

/// The value as it may be shown, of a name that is ours or of those around us.
fn shown(name: &str, text: &str) -> Option<String> {
    let value = Value::String(text.to_owned());
    if let Some(key) = name.strip_prefix(PREFIX) {
        let key = key.to_lowercase().replace("__", ".");
        return Some(match schema::kind(&key) {
            Some(_) => mask::value(&key, &value),
            None => mask::unknown(&key, nearest::key(&key).as_deref(), &value),
        });
    }
    if let Some(key) = plain_key(name) {
        return Some(mask::value(&key, &value));
    }
    AROUND.contains(&name).then(|| match name {
        _ if name.contains("SECRET") || name.contains("PASSWORD") => mask::MASK.to_owned(),
        _ => mask::url(text),
    })
}

/// A person's account, used where no service account is named anywhere.
pub(super) struct TestLogin {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) origin: Origin,
}

/// `TEST_EMAIL` with `TEST_PASSWORD` or `TEST_PASSWORD_FILE`.
///
/// # Errors
/// The password's file is of no use.
pub(super) fn test_login(
    variables: &Variables,
    rank: Rank,
    workdir: &Path,
) -> Result<Option<TestLogin>, Invalid> {
    let given = |name| variables.get(name).filter(|text| !text.is_empty());
    let Some(email) = given("TEST_EMAIL") else { return Ok(None) };
    let password = match (given("TEST_PASSWORD"), given("TEST_PASSWORD_FILE")) {
        (Some(password), _) => password.clone(),
        (None, Some(path)) => read_secret(workdir, path).map_err(|expected| {
            let origin = rank("TEST_PASSWORD_FILE".into());
            invalid("mirrors.login.password", format!("{path:?}"), &origin, expected)
        })?,
        (None, None) => String::new(),
    };
    Ok(Some(TestLogin { email: email.clone(), password, origin: rank("TEST_EMAIL".into()) }))
}

/// Names that also mean something else, and the keys they fill where nothing else does.
pub(super) const SHARED: [(&str, &str); 2] =
    [("REVALIDATE_SECRET", "revalidate.secret"), ("REVALIDATE_SECRET_TOKEN", "revalidate.token")];

/// The secret in such a variable, or in the file that its `_FILE` names, with its origin.
///
/// # Errors
/// The file is of no use.
pub(super) fn shared(
    variables: &Variables,
    rank: Rank,
    workdir: &Path,
    (name, key): (&str, &str),
) -> Result<Option<(String, Origin)>, Invalid> {
    let given = |name: &str| variables.get(name).filter(|text| !text.is_empty());
    if let Some(text) = given(name) {
        return Ok(Some((text.clone(), rank(name.to_owned()))));
    }
    let file = format!("{name}_FILE");
    let Some(path) = given(&file) else { return Ok(None) };
    let origin = rank(file);
    match read_secret(workdir, path) {
        Ok(text) => Ok(Some((text, origin))),
        Err(expected) => Err(invalid(key, format!("{path:?}"), &origin, expected)),
    }
}
