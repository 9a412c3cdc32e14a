//! Probes a mirror on request: whether it answers, whether it accepts our account, and how long it
//! takes.
//!
//! The result informs an operator. It changes nothing in the state of deliveries. The login is a
//! real one, next to the token in use, so that a working token does not hide a broken account.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use url::Url;

use super::credentials::{Account, LoginFailure, below};
use super::identity::{
    BootNonce, PATH, ParsedIdentity, ProbeResult, REVALIDATE, SecretCheck, nonce, probe,
};
use super::peer::PeerKind;
use super::{Delivery, Login, Mint};
use crate::net::{Outgoing, Transport};
use crate::support::Secret;
use crate::wire::PingReport;

/// The time limit of the probe. A login may take the time limit of the mirrors.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

impl PingReport {
    fn of(name: &str, url: String) -> Self {
        Self {
            name: name.to_owned(),
            url,
            reachable: false,
            kind: "unknown".into(),
            instance: None,
            version: None,
            graph: None,
            round_trip_ms: None,
            login: "skipped".into(),
            login_error: None,
            revalidate_secret: None,
            error: None,
        }
    }
}

/// What a ping needs: from a running instance, or from a command without one.
pub struct Pinger<'a> {
    /// Recognises this instance in an answer.
    pub own: &'a BootNonce,
    /// The hash of our graph.
    pub graph: &'a str,
    /// Makes self-signed tokens.
    pub mint: Mint,
    /// The time limit of one exchange, from connect to the last byte.
    pub timeout: Duration,
    /// The secrets of revalidation routes that we know.
    pub revalidate_secrets: Vec<Secret>,
    /// The transport.
    pub over: &'a dyn Transport,
}

impl Delivery {
    /// Pings one destination. `None` if no destination has this name.
    pub async fn ping(&self, name: &str) -> Option<PingReport> {
        let peer = self.find(name)?;
        let shared = &*self.shared;
        let config = shared.config.get();
        let rules = shared.sender.rules.get();
        let pinger = Pinger {
            own: &shared.own,
            graph: rules.graph().hash(),
            mint: config.mint.clone(),
            timeout: config.timeout,
            revalidate_secrets: config.known_revalidate_secrets(),
            over: shared.transport_to(&peer),
        };
        let base = &peer.config.base;
        Some(match peer.config.class.target() {
            None => {
                let is_legacy = matches!(peer.kind(), PeerKind::Legacy);
                pinger.ping_mirror(name, base, peer.account.login(), is_legacy).await
            }
            Some(target) => {
                PingReport { kind: target.kind().into(), ..pinger.probe_base(name, base).await.0 }
            }
        })
    }
}

impl Pinger<'_> {
    /// Probes `base` and logs in. One answer without an identity does not prove a legacy server, so
    /// `is_legacy` states whether it is known to be one.
    pub async fn ping_mirror(
        &self,
        name: &str,
        base: &Url,
        login: Login,
        is_legacy: bool,
    ) -> PingReport {
        let (mut ping, answered) = self.probe_base(name, base).await;
        let Some(answered) = answered else { return ping };
        let login_path = match answered {
            ProbeResult::Oneself => {
                ping.kind = "self".into();
                return ping;
            }
            ProbeResult::Absent | ProbeResult::Unclear { .. } => {
                ping.kind = if is_legacy { "legacy" } else { "unknown" }.into();
                None
            }
            ProbeResult::CacheMirror(parsed) => {
                let identity = parsed.identity;
                ping.kind = "cache-mirror".into();
                let is_equal = identity.graph == self.graph;
                ping.graph = Some(if is_equal { "equal" } else { "differs" }.into());
                ping.instance = Some(identity.instance);
                ping.version = Some(identity.version);
                Some(identity.paths.login)
            }
        };
        // As for deliveries, a login URL in the settings wins over the path that the mirror names.
        let account = Account::new(login, self.mint.clone(), self.timeout);
        let path = login_path.filter(|_| account.takes_login_path());
        let outcome = account.token(base, path.as_deref(), self.over).await;
        let token = match outcome {
            Ok(obtained) => obtained.token,
            Err(failure) => {
                ping.login = login_result(&failure).into();
                ping.login_error = Some(failure.to_string());
                return ping;
            }
        };
        ping.login = "ok".into();
        if ping.kind == "cache-mirror" {
            match self.compare(base, &token).await {
                Ok(result) => ping.revalidate_secret = result.map(Into::into),
                // No login has verified a token that is self-signed or configured.
                Err(status) => {
                    ping.login = "refused".into();
                    ping.login_error = Some(format!("the token is refused with http {status}"));
                }
            }
        }
        ping
    }

    /// Probes `base`.
    async fn probe_base(&self, name: &str, base: &Url) -> (PingReport, Option<ProbeResult>) {
        let mut ping = PingReport::of(name, base.to_string());
        let begun = Instant::now();
        let time_max = PROBE_TIME_MAX.min(self.timeout);
        match probe(base, self.own, time_max, self.over).await {
            Ok((answered, _)) => {
                ping.reachable = true;
                ping.round_trip_ms = Some(begun.elapsed().as_secs_f64() * 1e3);
                (ping, Some(answered))
            }
            Err(failure) => {
                ping.error = Some(failure.to_string());
                (ping, None)
            }
        }
    }

    /// Compares the peer's revalidation secret with ours, if both are known and the peer reports
    /// it. Otherwise returns the status with which it refused the token.
    async fn compare(&self, base: &Url, token: &Secret) -> Result<Option<&'static str>, u16> {
        let nonce = nonce();
        let Some(mut url) = below(base, PATH) else { return Ok(None) };
        url.set_query(Some(&format!("nonce={nonce}&check={REVALIDATE}")));
        let request = Outgoing {
            method: Method::GET,
            url,
            headers: vec![(AUTHORIZATION, format!("Bearer {}", token.expose()))],
            body: Bytes::new(),
            timeout: PROBE_TIME_MAX.min(self.timeout),
        };
        let Ok(answer) = self.over.send(request).await else { return Ok(None) };
        if answer.status == 401 {
            return Err(answer.status);
        }
        let identity = ParsedIdentity::parse(&answer.body).map(|parsed| parsed.identity);
        let ours = SecretCheck::of(&self.revalidate_secrets, &nonce);
        let theirs = identity.and_then(|identity| identity.check);
        Ok(theirs.filter(|_| ours.known).map(|theirs| theirs.compare(&ours)))
    }
}

fn login_result(failure: &LoginFailure) -> &'static str {
    match failure {
        LoginFailure::NoCredentials => "none",
        LoginFailure::Refused(_) => "refused",
        _ => "failed",
    }
}
