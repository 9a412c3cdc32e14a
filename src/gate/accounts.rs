//! Login with an email and a password.
//!
//! Hashes are argon2id and are checked outside the async threads, each attempt in its turn
//! (`turns`), unless the same login was valid recently (`known_logins`). Plain passwords cost
//! nothing and never wait. An unknown account costs the same time as a known one.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Argon2, PasswordHash, PasswordVerifier};

use super::known_logins::{KnownLogins, LoginHash};
use super::turns::Turn;
use super::{Password, ServiceAccount};
use crate::support::{Secret, random};

/// The accounts that may log in.
pub struct Accounts {
    accounts: Vec<ServiceAccount>,
    hashes_max: usize,
    /// Logins that were valid for exactly these accounts.
    known_logins: Arc<KnownLogins>,
}

/// Why a password cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash the password: {0}")]
pub struct HashError(String);

/// An argon2id hash in PHC form, with the library's parameters (19 MiB, 2 passes: the OWASP
/// minimum) and a fresh salt.
///
/// # Errors
/// [`HashError`] where argon2 refuses the password (longer than 4 GiB).
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let mut salt = [0_u8; 16];
    random::fill(&mut salt).map_err(|_| HashError("no random bytes".into()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| HashError(e.to_string()))?;
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| HashError(error.to_string()))
}

impl Accounts {
    /// Takes the configured accounts. One with two passwords is listed twice.
    pub fn new(accounts: Vec<ServiceAccount>) -> Self {
        let hashes = |email: &str| {
            let is_hash = |it: &&ServiceAccount| matches!(it.password, Password::Hash(_));
            accounts.iter().filter(|it| it.email == email).filter(is_hash).count()
        };
        let hashes_max = accounts.iter().map(|it| hashes(&it.email)).max().unwrap_or(0);
        Self { accounts, hashes_max, known_logins: Arc::new(KnownLogins::new()) }
    }

    /// Whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether this name belongs to an account.
    pub fn has(&self, email: &str) -> bool {
        self.accounts.iter().any(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// Whether email and password match an account whose password is configured in plain text.
    pub fn verify_plain(&self, email: &str, password: &Secret) -> bool {
        let own = self.accounts.iter().filter(|account| account.email == email);
        own.fold(false, |is_one, account| match &account.password {
            Password::Plain(secret) => secret.matches(password.expose()) || is_one,
            Password::Hash(_) => is_one,
        })
    }

    /// Whether any password is configured as a hash.
    pub fn has_hashes(&self) -> bool {
        self.hashes_max > 0
    }

    /// The hash of a login, for `was_right`.
    pub(super) fn login(&self, address: &str, email: &str, password: &Secret) -> Option<LoginHash> {
        self.known_logins.login(address, email, password)
    }

    /// Whether this login was valid before.
    pub(super) fn was_right(&self, login: Option<&LoginHash>) -> bool {
        self.known_logins.is_right(login)
    }

    /// Whether email and password match an account by its hash. A failure takes the same time for
    /// every name: it tries as many hashes as the account with most of them has. The turn ends with
    /// the work, even if the caller disconnects before.
    pub(super) async fn verify_hashed(
        &self,
        (email, password): (&str, Secret),
        login: Option<LoginHash>,
        turn: Turn,
    ) -> bool {
        let own = self.accounts.iter().filter(|account| account.email == email);
        let hashes: Vec<String> = own
            .filter_map(|account| match &account.password {
                Password::Hash(hash) => Some(hash.clone()),
                Password::Plain(_) => None,
            })
            .collect();
        let decoys = self.hashes_max.saturating_sub(hashes.len());
        let known_logins = Arc::clone(&self.known_logins);
        let check = move || {
            let is_it = |hash: &str| {
                PasswordHash::new(hash).is_ok_and(|hash| {
                    Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
                })
            };
            let is_valid = hashes.iter().any(|hash| is_it(hash));
            if is_valid {
                known_logins.remember(login);
            } else {
                for _ in 0..decoys {
                    is_it(decoy());
                }
            }
            drop(turn);
            is_valid
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }
}

/// The hash of a random text, to spend the same time on accounts that do not exist.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| {
        let random = format!("{:?}", std::time::SystemTime::now());
        hash_password(&random).expect("a short text can be hashed")
    })
}
