//! Key pairs: what each algorithm signs passes, and no key serves for another algorithm
//! (reliability A6-A9). Keys are generated for each run; the RSA ones once for all tests.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::engine::general_purpose::STANDARD;

use super::*;

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub fn ed_pem() -> String {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("generates");
    pem("PRIVATE KEY", der.as_ref())
}

pub fn ec_pem() -> String {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
    pem("PRIVATE KEY", der.expect("generates").as_ref())
}

/// The private and the public half in PEM.
static RSA: LazyLock<(String, String)> = LazyLock::new(|| {
    let pair = RsaPair::generate(KeySize::Rsa2048).expect("generates");
    let der = AsDer::<Pkcs8V1Der>::as_der(&pair).expect("encodes");
    let read = RsaKeyPair::from_pkcs8(der.as_ref()).expect("reads");
    let public = AsDer::<PublicKeyX509Der>::as_der(read.public_key()).expect("encodes");
    (pem("PRIVATE KEY", der.as_ref()), pem("PUBLIC KEY", public.as_ref()))
});

pub fn rsa_pem() -> String {
    RSA.0.clone()
}

pub fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem).expect("a key")
}

/// One of each algorithm, with the algorithm's name.
pub fn one_of_each() -> [(&'static str, SigningKey); 3] {
    [("EdDSA", key(&ed_pem())), ("ES256", key(&ec_pem())), ("RS256", key(&rsa_pem()))]
}

/// The good claims under a header, signed by a pair whatever the header says.
pub fn sign_with(header: &Value, claims: &Value, pair: &SigningKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes())))
}

pub fn named(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "typ": "JWT", "kid": kid })
}

fn gate_with(keys: &[&SigningKey]) -> Gate {
    let signing_keys = keys.iter().map(|key| (*key).clone()).collect();
    Gate::new(Config { signing_keys, token_failures_per_minute: 1_000, ..config() })
}

fn judged(gate: &Gate, token: &str) -> Result<Principal, Rejected> {
    gate.authenticate(Some(&format!("Bearer {token}")), client())
}

#[tokio::test]
async fn login_signs_with_the_private_key_and_the_token_passes() {
    for (alg, pair) in one_of_each() {
        let gate = gate_with(&[&pair]);
        let password = Secret::new("correct horse");
        let (token, _) = gate.login("mirror@b.example", password, client()).await.expect(alg);
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
        let header: Value = serde_json::from_slice(&header.expect("base64url")).expect("JSON");
        assert_eq!(header, json!({ "typ": "JWT", "alg": alg, "kid": pair.id() }));
        assert_eq!(judged(&gate, &token).expect(alg).role, Role::Service);
        assert_eq!(judge(&token), Err(Rejected::Invalid), "{alg}: another gate has no such key");
    }
}

/// With a private key, the shared secret and the previous key still verify tokens.
#[test]
fn a_rotation_has_two_valid_keys_and_a_secret_stays_valid_beside_them() {
    let [(_, ed), (_, ec), (_, rsa)] = one_of_each();
    let gate = gate_with(&[&ed, &ec]);
    for pair in [&ed, &ec] {
        let header = named(&format!("{:?}", pair.algorithm()), pair.id());
        assert!(judged(&gate, &sign_with(&header, &good_claims(), pair)).is_ok(), "{pair:?}");
    }
    assert!(judged(&gate, &sign(&good_header(), &good_claims(), KEY)).is_ok());
    let gone = sign_with(&named("RS256", rsa.id()), &good_claims(), &rsa);
    assert_eq!(judged(&gate, &gone), Err(Rejected::Invalid));
    let published = gate.public_keys();
    let names: Vec<&Value> =
        published["keys"].as_array().expect("keys").iter().map(|jwk| &jwk["kid"]).collect();
    assert_eq!(names, [ed.id(), ec.id()]);
}

/// A6-A9: the algorithm is the key's. Every other name for it is refused, also under its own `kid`.
#[test]
fn a_key_verifies_its_own_algorithm_only() {
    let all = one_of_each();
    let keys: Vec<&SigningKey> = all.iter().map(|(_, key)| key).collect();
    let gate = gate_with(&keys);
    for (right, pair) in &all {
        for alg in ["EdDSA", "ES256", "RS256", "HS256", "RS512", "PS256", "ES384", "none", ""] {
            let token = sign_with(&named(alg, pair.id()), &good_claims(), pair);
            assert_eq!(judged(&gate, &token).is_ok(), alg == *right, "{alg} by a {right} key");
        }
        for (_, other) in all.iter().filter(|(alg, _)| alg != right) {
            let token = sign_with(&named(right, pair.id()), &good_claims(), other);
            assert_eq!(judged(&gate, &token), Err(Rejected::Invalid), "{right} by another key");
        }
        let nameless = json!({ "alg": right, "typ": "JWT" });
        let token = sign_with(&nameless, &good_claims(), pair);
        assert_eq!(judged(&gate, &token), Err(Rejected::Invalid), "a pair goes by its name");
    }
}

/// A8: the classic. The public half is no secret, in whatever form it is used as one.
#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let pair = key(&rsa_pem());
    let gate = gate_with(&[&pair]);
    let public = &RSA.1;
    let modulus = pair.jwk()["n"].as_str().expect("n").to_owned();
    for secret in [public.as_str(), public.trim_end(), &modulus, pair.id(), &pair.jwk().to_string()]
    {
        for header in [named("HS256", pair.id()), named("RS256", pair.id()), good_header()] {
            let token = sign(&header, &good_claims(), secret);
            assert_eq!(judged(&gate, &token), Err(Rejected::Invalid), "{header}");
        }
    }
}

#[test]
fn what_is_no_signing_key_is_refused() {
    let ed = ed_pem();
    for text in [
        "",
        "a secret of more than 32 bytes, but no key",
        RSA.1.as_str(),
        &ed.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        &ed.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        &ed[..ed.len() / 2],
        &pem("PRIVATE KEY", b"no DER"),
    ] {
        assert_eq!(SigningKey::from_pem(text).err(), Some(BadKey), "{text}");
    }
    let shown = format!("{:?}", key(&ed));
    assert!(shown.starts_with("SigningKey(EdDSA ") && shown.len() < 80, "{shown}");
}
