//! The claims and the shape of a token (reliability A14-A24).

use std::time::Instant;

use super::*;

/// A14-A19: each claim by itself, everything else as it should be.
#[test]
fn every_claim_that_matters_is_required_and_typed() {
    let now = now_s();
    for (claim, value) in [
        ("exp", json!(null)),
        ("exp", json!((now + 600).to_string())),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!([now + 600])),
        ("exp", json!(now as f64 - LEEWAY_S as f64 - 1.5)),
        ("exp", json!(1e20)),
        ("exp", json!(-1e9)),
        ("exp", json!(true)),
        ("nbf", json!(now as f64 + LEEWAY_S as f64 + 30.5)),
        ("nbf", json!(-1)),
        ("nbf", json!(1e300)),
        ("iat", json!(now as f64 + LEEWAY_S as f64 + 30.5)),
        ("iat", json!(-0.5)),
        ("exp", json!(now - LEEWAY_S - 2)),
        ("nbf", json!(now + 600)),
        ("nbf", json!("soon")),
        ("nbf", json!((now - 600).to_string())),
        ("nbf", json!({})),
        ("iat", json!(now + 600)),
        ("iat", json!("now")),
        ("aud", json!(null)),
        ("aud", json!("another-product")),
        ("aud", json!([])),
        ("aud", json!(["another-product"])),
        ("aud", json!(7)),
        ("iss", json!(null)),
        ("iss", json!("elsewhere")),
        ("iss", json!(["here"])),
        ("iss", json!(["elsewhere", "here"])),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(["ann@x.example"])),
        ("email", json!(7)),
    ] {
        let token = sign(&good_header(), &claims_with(claim, value.clone()), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{claim} = {value}");
    }
}

/// The same table the other way round: what is right passes, so that the table above can fail.
#[test]
fn what_is_right_passes() {
    let now = now_s();
    for (claim, value) in [
        ("exp", json!(now + 600)),
        ("exp", json!(now - 2)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(now as f64 + 600.25)),
        ("exp", json!(now as f64 - 0.75)),
        ("nbf", json!(now as f64 - 0.5)),
        ("nbf", json!(now as f64 + 1.999)),
        ("nbf", json!(0)),
        ("iat", json!(now as f64 - 1234.5678)),
        ("nbf", json!(now - 600)),
        ("nbf", json!(now + 2)),
        ("iat", json!(now + 2)),
        ("iat", json!(null)),
        ("aud", json!(["another-product", "cache-mirror"])),
        ("email", json!("bea@x.example")),
        ("unknown", json!({ "to": ["us"] })),
    ] {
        let token = sign(&good_header(), &claims_with(claim, value.clone()), KEY);
        assert!(judge(&token).is_ok(), "{claim} = {value}");
    }
}

/// A duplicate claim is ambiguous, so the token is refused.
#[test]
fn a_claim_said_twice_is_refused() {
    let claims = good_claims().to_string();
    let twice = claims.replacen('{', r#"{"sub":"root","#, 1);
    assert_eq!(judge(&sign_text(&good_header().to_string(), &twice, KEY)), Err(Rejected::Invalid));
    for twice in [r#"{"role":"x","#, r#"{"un":1,"un":1,"#, r#"{"un":{"a":1,"a":2},"#] {
        let twice = claims.replacen('{', twice, 1);
        let token = sign_text(&good_header().to_string(), &twice, KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{twice}");
    }
}

/// RFC 7519 section 2: a number in any form that JSON has.
#[test]
fn a_date_is_a_number_in_any_form() {
    let later = now_s() + 600;
    let with_exp = |exp: &str| {
        let claims = claims_with("exp", Value::Null).to_string();
        let claims = claims.replacen('{', &format!(r#"{{"exp":{exp},"#), 1);
        judge(&sign_text(&good_header().to_string(), &claims, KEY))
    };
    let exponents = [format!("{}e-3", later * 1000), format!("{later}.000e0"), "4.1e9".into()];
    for exp in exponents.iter().chain([&later.to_string(), &format!("{later}.999999999")]) {
        assert!(with_exp(exp).is_ok(), "{exp}");
    }
    for exp in ["1e999", "-0.1", "1e9", "null", "\"4.1e9\"", "{}"] {
        assert_eq!(with_exp(exp), Err(Rejected::Invalid), "{exp}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = sign(&good_header(), &good_claims(), KEY);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("three parts") };
    let mut tampered = signature.to_owned();
    let first = if tampered.starts_with('A') { "B" } else { "A" };
    tampered.replace_range(0..1, first);
    let other_claims = URL_SAFE_NO_PAD.encode(claims_with("role", json!("x")).to_string());
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{good}.x"),
        format!("{header}.{claims}.{tampered}"),
        format!("{header}.{other_claims}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{claims}.{signature}"),
        good[..good.len() - 4].to_owned(),
        format!("{good}="),
        format!("{header}.{claims}.!!!!"),
        "é.é.é".into(),
    ] {
        assert!(judge(&token).is_err(), "{token}");
    }
    assert!(judge(&good).is_ok());
}

/// A24: megabytes are not decoded. The bound is generous, because the machine may be busy; decoding
/// and hashing 16 MiB twice takes many times as long.
#[test]
fn an_endless_token_is_refused_without_being_read() {
    let padding = "x".repeat(16 * 1024 * 1024);
    let token = sign(&good_header(), &claims_with("padding", json!(padding)), KEY);
    let header = format!("Bearer {token}");
    let gate = gate();
    let started = Instant::now();
    assert_eq!(gate.authenticate(Some(&header), client()), Err(Rejected::Invalid));
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

/// A23 and the rotation: two keys are valid, one that left is not.
#[test]
fn the_previous_key_is_accepted_and_one_rotated_away_is_not() {
    for key in [KEY, KEY_BEFORE] {
        assert!(judge(&sign(&good_header(), &good_claims(), key)).is_ok(), "{key}");
    }
    for key in ["the key before that one, 32 bytes or more", "", "\0"] {
        let token = sign(&good_header(), &good_claims(), key);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{key:?}");
    }
}

/// A token that we issued before a rotation goes on working while its key is still listed.
#[tokio::test]
async fn a_token_of_ours_outlives_one_rotation() {
    let login = |gate: Gate| async move {
        let password = Secret::new("correct horse");
        gate.login("mirror@b.example", password, client()).await.expect("logs in").0
    };
    let before = Config { jwt_secrets: vec![Secret::new(KEY_BEFORE)], ..config() };
    let token = login(Gate::new(before)).await;
    assert!(judge(&token).is_ok());
    let after = Config { jwt_secrets: vec![Secret::new(KEY)], ..config() };
    let header = format!("Bearer {token}");
    let judged = Gate::new(after).authenticate(Some(&header), client());
    assert_eq!(judged, Err(Rejected::Invalid));
}
