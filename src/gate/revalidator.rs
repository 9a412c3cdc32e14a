//! Callers of the older revalidation routes, which hold a shared secret instead of an account.
//!
//! On those routes a secret counts like an editor's token; elsewhere it has no effect. Wrong
//! secrets count against the limit for bad tokens, valid ones never do.

use super::policy::Policy;
use super::{ClientAddress, Gate, Rejected, bearer};
use crate::domain::{Principal, Role};

/// The name of such a caller in log lines and events.
pub(super) const NAME: &str = "revalidate";

impl Gate {
    /// The principal of a call with a shared secret in its body.
    ///
    /// # Errors
    /// [`Rejected::Invalid`], also if no secret is configured; [`Rejected::TooMany`] once the
    /// failures of this address exceed their limit.
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

    /// The principal of a call with a shared secret as bearer, or with a token whose role may
    /// invalidate everywhere.
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
