//! The header of a token (reliability A5-A13): it chooses nothing but one of our own keys.

use super::*;

/// A5-A9: the algorithm is ours to choose. Each is signed with the right key, so that only the
/// header can be what is refused.
#[test]
fn another_algorithm_is_refused_even_when_signed_with_our_key() {
    for alg in ["none", "NoNe", "NONE", "", "HS512", "HS384", "RS256", "ES256", "EdDSA", "hs256"] {
        let token = sign(&header_with("alg", json!(alg)), &good_claims(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{alg}");
    }
    for header in ["{}", r#"{"typ":"JWT"}"#, r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#] {
        let token = sign_text(header, &good_claims().to_string(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{header}");
    }
    let twice = r#"{"alg":"HS256","alg":"none"}"#;
    let token = sign_text(twice, &good_claims().to_string(), KEY);
    assert_eq!(judge(&token), Err(Rejected::Invalid), "{twice}");
}

/// A5: the unsigned form, with nothing after the last dot.
#[test]
fn a_token_without_signature_is_none() {
    for header in [good_header(), header_with("alg", json!("none"))] {
        let token = sign(&header, &good_claims(), KEY);
        let (signed, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(judge(&format!("{signed}.")), Err(Rejected::Invalid));
        assert_eq!(judge(signed), Err(Rejected::Invalid));
    }
}

/// A10-A12: `kid` is only compared with the names of our keys; keys and addresses in a header are
/// not looked at, so with the right signature they change nothing and with another one they cannot
/// help.
#[test]
fn key_names_and_addresses_in_a_header_decide_nothing() {
    let traversal = json!("../../../../dev/null");
    for (name, value) in [
        ("kid", traversal),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("x".repeat(4_000))),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://169.254.169.254/latest")),
        (
            "jwk",
            json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode("their key, 32 bytes of it all") }),
        ),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = header_with(name, value);
        assert!(judge(&sign(&header, &good_claims(), KEY)).is_ok(), "{header}");
        let forged = sign(&header, &good_claims(), "their key, 32 bytes of it all");
        assert_eq!(judge(&forged), Err(Rejected::Invalid), "{header}");
        assert_eq!(judge(&sign(&header, &good_claims(), "")), Err(Rejected::Invalid), "{header}");
    }
    let number = header_with("kid", json!(7));
    assert_eq!(judge(&sign(&number, &good_claims(), KEY)), Err(Rejected::Invalid));
}

/// A12: RFC 7515 section 4.1.11. We understand no extension, so nothing critical can be honoured.
#[test]
fn anything_critical_is_refused() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("exp"), json!(null)] {
        let token = sign(&header_with("crit", crit.clone()), &good_claims(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{crit}");
    }
    for b64 in [json!(false), json!(true), json!(null)] {
        let token = sign(&header_with("b64", b64.clone()), &good_claims(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "b64 {b64} (RFC 7797)");
    }
}

#[test]
fn a_header_member_said_twice_is_refused() {
    for members in [r#""kid":"a","kid":"a","#, r#""x":1,"x":1,"#, r#""typ":"JWT","#] {
        let header = good_header().to_string().replacen('{', &format!("{{{members}"), 1);
        let token = sign_text(&header, &good_claims().to_string(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{header}");
    }
}

/// A13: a token that was made for something else.
#[test]
fn only_a_plain_jwt_is_one() {
    for typ in ["at+jwt", "application/at+jwt", "secevent+jwt", "JWE", ""] {
        let token = sign(&header_with("typ", json!(typ)), &good_claims(), KEY);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{typ}");
    }
    for header in [json!({ "alg": "HS256" }), header_with("typ", json!("application/jwt"))] {
        assert!(judge(&sign(&header, &good_claims(), KEY)).is_ok(), "{header}");
    }
}
