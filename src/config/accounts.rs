//! Accounts that peers log in with: the configured ones, else the one that we ourselves use.
//!
//! An account may have two valid passwords, so that a rotation locks nobody out. A person's account
//! never becomes a peer's.

use argon2::password_hash::PasswordHash;
use toml::{Table, Value};

use super::logins;
use super::reader::Reader;
use crate::gate::{Password, Person, ServiceAccount};

/// The accounts that are configured; else the one that we ourselves log in with, so that one `.env`
/// serves every instance, unless another issuer knows the accounts. Two passwords of one account
/// are two entries.
pub(super) fn configured(from: &mut Reader) -> Vec<ServiceAccount> {
    let mut accounts: Vec<ServiceAccount> = Vec::new();
    for (index, table) in from.tables("auth.service_accounts").iter().enumerate() {
        let key = |field: &str| format!("auth.service_accounts[{index}].{field}");
        let email = table.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
        let unset = Value::String(String::new());
        if email.is_empty() {
            from.refuse_value(&key("email"), &unset, "expected an account name");
        } else if accounts.iter().any(|other| other.email.eq_ignore_ascii_case(&email)) {
            from.refuse_value(&key("email"), &Value::String(email.clone()), "given twice");
        }
        let hashes = hashes(from, table, &key);
        let of = |hash| ServiceAccount { email: email.clone(), password: Password::Hash(hash) };
        accounts.extend(hashes.into_iter().map(of));
    }
    if accounts.is_empty() && from.text("auth.jwks_url").is_empty() {
        accounts = own(from);
    }
    accounts
}

/// The hash of one account and the one in rotation.
fn hashes(from: &mut Reader, table: &Table, key: &impl Fn(&str) -> String) -> Vec<String> {
    let mut hashes = Vec::new();
    for field in ["password_hash", "password_hash_previous"] {
        let hash = logins::secret(from, table, field, key).expose().to_owned();
        if hash.is_empty() && field != "password_hash" {
            continue;
        }
        if let Err(expected) = check_hash(&hash) {
            from.refuse_value(&key(field), &Value::String(hash.clone()), expected);
        }
        hashes.push(hash);
    }
    hashes
}

/// The account that we log in with, with the password in rotation.
fn own(from: &Reader) -> Vec<ServiceAccount> {
    let email = own_email(from);
    let passwords = ["mirrors.login.password", "mirrors.login.password_previous"];
    let passwords = passwords.map(|key| from.secret(key));
    let of =
        |password| ServiceAccount { email: email.clone(), password: Password::Plain(password) };
    let is_given = !email.is_empty() && !passwords[0].is_empty();
    passwords.into_iter().filter(|it| is_given && !it.is_empty()).map(of).collect()
}

/// The person whose account alone is named (`TEST_EMAIL`), so that such a `.env` serves every
/// instance too. The tokens are an editor's: nothing makes the account a peer's.
pub(super) fn person(from: &mut Reader, accounts: &[ServiceAccount]) -> Option<Person> {
    let (email, password) =
        (from.text("mirrors.login.email"), from.secret("mirrors.login.password"));
    let is_alone = accounts.is_empty() && from.text("auth.jwks_url").is_empty();
    if !from.is_test_login() || !is_alone || password.is_empty() {
        return None;
    }
    let more = [from.list("auth.admin_roles"), vec!["service".to_owned()]].concat();
    let role = from.list("auth.editor_roles").into_iter().find(|role| !more.contains(role));
    if role.is_none() {
        from.warn(
            "TEST_EMAIL cannot log in here: auth.editor_roles names no role that is an editor's \
             alone (name one, or set SERVICE_EMAIL and SERVICE_PASSWORD)",
        );
    }
    role.map(|role| Person { email, password, role })
}

fn check_hash(hash: &str) -> Result<(), &'static str> {
    const EXPECTED: &str =
        "expected an argon2id hash, as `cache-mirror hash-password --stdin` prints one";
    let parsed = PasswordHash::new(hash).map_err(|_| EXPECTED)?;
    let is_whole = parsed.salt.is_some() && parsed.hash.is_some();
    let is_usable = argon2::Params::try_from(&parsed).is_ok();
    let is_argon2id = parsed.algorithm == argon2::ARGON2ID_IDENT;
    if is_argon2id && is_whole && is_usable { Ok(()) } else { Err(EXPECTED) }
}

/// The service account that we log in with; empty where it is a person's or none.
fn own_email(from: &Reader) -> String {
    if from.is_test_login() { String::new() } else { from.text("mirrors.login.email") }
}

/// Whose verified tokens are a peer's.
pub(super) fn emails(from: &Reader, accounts: &[ServiceAccount]) -> Vec<String> {
    let own = Some(own_email(from)).filter(|email| !email.is_empty());
    let mut emails: Vec<String> = Vec::new();
    for email in own.into_iter().chain(accounts.iter().map(|account| account.email.clone())) {
        if !emails.contains(&email) {
            emails.push(email);
        }
    }
    emails
}
