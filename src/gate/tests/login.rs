//! Logging in (reliability A26-A27).

use super::*;

fn with_accounts() -> Gate {
    let hashed = hash_password("battery staple").expect("hashes");
    let account = |email: &str, password| ServiceAccount { email: email.into(), password };
    let service_accounts = vec![
        account("plain@x.example", Password::Plain(Secret::new("correct horse"))),
        account("hashed@x.example", Password::Hash(hashed)),
        account("broken@x.example", Password::Hash("$argon2id$nonsense".into())),
    ];
    Gate::new(Config { service_accounts, ..config() })
}

async fn log_in(gate: &Gate, email: &str, password: &str, from: &str) -> Result<String, Rejected> {
    gate.login(email, Secret::new(password), address(from)).await.map(|(token, _)| token)
}

#[tokio::test]
async fn right_credentials_give_a_token_that_is_a_service_account() {
    let gate = with_accounts();
    for (email, password) in
        [("plain@x.example", "correct horse"), ("hashed@x.example", "battery staple")]
    {
        let (token, life) =
            gate.login(email, Secret::new(password), client()).await.expect("logs in");
        assert_eq!(life, 3600);
        let header = format!("Bearer {token}");
        let who = gate.authenticate(Some(&header), client()).expect("valid");
        assert_eq!(who, Principal { name: email.into(), role: Role::Service });
    }
}

/// A person's account makes no peer, wherever the role stands in a token.
#[tokio::test]
async fn a_person_logs_in_as_an_editor() {
    for role_claim in ["/role", "/app_metadata/role", "/realm/roles/0"] {
        let person = Person {
            email: "ann@x.example".into(),
            password: Secret::new("her own"),
            role: "TRAINER".into(),
        };
        let role_claim = role_claim.to_owned();
        let gate = Gate::new(Config { person: Some(person), role_claim, ..config() });
        let token = log_in(&gate, "ann@x.example", "her own", "203.0.113.7").await.expect("hers");
        let who = gate.authenticate(Some(&format!("Bearer {token}")), client()).expect("valid");
        assert_eq!(who, Principal { name: "ann@x.example".into(), role: Role::Editor });
        for (email, password) in [("ann@x.example", ""), ("ann@x.example", "x"), ("", "her own")] {
            let answer = log_in(&gate, email, password, "203.0.113.7").await;
            assert_eq!(answer, Err(Rejected::Invalid), "{email} {password}");
        }
    }
}

/// Wall 1 does not hang on how an issuer spells an address.
#[tokio::test]
async fn an_account_is_one_in_any_case() {
    let gate = with_accounts();
    for email in ["Plain@X.example", "OWN@here.example"] {
        let token = sign(&good_header(), &claims_with("email", json!(email)), KEY);
        let who = gate.authenticate(Some(&format!("Bearer {token}")), client()).expect("valid");
        assert_eq!(who.role, Role::Service, "{email}");
    }
}

/// A27: whether the account exists shows in no answer.
#[tokio::test]
async fn wrong_and_unknown_get_the_same_answer() {
    for (email, password) in [
        ("plain@x.example", "wrong"),
        ("plain@x.example", ""),
        ("plain@x.example", "correct horse "),
        ("hashed@x.example", "correct horse"),
        ("hashed@x.example", ""),
        ("broken@x.example", "$argon2id$nonsense"),
        ("PLAIN@x.example", "correct horse"),
        ("nobody@x.example", "correct horse"),
        ("", ""),
    ] {
        let answer = log_in(&with_accounts(), email, password, "203.0.113.7").await;
        assert_eq!(answer, Err(Rejected::Invalid), "{email} {password}");
    }
}

/// A26: failures are counted by address and by account; the right password always passes.
#[tokio::test]
async fn failures_are_limited_and_valid_credentials_pass() {
    let gate = gate();
    for _ in 0..5 {
        let answer = log_in(&gate, "mirror@b.example", "wrong", "203.0.113.7").await;
        assert_eq!(answer, Err(Rejected::Invalid));
    }
    let limited = log_in(&gate, "another@x.example", "wrong", "203.0.113.7").await;
    assert!(matches!(limited, Err(Rejected::TooMany(_))), "the address is over: {limited:?}");
    let limited = log_in(&gate, "mirror@b.example", "wrong", "198.51.100.1").await;
    assert!(matches!(limited, Err(Rejected::TooMany(_))), "the account is over: {limited:?}");
    for from in ["203.0.113.7", "198.51.100.1"] {
        assert!(log_in(&gate, "mirror@b.example", "correct horse", from).await.is_ok());
    }
    let other = log_in(&gate, "another@x.example", "wrong", "198.51.100.2").await;
    assert_eq!(other, Err(Rejected::Invalid), "others are not touched");
}

/// A28: an IPv6 client owns a /64, so changing the last half of its address gains nothing.
#[tokio::test]
async fn an_ipv6_network_is_counted_as_one() {
    let gate = gate();
    for n in 0..5 {
        let from = format!("2001:db8::{n}");
        assert_eq!(log_in(&gate, &format!("u{n}"), "x", &from).await, Err(Rejected::Invalid));
    }
    let sixth = log_in(&gate, "u6", "x", "2001:db8::ffff:ffff:ffff:ffff").await;
    assert!(matches!(sixth, Err(Rejected::TooMany(_))), "{sixth:?}");
    assert_eq!(log_in(&gate, "u7", "x", "2001:db8:0:1::1").await, Err(Rejected::Invalid));
}

/// A rotation: the account stands there with both passwords, and both log in.
#[tokio::test]
async fn two_passwords_of_one_account_are_valid() {
    let hashed = Password::Hash(hash_password("old one").expect("hashes"));
    let passwords = [Password::Hash(hash_password("new one").expect("hashes")), hashed];
    let of = |password| ServiceAccount { email: "m@x.example".into(), password };
    let service_accounts = passwords.map(of).to_vec();
    let gate = Gate::new(Config { service_accounts, ..config() });
    for (password, is_valid) in [("new one", true), ("old one", true), ("older", false)] {
        let answer = log_in(&gate, "m@x.example", password, "203.0.113.7").await;
        assert_eq!(answer.is_ok(), is_valid, "{password}: {answer:?}");
    }
}

/// What was right is right for the accounts that it was checked against.
#[tokio::test]
async fn a_login_that_was_right_is_judged_again_when_the_accounts_change() {
    let of = |password: &str| {
        let password = Password::Hash(hash_password(password).expect("hashes"));
        let service_accounts = vec![ServiceAccount { email: "m@x.example".into(), password }];
        Config { service_accounts, ..config() }
    };
    let gate = Gate::new(of("old"));
    for _ in 0..3 {
        assert!(log_in(&gate, "m@x.example", "old", "203.0.113.7").await.is_ok());
        assert!(log_in(&gate, "m@x.example", "new", "203.0.113.7").await.is_err());
    }
    gate.adopt(of("new"));
    assert!(log_in(&gate, "m@x.example", "old", "203.0.113.7").await.is_err());
    assert!(log_in(&gate, "m@x.example", "new", "203.0.113.7").await.is_ok());
}
