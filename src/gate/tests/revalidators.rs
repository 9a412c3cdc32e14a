//! Shared secrets of the older revalidation routes (acceptance S0 0.4, S1 1.13).

use super::*;

const NOW: &str = "the secret of now";
const BEFORE: &str = "the secret before";

fn gate_with(secrets: &[&str]) -> Gate {
    let revalidate_secrets = secrets.iter().map(|text| Secret::new(*text)).collect();
    Gate::new(Config { revalidate_secrets, token_failures_per_minute: 3, ..config() })
}

fn bearer_of(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

fn judged(gate: &Gate, header: Option<String>) -> Result<Role, Rejected> {
    gate.authenticate_revalidator(header.as_deref(), client()).map(|who| who.role)
}

#[test]
fn either_secret_or_a_role_suffices() {
    let gate = gate_with(&[NOW, BEFORE]);
    let token = |role: &str| sign(&good_header(), &claims_with("role", json!(role)), KEY);
    for (header, expected) in [
        (bearer_of(NOW), Ok(Role::Editor)),
        (bearer_of(BEFORE), Ok(Role::Editor)),
        (bearer_of(&token("ADMIN")), Ok(Role::Admin)),
        (bearer_of(&token("TRAINER")), Ok(Role::Editor)),
        (bearer_of("admin-now"), Ok(Role::AdminToken)),
        (Some(format!("Basic {NOW}")), Err(Rejected::Missing)),
        (None, Err(Rejected::Missing)),
        (bearer_of("another"), Err(Rejected::Invalid)),
    ] {
        assert_eq!(judged(&gate, header.clone()), expected, "{header:?}");
    }
    for role in ["service", "CUSTOMER"] {
        let refused = judged(&gate, bearer_of(&token(role)));
        assert!(matches!(refused, Err(Rejected::Forbidden(_))), "{role}: {refused:?}");
    }
}

/// A secret is no token: the rest of the API does not know it.
#[test]
fn a_secret_opens_nothing_else() {
    let gate = gate_with(&[NOW]);
    let header = bearer_of(NOW);
    assert_eq!(gate.authenticate(header.as_deref(), client()), Err(Rejected::Invalid));
}

#[test]
fn an_unset_secret_is_nobodys() {
    let gate = gate_with(&[]);
    for given in [None, Some(""), Some(NOW)] {
        assert_eq!(gate.authenticate_secret(given, client()), Err(Rejected::Invalid), "{given:?}");
    }
}

#[test]
fn failures_are_limited_and_the_right_secret_never_is() {
    let gate = gate_with(&[NOW]);
    let mut refused = vec![];
    for _ in 0..5 {
        refused.push(gate.authenticate_secret(Some("guess"), client()).expect_err("wrong"));
        assert!(gate.authenticate_secret(Some(NOW), client()).is_ok());
        assert_eq!(judged(&gate, bearer_of(NOW)), Ok(Role::Editor));
    }
    assert_eq!(refused[..3], [Rejected::Invalid, Rejected::Invalid, Rejected::Invalid]);
    assert!(matches!(refused[3..], [Rejected::TooMany(_), Rejected::TooMany(_)]), "{refused:?}");
    assert!(matches!(judged(&gate, bearer_of("guess")), Err(Rejected::TooMany(_))), "one limit");
}
