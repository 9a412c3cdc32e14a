//! Keys of another issuer: when they are fetched, how long they are used, and what cannot make us
//! fetch or believe. The issuer is a script in memory; the clock runs only while everybody waits.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::pairs::{ec_pem, ed_pem, key, named, one_of_each, sign_with};
use super::*;
use crate::gate::JwksConfig;
use crate::net::{self, Failure, FailureKind, Outgoing};

const TTL: Duration = Duration::from_secs(300);
const INTERVAL: Duration = Duration::from_secs(30);
const STALE: Duration = Duration::from_secs(3600);

/// What the issuer answers now, and how often it was asked.
#[derive(Default)]
struct Issuer {
    answer: Mutex<Option<(u16, Bytes)>>,
    fetches: Mutex<usize>,
}

impl Issuer {
    fn publishes(&self, keys: &[Value]) {
        self.answers(200, json!({ "keys": keys }).to_string());
    }

    fn answers(&self, status: u16, body: impl Into<Bytes>) {
        *self.answer.lock() = Some((status, body.into()));
    }

    fn is_down(&self) {
        *self.answer.lock() = None;
    }

    fn fetches(&self) -> usize {
        *self.fetches.lock()
    }
}

impl Transport for Issuer {
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<net::HttpAnswer, Failure>> {
        assert_eq!(request.url.as_str(), "https://idp.example/jwks");
        *self.fetches.lock() += 1;
        let answer = self.answer.lock().clone();
        Box::pin(async move {
            // A moment, in which others may come and wait for the same.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let down = Failure { kind: FailureKind::Connect, cause: "down".into() };
            let (status, body) = answer.ok_or(down)?;
            Ok(net::HttpAnswer { status, body, ..net::HttpAnswer::default() })
        })
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<net::HttpAnswer, Failure>> {
        self.send(request)
    }
}

fn scene() -> (Arc<Issuer>, Gate) {
    let issuer = Arc::new(Issuer::default());
    let jwks = JwksConfig {
        url: "https://idp.example/jwks".parse().expect("url"),
        issuer: "idp".into(),
        audience: "authenticated".into(),
        ttl: TTL,
        refresh_min: INTERVAL,
        stale_max: STALE,
    };
    let gate = Gate::new(Config { jwks: Some(jwks), ..config() });
    (Arc::clone(&issuer), gate.fetching_over(issuer))
}

/// Claims as that issuer makes them.
fn their_claims() -> Value {
    json!({
        "iss": "idp", "aud": "authenticated", "sub": "7", "email": "ann@x.example",
        "role": "TRAINER", "exp": now_s() + 600,
    })
}

fn token_of(pair: &SigningKey) -> String {
    let header = named(&format!("{:?}", pair.algorithm()), pair.id());
    sign_with(&header, &their_claims(), pair)
}

async fn judged(gate: &Gate, token: &str) -> Result<Principal, Rejected> {
    let header = format!("Bearer {token}");
    gate.learn_key(Some(&header)).await;
    gate.authenticate(Some(&header), client())
}

#[tokio::test(start_paused = true)]
async fn a_published_key_of_each_algorithm_verifies_with_one_fetch() {
    let (issuer, gate) = scene();
    let all = one_of_each();
    let published: Vec<Value> = all.iter().map(|(_, pair)| pair.jwk()).collect();
    issuer.publishes(&published);
    for (alg, pair) in &all {
        let who = judged(&gate, &token_of(pair)).await.expect(alg);
        assert_eq!((who.name.as_str(), who.role), ("ann@x.example", Role::Editor), "{alg}");
        for wrong in all.iter().map(|(other, _)| other).filter(|other| *other != alg) {
            let token = sign_with(&named(wrong, pair.id()), &their_claims(), pair);
            assert!(judged(&gate, &token).await.is_err(), "{alg} called {wrong}");
        }
        let nameless = json!({ "alg": alg });
        let token = sign_with(&nameless, &their_claims(), pair);
        assert!(judged(&gate, &token).await.is_ok(), "{alg}: every key that fits is tried");
    }
    assert_eq!(issuer.fetches(), 1);
}

/// RFC 9068: an access token says that it is one. Ours never do.
#[tokio::test(start_paused = true)]
async fn access_tokens_are_taken_from_the_issuer_that_is_configured() {
    let (issuer, gate) = scene();
    let pair = key(&ed_pem());
    issuer.publishes(&[pair.jwk()]);
    for (typ, is_taken) in [
        ("at+jwt", true),
        ("AT+JWT", true),
        ("application/at+jwt", true),
        ("JWT", true),
        ("id+jwt", false),
        ("at", false),
    ] {
        let mut header = named("EdDSA", pair.id());
        header["typ"] = json!(typ);
        let token = sign_with(&header, &their_claims(), &pair);
        assert_eq!(judged(&gate, &token).await.is_ok(), is_taken, "{typ}");
        let ours = sign(&header_with("typ", json!(typ)), &good_claims(), KEY);
        assert_eq!(judged(&gate, &ours).await.is_ok(), typ == "JWT", "ours, {typ}");
    }
}

/// The issuer of the URL and we ourselves: each key vouches for its own issuer's tokens only.
#[tokio::test(start_paused = true)]
async fn a_key_speaks_for_its_own_issuer_only() {
    let (issuer, gate) = scene();
    let pair = key(&ed_pem());
    issuer.publishes(&[pair.jwk()]);
    assert!(judged(&gate, &token_of(&pair)).await.is_ok());
    let header = named("EdDSA", pair.id());
    for (claim, value) in [("iss", "here"), ("aud", "cache-mirror")] {
        let mut claims = their_claims();
        claims[claim] = json!(value);
        let token = sign_with(&header, &claims, &pair);
        assert_eq!(judged(&gate, &token).await, Err(Rejected::Invalid), "{claim}");
    }
    let ours = sign(&good_header(), &their_claims(), KEY);
    assert_eq!(judged(&gate, &ours).await, Err(Rejected::Invalid), "our secret, their issuer");
    assert!(judged(&gate, &sign(&good_header(), &good_claims(), KEY)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn unknown_names_cannot_storm_the_issuer() {
    let (issuer, gate) = scene();
    let (known, stranger) = (key(&ed_pem()), key(&ed_pem()));
    issuer.publishes(&[known.jwk()]);
    assert!(judged(&gate, &token_of(&known)).await.is_ok());
    tokio::time::advance(INTERVAL).await;
    for n in 0..100 {
        let token = sign_with(&named("EdDSA", &format!("k{n}")), &their_claims(), &stranger);
        assert!(judged(&gate, &token).await.is_err());
    }
    assert_eq!(issuer.fetches(), 2, "one for all the strangers");
    assert!(judged(&gate, &token_of(&known)).await.is_ok());
    // What is no token of theirs asks for nothing at all.
    tokio::time::advance(INTERVAL).await;
    for token in ["admin-now", "x.y.z", &sign(&good_header(), &good_claims(), "wrong")] {
        drop(judged(&gate, token).await);
    }
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_one_fetch_serves_all() {
    let (issuer, gate) = scene();
    let pair = key(&ec_pem());
    issuer.publishes(&[pair.jwk()]);
    let token = token_of(&pair);
    let all = futures_util::future::join_all((0..50).map(|_| judged(&gate, &token))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(issuer.fetches(), 1);
}

/// A client that goes away while it waits does not take the fetch with it.
#[tokio::test(start_paused = true)]
async fn a_fetch_outlives_who_asked_for_it() {
    let (issuer, gate) = scene();
    let pair = key(&ed_pem());
    issuer.publishes(&[pair.jwk()]);
    let token = token_of(&pair);
    let gone = tokio::time::timeout(Duration::from_millis(1), judged(&gate, &token)).await;
    assert!(gone.is_err(), "it went before the keys came");
    assert!(judged(&gate, &token).await.is_ok());
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_at_the_issuer_is_followed_both_ways() {
    let (issuer, gate) = scene();
    let (old, new) = (key(&ed_pem()), key(&ec_pem()));
    issuer.publishes(&[old.jwk()]);
    assert!(judged(&gate, &token_of(&old)).await.is_ok());
    issuer.publishes(&[old.jwk(), new.jwk()]);
    assert!(judged(&gate, &token_of(&new)).await.is_err(), "not within the least interval");
    tokio::time::advance(INTERVAL).await;
    assert!(judged(&gate, &token_of(&new)).await.is_ok());
    issuer.publishes(&[new.jwk()]);
    assert!(judged(&gate, &token_of(&old)).await.is_ok(), "known until the time is over");
    tokio::time::advance(TTL + Duration::from_secs(1)).await;
    assert!(judged(&gate, &token_of(&old)).await.is_err(), "withdrawn");
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_go_on_working_while_the_issuer_is_down_up_to_a_limit() {
    let (issuer, gate) = scene();
    let pair = key(&ed_pem());
    issuer.publishes(&[pair.jwk()]);
    let token = {
        let mut claims = their_claims();
        claims["exp"] = json!(now_s() + 100_000);
        sign_with(&named("EdDSA", pair.id()), &claims, &pair)
    };
    assert!(judged(&gate, &token).await.is_ok());
    issuer.is_down();
    tokio::time::advance(TTL + INTERVAL).await;
    assert!(judged(&gate, &token).await.is_ok());
    // Once the issuer is known to be down, no request waits for it.
    tokio::time::advance(INTERVAL).await;
    let asked_at = tokio::time::Instant::now();
    assert!(judged(&gate, &token).await.is_ok());
    assert_eq!(asked_at.elapsed(), Duration::ZERO);
    tokio::time::advance(STALE).await;
    assert_eq!(judged(&gate, &token).await, Err(Rejected::Invalid));
    issuer.publishes(&[pair.jwk()]);
    tokio::time::advance(INTERVAL).await;
    assert!(judged(&gate, &token).await.is_ok(), "it is back");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_no_key_set_and_replaces_none() {
    let (issuer, gate) = scene();
    let pair = key(&ed_pem());
    issuer.publishes(&[pair.jwk()]);
    assert!(judged(&gate, &token_of(&pair)).await.is_ok());
    let padded = json!({ "keys": [pair.jwk()], "padding": "x".repeat(64 * 1024) }).to_string();
    let many = json!({ "keys": vec![pair.jwk(); 33] }).to_string();
    for (status, body) in [
        (200, "<h1>Welcome</h1>"),
        (200, ""),
        (200, "[]"),
        (200, r#"{"keys":{}}"#),
        (200, &padded),
        (200, &many),
        (404, r#"{"keys":[]}"#),
        (302, r#"{"keys":[]}"#),
        (500, r#"{"keys":[]}"#),
    ] {
        issuer.answers(status, body.to_owned());
        let before = issuer.fetches();
        tokio::time::advance(INTERVAL).await;
        let stranger = sign_with(&named("EdDSA", "?"), &their_claims(), &pair);
        assert!(judged(&gate, &stranger).await.is_err());
        assert_eq!(issuer.fetches(), before + 1, "{status}: it was asked");
        assert!(judged(&gate, &token_of(&pair)).await.is_ok(), "{status}: the keys stay");
    }
}

/// Keys that are not for this: each alone, so that nothing else can be what verifies.
#[tokio::test(start_paused = true)]
async fn keys_of_no_use_are_left_out() {
    let pair = key(&ec_pem());
    let changed = |name: &str, value: Value| {
        let mut jwk = pair.jwk();
        jwk[name] = value;
        jwk
    };
    for (jwk, is_of_use) in [
        (pair.jwk(), true),
        (changed("key_ops", json!(["verify"])), true),
        (changed("use", json!("enc")), false),
        (changed("key_ops", json!(["sign"])), false),
        (changed("alg", json!("RS256")), false),
        (changed("alg", json!(null)), false),
        (changed("crv", json!("P-384")), false),
        (changed("kty", json!("OKP")), false),
        (changed("kid", json!(7)), false),
        (changed("x", json!("AAAA")), false),
        (changed("y", json!("not base64!")), false),
        (json!("a key"), false),
    ] {
        let (issuer, gate) = scene();
        issuer.publishes(std::slice::from_ref(&jwk));
        assert_eq!(judged(&gate, &token_of(&pair)).await.is_ok(), is_of_use, "{jwk}");
    }
}

/// A published symmetric key is not a secret.
#[tokio::test(start_paused = true)]
async fn a_published_secret_is_no_key() {
    let (issuer, gate) = scene();
    let k = URL_SAFE_NO_PAD.encode("their key, 32 bytes of it and more");
    issuer.publishes(&[json!({ "kty": "oct", "k": k, "kid": "s", "alg": "HS256" })]);
    let stranger = sign_with(&named("EdDSA", "?"), &their_claims(), &key(&ed_pem()));
    assert!(judged(&gate, &stranger).await.is_err(), "now the set is fetched");
    for claims in [their_claims(), good_claims()] {
        let token = sign(&named("HS256", "s"), &claims, "their key, 32 bytes of it and more");
        assert_eq!(judged(&gate, &token).await, Err(Rejected::Invalid));
    }
    assert_eq!(issuer.fetches(), 1);
}
