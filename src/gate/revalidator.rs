//! Callers of the older revalidation routes, who hold a shared secret instead of an account.
//!
//! On those routes a secret is as good as an editor's token; nowhere else is it anything. Wrong
//! ones count against the limit for bad tokens, right ones never do.

use super::policy::Policy;
use super::{ClientAddress, Gate, Rejected, bearer};
use crate::domain::{Principal, Role};

/// The name in log lines and events of whoever holds a secret.
pub(super) const NAME: &str = "revalidate";

impl Gate {
    /// Who sent a shared secret in the body.
    ///
    /// # Errors
    /// [`Rejected::Invalid`], also where no secret is configured; [`Rejected::TooMany`] once
    /// failures from this address have passed their limit.
    pub fn authenticate_secret(
        &self,
        secret: Option<&str>,
        address: impl Into<ClientAddress>,
    ) -> Result<Principal, Rejected> {
        let policy = self.policy.get();
        if let Some(holder) = secret.and_then(|secret| holder(&policy, secret)) {
            return Ok(holder);
        }
        Err(self.refuse(address))
    }

    /// Who sent a shared secret as bearer, or a token whose role may invalidate everywhere.
    ///
    /// # Errors
    /// As [`Gate::authenticate`], and [`Rejected::Forbidden`] for a service account.
    pub fn authenticate_revalidator(
        &self,
        authorization: Option<&str>,
        address: impl Into<ClientAddress>,
    ) -> Result<Principal, Rejected> {
        let token = authorization.and_then(bearer);
        if let Some(holder) = token.and_then(|token| holder(&self.policy.get(), token)) {
            return Ok(holder);
        }
        let who = self.authenticate(authorization, address)?;
        match who.role {
            Role::Service => Err(Rejected::Forbidden("a role that may invalidate everywhere")),
            Role::Editor | Role::Admin | Role::AdminToken => Ok(who),
        }
    }
}

fn holder(policy: &Policy, given: &str) -> Option<Principal> {
    let is_one = policy.config.revalidate_secrets.iter().any(|secret| secret.matches(given));
    is_one.then(|| Principal { name: NAME.into(), role: Role::Editor })
}
