//! Other login methods than the plain login: a self-signed token, a configured one, or a form.

use super::scene::login_request;
use super::stub::good_mirror;
use super::*;
use crate::support::Secret;

fn with(means: LoginMethod, email: &str, password: &str, mint: Mint) -> Scene {
    let password = Secret::new(password);
    let credentials = Some(Credentials { email: email.into(), password });
    let peer = PeerConfig { login: Login { credentials, means }, ..peer("b") };
    Scene::of(Config { mint, ..config(vec![peer]) }, good_mirror)
}

/// It is renewed before it ends, without a request to the peer.
#[tokio::test(start_paused = true)]
async fn a_self_signed_token_is_made_and_renewed() {
    let made = std::sync::atomic::AtomicUsize::new(0);
    let mint = Mint::new(move |email, audience| {
        let count = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let token = Secret::new(format!("{email}/{audience}/{count}"));
        Some((token, Duration::from_secs(100)))
    });
    let means = LoginMethod::SelfSigned { audience: "them".into() };
    let scene = with(means, "me@here", "", mint);
    for expected in ["Bearer me@here/them/0", "Bearer me@here/them/1"] {
        scene.log(whole("posts")).await;
        scene.delivered().await;
        let last = scene.sends().pop().expect("a send");
        assert_eq!(last.bearer.as_deref(), Some(expected));
        tokio::time::sleep(Duration::from_secs(81)).await;
    }
    assert_eq!(scene.logins(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_key_the_peer_is_paused() {
    let means = LoginMethod::SelfSigned { audience: "them".into() };
    let scene = with(means, "me@here", "", Mint::default());
    scene.log(whole("posts")).await;
    scene.until("the pause", |scene| scene.view().paused.as_deref() == Some("auth")).await;
    assert!(scene.sends().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_configured_token_is_used_as_it_is() {
    let scene = with(LoginMethod::Bearer(Secret::new("given")), "", "", Mint::default());
    scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.sends()[0].bearer.as_deref(), Some("Bearer given"));
    assert_eq!(scene.logins(), 0);
}

/// Whatever a password contains, it stays one value of the body.
#[tokio::test(start_paused = true)]
async fn a_password_stays_one_value() {
    let nasty = "p&client_id=root\",\"x\":\"{email}%+ é";
    for (is_form, template, expected) in [
        (
            true,
            "id={email}&secret={password}",
            "id=me%7Bpassword%7D%40here&secret=p%26client_id%3Droot%22%2C%22x%22%3A%22%7Bemail%7D\
             %25%2B+%C3%A9",
        ),
        (
            false,
            r#"{"e":{email},"p":{password}}"#,
            "{\"e\":\"me{password}@here\",\
             \"p\":\"p&client_id=root\\\",\\\"x\\\":\\\"{email}%+ é\"}",
        ),
    ] {
        let request = LoginRequest { body: template.into(), is_form, ..login_request() };
        let means = LoginMethod::Request(Box::new(request));
        let scene = with(means, "me{password}@here", nasty, Mint::default());
        scene.until("the login", |scene| scene.logins() == 1).await;
        assert_eq!(scene.peers.asked("b", What::Login)[0].text, expected);
    }
}
