//! Logins that were valid recently, so that a valid login is not checked twice.
//!
//! A peer that logs in again passes at once, whatever else its address sends. Only a keyed hash of
//! address, email and password is kept, in memory, with a key of this process. The address is part
//! of it, so that another address cannot try passwords without the cost of a check. Wrong passwords
//! are not remembered: each one costs a check.

use std::collections::{HashSet, VecDeque};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use crate::support::{Secret, random};

/// Logins remembered; beyond it the oldest is forgotten.
const REMEMBERED_MAX: usize = 4096;

/// An address, an email and a password, as one keyed hash.
pub(super) type LoginHash = [u8; 32];

/// Logins that were valid for the accounts that they were checked against.
pub(super) struct KnownLogins {
    /// `None` if there are no random bytes; then nothing is remembered.
    key: Option<hmac::Key>,
    right: Mutex<Right>,
}

#[derive(Default)]
struct Right {
    logins: HashSet<LoginHash>,
    order: VecDeque<LoginHash>,
}

impl KnownLogins {
    pub(super) fn new() -> Self {
        let mut bytes = [0_u8; 32];
        let key = random::fill(&mut bytes).ok().map(|()| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        Self { key, right: Mutex::default() }
    }

    /// The hash of a login, over each part with its length.
    pub(super) fn login(&self, address: &str, email: &str, password: &Secret) -> Option<LoginHash> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [address, email, password.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().try_into().ok()
    }

    /// Whether this login was valid before.
    pub(super) fn is_right(&self, login: Option<&LoginHash>) -> bool {
        login.is_some_and(|login| self.right.lock().logins.contains(login))
    }

    /// Remembers a valid login.
    pub(super) fn remember(&self, login: Option<LoginHash>) {
        let Some(login) = login else { return };
        let mut right = self.right.lock();
        if !right.logins.insert(login) {
            return;
        }
        right.order.push_back(login);
        if right.order.len() > REMEMBERED_MAX
            && let Some(oldest) = right.order.pop_front()
        {
            right.logins.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_its_address_email_and_password() {
        let known_logins = KnownLogins::new();
        let login = |address: &str, email: &str, password: &str| {
            known_logins.login(address, email, &Secret::new(password))
        };
        known_logins.remember(login("192.0.2.1", "a@x", "right"));
        assert!(known_logins.is_right(login("192.0.2.1", "a@x", "right").as_ref()));
        for (address, email, password) in [
            ("192.0.2.2", "a@x", "right"),
            ("192.0.2.1", "b@x", "right"),
            ("192.0.2.1", "a@x", "wrong"),
            ("192.0.2.1", "a@xr", "ight"),
            ("192.0.2.1a", "@x", "right"),
        ] {
            let other = login(address, email, password);
            assert!(!known_logins.is_right(other.as_ref()), "{address} {email} {password}");
        }
        let elsewhere = KnownLogins::new().login("192.0.2.1", "a@x", &Secret::new("right"));
        assert!(!known_logins.is_right(elsewhere.as_ref()), "the key is of one process");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let known_logins = KnownLogins::new();
        let login = |at: usize| known_logins.login(&at.to_string(), "a", &Secret::new("b"));
        (0..REMEMBERED_MAX + 100).for_each(|at| known_logins.remember(login(at)));
        assert_eq!(known_logins.right.lock().logins.len(), REMEMBERED_MAX);
        assert!(known_logins.is_right(login(REMEMBERED_MAX + 99).as_ref()));
        assert!(!known_logins.is_right(login(0).as_ref()));
    }
}
