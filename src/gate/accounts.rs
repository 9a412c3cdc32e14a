//! Login with an email and a password.
//!
//! Hashes are argon2id and are checked off the async threads, two at a time: checking costs tens of
//! milliseconds and 19 MiB by design, so a flood of logins must queue and not multiply. An unknown
//! account costs the same as a known one.

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use tokio::sync::Semaphore;

use super::{Password, ServiceAccount};
use crate::support::{Secret, random};

/// Hashes checked at once: the machine has other work, and each takes 19 MiB.
const CHECKS_AT_ONCE: usize = 2;

/// The accounts that may log in.
pub struct Accounts {
    accounts: Vec<ServiceAccount>,
    hashes_max: usize,
    permits: Semaphore,
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
    /// Takes the configured accounts; one with two passwords stands there twice.
    pub fn new(accounts: Vec<ServiceAccount>) -> Self {
        let hashes = |email: &str| {
            let is_hash = |it: &&ServiceAccount| matches!(it.password, Password::Hash(_));
            accounts.iter().filter(|it| it.email == email).filter(is_hash).count()
        };
        let hashes_max = accounts.iter().map(|it| hashes(&it.email)).max().unwrap_or(0);
        Self { accounts, hashes_max, permits: Semaphore::new(CHECKS_AT_ONCE) }
    }

    /// Whether there is anybody who could log in.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether this name belongs to an account.
    pub fn has(&self, email: &str) -> bool {
        self.accounts.iter().any(|account| account.email.eq_ignore_ascii_case(email))
    }

    /// Whether email and password belong together. A failure costs the same whoever is named: as
    /// many hashes are tried as the account with most of them has.
    pub async fn verify(&self, email: &str, password: Secret) -> bool {
        let mut hashes_left = self.hashes_max;
        for account in self.accounts.iter().filter(|account| account.email == email) {
            let is_it = match &account.password {
                Password::Plain(secret) => secret.matches(password.expose()),
                Password::Hash(hash) => {
                    hashes_left = hashes_left.saturating_sub(1);
                    self.verify_hash(hash.clone(), password.clone()).await
                }
            };
            if is_it {
                return true;
            }
        }
        for _ in 0..hashes_left {
            self.verify_hash(decoy().to_owned(), password.clone()).await;
        }
        false
    }

    async fn verify_hash(&self, hash: String, password: Secret) -> bool {
        let Ok(_permit) = self.permits.acquire().await else { return false };
        let check = move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
            })
        };
        tokio::task::spawn_blocking(check).await.unwrap_or(false)
    }
}

/// A hash of nothing anybody knows, to spend the same time on accounts that do not exist.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| {
        let random = format!("{:?}", std::time::SystemTime::now());
        hash_password(&random).expect("a short text can be hashed")
    })
}
