//! Accounts that peers log in with: the configured ones, else the one that we ourselves use.
//!
//! An account may have two valid passwords, so that a rotation interrupts no client. A person's
//! account never becomes a peer's.

use argon2::password_hash::PasswordHash;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};

use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use crate::gate::{Password, Person, ServiceAccount};
use crate::support::Secret;

const HASH: &str = "expected an argon2id hash, as `cache-mirror hash-password --stdin` prints one";

/// An account that peers log in with.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Account {
    /// Its name.
    email: String,
    /// An argon2id hash: cache-mirror hash-password --stdin
    password_hash: Hash,
    /// Also accepted, while you rotate.
    password_hash_previous: Hash,
}

/// An argon2id hash, or none.
#[derive(Default)]
struct Hash(String);

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let is_good = || {
            let hash = PasswordHash::new(&text).ok()?;
            let is_whole = hash.salt.is_some() && hash.hash.is_some();
            let is_usable = argon2::Params::try_from(&hash).is_ok();
            Some(hash.algorithm == argon2::ARGON2ID_IDENT && is_whole && is_usable)
        };
        let is_good = text.is_empty() || is_good() == Some(true);
        if is_good { Ok(Self(text)) } else { Err(D::Error::custom(HASH)) }
    }
}

secret!([] Hash);

/// The accounts that are configured; else the one that we ourselves log in with, so that one `.env`
/// serves every instance, unless another issuer knows the accounts. Two passwords of one account
/// are two entries.
pub(super) fn configured(from: &mut Reader, all: &Sections) -> Vec<ServiceAccount> {
    let accounts = &all.auth.service_accounts;
    for (index, account) in accounts.iter().enumerate() {
        let key = |field: &str| format!("auth.service_accounts[{index}].{field}");
        let is_same = |other: &Account| other.email.eq_ignore_ascii_case(&account.email);
        if account.email.is_empty() {
            from.refuse(&key("email"), "expected an account name");
        } else if accounts[..index].iter().any(is_same) {
            from.refuse(&key("email"), "given twice");
        }
        if account.password_hash.0.is_empty() {
            from.refuse(&key("password_hash"), HASH);
        }
    }
    if accounts.is_empty() && all.auth.jwks_url.is_none() {
        return own(from, all);
    }
    let of = |account: &Account| {
        let hashes = [&account.password_hash, &account.password_hash_previous];
        let hashes = hashes.map(|hash| hash.0.clone()).into_iter().filter(|it| !it.is_empty());
        let email = account.email.clone();
        hashes.map(move |it| ServiceAccount { email: email.clone(), password: Password::Hash(it) })
    };
    accounts.iter().flat_map(of).collect()
}

/// The account that we log in with, with the password in rotation.
fn own(from: &Reader, all: &Sections) -> Vec<ServiceAccount> {
    let (email, login) = (own_email(from, all), &all.mirrors.login);
    if email.is_empty() || login.password.is_empty() {
        return vec![];
    }
    let passwords = given([&login.password, &login.password_previous]).into_iter();
    let of = |it| ServiceAccount { email: email.to_owned(), password: Password::Plain(it) };
    passwords.map(of).collect()
}

/// The person whose account alone is named (`TEST_EMAIL`), so that such a `.env` serves every
/// instance too. The tokens are an editor's: nothing makes the account a peer's.
pub(super) fn person(
    from: &mut Reader,
    all: &Sections,
    accounts: &[ServiceAccount],
) -> Option<Person> {
    let (auth, login) = (&all.auth, &all.mirrors.login);
    let is_alone = accounts.is_empty() && auth.jwks_url.is_none();
    if !from.is_test_login || !is_alone || login.password.is_empty() {
        return None;
    }
    let is_more = |role: &&String| auth.admin_roles.contains(role) || *role == "service";
    let role = auth.editor_roles.iter().find(|role| !is_more(role)).cloned();
    if role.is_none() {
        from.warn(
            "TEST_EMAIL cannot log in here: auth.editor_roles names no role that is an editor's \
             alone (name one, or set SERVICE_EMAIL and SERVICE_PASSWORD)",
        );
    }
    let password: Secret = login.password.clone();
    role.map(|role| Person { email: login.email.clone(), password, role })
}

/// The service account that we log in with; empty where it is a person's or none.
fn own_email<'a>(from: &Reader, all: &'a Sections) -> &'a str {
    if from.is_test_login { "" } else { &all.mirrors.login.email }
}

/// Whose verified tokens are a peer's.
pub(super) fn emails(from: &Reader, all: &Sections, accounts: &[ServiceAccount]) -> Vec<String> {
    let own = Some(own_email(from, all)).filter(|email| !email.is_empty());
    let mut emails: Vec<String> = Vec::new();
    for email in own.into_iter().chain(accounts.iter().map(|account| &*account.email)) {
        if !emails.iter().any(|known| known == email) {
            emails.push(email.to_owned());
        }
    }
    emails
}
