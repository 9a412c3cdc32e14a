//! Who a verified token belongs to, and what that may do.

use super::*;

fn role_of(gate: &Gate, claims: &Value) -> Result<Role, Rejected> {
    let token = sign(&good_header(), claims, KEY);
    gate.authenticate(Some(&format!("Bearer {token}")), client()).map(|who| who.role)
}

fn named(sub: &str, email: Option<&str>, role: Value) -> Value {
    let mut claims = claims_with("role", role);
    claims["sub"] = json!(sub);
    if let Some(email) = email {
        claims["email"] = json!(email);
    }
    claims
}

#[test]
fn roles_are_the_configured_ones() {
    let unknown = Err(Rejected::Forbidden("a role that this instance knows"));
    for (role, expected) in [
        (json!("ADMIN"), Ok(Role::Admin)),
        (json!("TRAINER"), Ok(Role::Editor)),
        (json!(["TRAINER"]), Ok(Role::Editor)),
        (json!(["nobody", "TRAINER", "ADMIN"]), Ok(Role::Admin)),
        (json!(["nobody", 7, null]), unknown.clone()),
        (json!("admin"), unknown.clone()),
        (json!("CUSTOMER"), unknown.clone()),
        (json!(""), unknown.clone()),
        (json!({ "ADMIN": true }), unknown.clone()),
        (json!(true), unknown.clone()),
        (json!(null), unknown),
    ] {
        let claims = named("ann@x.example", None, role.clone());
        assert_eq!(role_of(&gate(), &claims), expected, "{role}");
    }
}

/// The first wall: a peer's account is a peer's account by any of its names, whatever role its
/// token claims beside.
#[test]
fn a_service_account_is_never_more_than_one() {
    for (sub, email, role) in [
        ("mirror@b.example", None, json!("ADMIN")),
        ("7d2e", Some("mirror@b.example"), json!("ADMIN")),
        ("mirror@b.example", Some("ann@x.example"), json!(["ADMIN", "TRAINER"])),
        ("own@here.example", None, json!("ADMIN")),
        ("7d2e", Some("own@here.example"), json!(null)),
        ("ann@x.example", None, json!("service")),
        ("ann@x.example", None, json!(["ADMIN", "service"])),
    ] {
        let claims = named(sub, email, role);
        assert_eq!(role_of(&gate(), &claims), Ok(Role::Service), "{claims}");
    }
}

/// Emails are compared as they are: another spelling is another account, and no way around.
#[test]
fn a_name_is_verified_not_guessed() {
    let claims = named("ann@x.example", Some("ann@x.example"), json!("ADMIN"));
    let token = sign(&good_header(), &claims, KEY);
    let who = judge(&token).expect("valid");
    assert_eq!(who, Principal { name: "ann@x.example".into(), role: Role::Admin });
    let claims = named("7d2e", Some("bea@x.example"), json!("TRAINER"));
    let who = judge(&sign(&good_header(), &claims, KEY)).expect("valid");
    assert_eq!(who.name, "bea@x.example", "the email is the name people know");
}

#[test]
fn the_role_may_stand_elsewhere() {
    let gate = Gate::new(Config { role_claim: "/app_metadata/roles/0".into(), ..config() });
    let mut claims = claims_with("role", json!("ADMIN"));
    assert!(matches!(role_of(&gate, &claims), Err(Rejected::Forbidden(_))), "not at its place");
    claims["app_metadata"] = json!({ "roles": ["TRAINER", "ADMIN"] });
    assert_eq!(role_of(&gate, &claims), Ok(Role::Editor));
}

#[test]
fn admin_tokens_of_both_generations_and_no_other() {
    for (header, expected) in [
        ("Bearer admin-now", Ok(())),
        ("Bearer admin-before", Ok(())),
        ("bearer  admin-now ", Ok(())),
        ("Bearer admin-then", Err(Rejected::Invalid)),
        ("Bearer admin-no", Err(Rejected::Invalid)),
        ("Bearer admin-now admin-now", Err(Rejected::Invalid)),
        ("Bearer ", Err(Rejected::Missing)),
        ("Bearer", Err(Rejected::Missing)),
        ("admin-now", Err(Rejected::Missing)),
        ("Basic YWRtaW46YWRtaW4tbm93", Err(Rejected::Missing)),
        ("", Err(Rejected::Missing)),
    ] {
        let judged = gate().authenticate(Some(header), client());
        assert_eq!(judged.map(drop), expected, "{header:?}");
    }
    assert_eq!(gate().authenticate(None, client()), Err(Rejected::Missing));
    let who = gate().authenticate(Some("Bearer admin-now"), client()).expect("valid");
    assert_eq!(who.role, Role::AdminToken);
}

