//! The one place that decides whether an invalidation may leave this instance again.
//!
//! Every protection against loops that depends on the request is here: the credential decides
//! first, a gateway's mark second, the body's `mirror` flag last. A plan of local scope has no
//! mirror destination, so what this function decides to be local cannot loop, whatever else fails.

use serde::{Deserialize, Serialize};

use super::submission::{Principal, Role};

/// How far an invalidation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This instance, and from here to every mirror.
    Mirrored,
    /// This instance only.
    Local,
}

impl Scope {
    /// The word used in answers and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirrored => "mirrored",
            Self::Local => "local",
        }
    }
}

/// Why a scope is local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalReason {
    /// The caller used a service account, which only peers do.
    Credential,
    /// The request had `Cache-Mirror-Via` or an event id of another instance.
    Mark,
    /// The body said `"mirror": false`.
    Asked,
}

impl LocalReason {
    /// The value in log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Mark => "mark",
            Self::Asked => "asked",
        }
    }
}

/// Decides the scope of one submission.
pub fn decide(
    who: &Principal,
    is_marked: bool,
    mirror: Option<bool>,
) -> (Scope, Option<LocalReason>) {
    if who.role == Role::Service {
        return (Scope::Local, Some(LocalReason::Credential));
    }
    if is_marked {
        return (Scope::Local, Some(LocalReason::Mark));
    }
    if mirror == Some(false) {
        return (Scope::Local, Some(LocalReason::Asked));
    }
    (Scope::Mirrored, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_first_mark_second_body_last() {
        let who = |role| Principal { name: "x".into(), role };
        let service = who(Role::Service);
        let admin = who(Role::Admin);
        for (who, marked, mirror, expected) in [
            (&service, false, Some(true), (Scope::Local, Some(LocalReason::Credential))),
            (&service, true, None, (Scope::Local, Some(LocalReason::Credential))),
            (&admin, true, Some(true), (Scope::Local, Some(LocalReason::Mark))),
            (&admin, false, Some(false), (Scope::Local, Some(LocalReason::Asked))),
            (&admin, false, Some(true), (Scope::Mirrored, None)),
            (&admin, false, None, (Scope::Mirrored, None)),
        ] {
            assert_eq!(decide(who, marked, mirror), expected);
        }
    }
}
