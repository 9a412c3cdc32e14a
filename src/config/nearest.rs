//! Suggests the key that was probably meant by an unknown one.
//!
//! A slip of the fingers counts before a part of a name, and its own section before others: `rate`
//! in `[mirrors]` is `rate_per_second`, whatever is spelt alike elsewhere. The section may be the
//! misspelt part. It is a hint alone; nothing is taken for what it suggests.

use super::schema::{self, Kind, Node, join};

/// Shortest part of a word that suggests the whole.
const PART_CHARS_MIN: usize = 3;

/// How a name is like another, the nearest first; then by how much of it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    Slip,
    /// `token` for `admin_token`: the last word says what it is.
    Ending,
    /// `rate` for `rate_per_second`.
    Beginning,
    /// `web` for `webhook`.
    Part,
    /// `listen_address` for `listen`.
    Longer,
    /// The right name elsewhere.
    Misplaced,
    Remote,
}

/// The known key nearest to a misspelt one, if one is near.
pub(super) fn key(given: &str) -> Option<String> {
    let given = &with_known_sections(given.to_owned());
    if schema::kind(given).is_some() || schema::is_section(given) {
        return Some(given.clone());
    }
    let (section, name) = given.rsplit_once('.').unwrap_or(("", given));
    let own = names_in(section).filter_map(|known| Some((likeness(name, known)?, 0, known)));
    let own = own.map(|(near, at, known)| (near, at, join(section, known)));
    let others = schema::keys().filter_map(|known| {
        let (elsewhere, known_name) = known.rsplit_once('.')?;
        let (like, differs) = likeness(name, known_name)?;
        let like = match like {
            Likeness::Slip if differs == 0 => Likeness::Misplaced,
            Likeness::Slip => Likeness::Remote,
            _ => return None,
        };
        Some(((like, differs), 1 + usize::from(top(elsewhere) != top(section)), known.to_owned()))
    });
    own.chain(others).min().map(|(.., known)| known)
}

/// The field nearest to a misspelt one.
pub(super) fn field(table: Node, name: &str) -> Option<&'static str> {
    let near = schema::fields(table).filter_map(|known| Some((likeness(name, known)?, known)));
    near.min().map(|(_, known)| known)
}

fn likeness(given: &str, known: &str) -> Option<(Likeness, usize)> {
    let given = &*given.to_ascii_lowercase();
    let edits = strsim::osa_distance(given, known);
    let is_part = given.len() >= PART_CHARS_MIN;
    let begins = |long: &str, short: &str| long.starts_with(&format!("{short}_"));
    let ends = |long: &str, short: &str| long.ends_with(&format!("_{short}"));
    let like = match () {
        () if edits <= (given.len() / 4).max(1) => Likeness::Slip,
        () if is_part && ends(known, given) => Likeness::Ending,
        () if is_part && begins(known, given) => Likeness::Beginning,
        () if is_part && known.starts_with(given) => Likeness::Part,
        () if begins(given, known) || ends(given, known) => Likeness::Longer,
        () if edits <= (given.len() / 3).max(2) => Likeness::Remote,
        () => return None,
    };
    Some((like, edits))
}

/// The key with those parts of it that are no section put right, as far as one is near.
fn with_known_sections(mut given: String) -> String {
    while let Some(better) = with_next_section(&given) {
        given = better;
    }
    given
}

fn with_next_section(given: &str) -> Option<String> {
    let is_known = |part: &str| schema::is_section(part) || schema::kind(part).is_some();
    let mut parts = given.match_indices('.').map(|(at, _)| given.split_at(at));
    let (part, rest) = parts.find(|(part, _)| !is_known(part))?;
    let (above, name) = part.rsplit_once('.').unwrap_or(("", part));
    let near = names_in(above).filter(|known| is_table(&join(above, known)));
    let near = near.filter_map(|known| match likeness(name, known)? {
        (Likeness::Remote, edits) if edits > name.len() / 3 => None,
        like => Some((like, known)),
    });
    near.min().map(|(_, known)| format!("{}{rest}", join(above, known)))
}

fn is_table(key: &str) -> bool {
    schema::is_section(key) || schema::kind(key) == Some(Kind::Map)
}

/// Keys and sections that stand in a section.
fn names_in(section: &str) -> impl Iterator<Item = &'static str> {
    let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
    schema::keys().filter_map(move |key| key.strip_prefix(&*prefix)?.split('.').next())
}

fn top(section: &str) -> &str {
    section.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_meant_is_named() {
        for (given, meant) in [
            ("mirrors.rate", "mirrors.rate_per_second"),
            ("mirrors.timeout", "mirrors.timeout_ms"),
            ("mirrors.burts", "mirrors.burst"),
            ("mirrors.url", "mirrors.urls"),
            ("mirrors.password", "mirrors.login.password"),
            ("mirror.urls", "mirrors.urls"),
            ("mirror.rate", "mirrors.rate_per_second"),
            ("mirors.logn.emial", "mirrors.login.email"),
            ("mirrors.logn.email", "mirrors.login.email"),
            ("dependancies.posts", "dependencies.posts"),
            ("dependancies", "dependencies"),
            ("alias.article", "aliases.article"),
            ("hook.deploy.clears", "hooks.deploy.clears"),
            ("auth.token", "auth.admin_token"),
            ("auth.secret", "auth.jwt_secret"),
            ("auth.tokens", "auth.token_s"),
            ("auth.ADMIN_TOKN", "auth.admin_token"),
            ("graph.strict", "graph.strict_types"),
            ("log.rotate", "log.rotate_bytes"),
            ("log.levl", "log.level"),
            ("log.file_name", "log.file"),
            ("alerts.web", "alerts.webhook"),
            ("store.ttl", "store.ttl_s"),
            ("server.listen", "control.listen"),
            ("instance.listen", "control.listen"),
            ("data_dir", "instance.data_dir"),
            ("schedule", "schedules"),
            ("purge.target", "purge.targets"),
        ] {
            assert_eq!(key(given).as_deref(), Some(meant), "{given}");
        }
        for given in ["wholly.else", "x", "mirrors.zzz", "instance.q", "zzz.rates_of_all"] {
            assert_eq!(key(given), None, "{given}");
        }
    }

    #[test]
    fn the_field_that_was_meant_is_named() {
        for (of, given, meant) in [
            ("mirrors.peers", "rate", Some("rate_per_second")),
            ("mirrors.peers", "pasword", Some("password")),
            ("purge.targets", "api_token", Some("token")),
            ("purge.targets", "tokn", Some("token")),
            ("purge.targets", "zones", Some("zone")),
            ("auth.service_accounts", "password", Some("password_hash")),
            ("ingest.hooks", "quite_other", None),
        ] {
            let (table, _) = schema::at(&format!("{of}[0]")).expect("a table");
            assert_eq!(field(table, given), meant, "{given}");
        }
    }
}