/// A token past its rate gets a wait; the admin token is not counted, nor are others.
#[test]
fn requests_are_counted_by_principal_and_the_admin_token_is_not() {
    let gate = Gate::new(Config { requests_per_second: 1, burst: 2, ..config() });
    let ann = who(Role::Admin);
    let bea = Principal { name: "bea@x.example".into(), role: Role::Editor };
    let admin = Principal { name: "admin".into(), role: Role::AdminToken };
    let taken = (0..10).filter(|_| gate.check_rate(&ann, client()).is_ok()).count();
    assert!((2..=4).contains(&taken), "{taken}");
    assert!(
        matches!(gate.check_rate(&ann, client()), Err(Rejected::TooMany(wait)) if !wait.is_zero())
    );
    assert!(gate.check_rate(&bea, client()).is_ok());
    assert!((0..100).all(|_| gate.check_rate(&admin, client()).is_ok()));
}

/// A25: failures are limited by address, and success never is.
#[test]
fn a_flood_of_bad_tokens_is_limited_and_good_ones_pass() {
    let gate = gate();
    let bad = || gate.authenticate(Some("Bearer nonsense"), client());
    let refused = (0..30).map(|_| bad()).filter(|e| *e == Err(Rejected::Invalid)).count();
    assert!((20..=22).contains(&refused), "{refused}");
    assert!(matches!(bad(), Err(Rejected::TooMany(wait)) if wait <= Duration::from_secs(60)));
    assert!(gate.authenticate(Some("Bearer admin-now"), client()).is_ok());
    let good = format!("Bearer {}", sign(&good_header(), &good_claims(), KEY));
    assert!(gate.authenticate(Some(&good), client()).is_ok());
    let elsewhere = gate.authenticate(Some("Bearer nonsense"), address("203.0.113.8"));
    assert_eq!(elsewhere, Err(Rejected::Invalid), "another address has its own count");
}

/// Changed settings take effect at once; an unchanged limit keeps its counts.
#[test]
fn another_policy_takes_over_and_counts_stay() {
    let gate = Gate::new(Config { requests_per_second: 1, burst: 2, ..config() });
    let ann = who(Role::Admin);
    while gate.check_rate(&ann, client()).is_ok() {}
    let rotated = vec![Secret::new("admin-after-it-was-changed")];
    let other = Config { requests_per_second: 1, burst: 2, admin_tokens: rotated, ..config() };
    gate.adopt(other.clone());
    assert!(gate.authenticate(Some("Bearer admin-after-it-was-changed"), client()).is_ok());
    assert!(gate.authenticate(Some("Bearer admin-now"), client()).is_err());
    assert!(gate.check_rate(&ann, client()).is_err(), "the limit is the one that ann has reached");
    gate.adopt(Config { burst: 50, selectors_max: 7, ..other });
    assert!(gate.check_rate(&ann, client()).is_ok());
    assert_eq!(gate.config().selectors_max, 7);
}

/// A subject that looks like another kind of caller gets the prefix of a token's subject.
#[test]
fn a_subject_never_passes_for_the_admin_token_or_a_webhook() {
    let gate = gate();
    for (subject, shown) in [
        ("ann@x.example", "ann@x.example"),
        ("ci-bot", "ci-bot"),
        ("admin", "jwt:admin"),
        ("Admin", "jwt:Admin"),
        (" admin", "jwt: admin"),
        ("adm\u{200b}in", "jwt:adm\u{200b}in"),
        ("\u{430}dmin", "jwt:\u{430}dmin"),
        ("revalidate", "jwt:revalidate"),
        ("anonymous", "jwt:anonymous"),
        ("hook:shop", "jwt:hook:shop"),
        ("schedule:nightly", "jwt:schedule:nightly"),
        ("jwt:admin", "jwt:jwt:admin"),
        ("here", "jwt:here"),
    ] {
        let token = sign(&good_header(), &named(subject, None, json!("ADMIN")), KEY);
        let who = gate.authenticate(Some(&format!("Bearer {token}")), client()).expect("valid");
        assert_eq!((who.name.as_str(), who.role), (shown, Role::Admin));
    }
    let admin = gate.authenticate(Some("Bearer admin-now"), client()).expect("valid");
    assert_eq!(admin.name, "admin");
}
