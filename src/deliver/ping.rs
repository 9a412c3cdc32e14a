//! A mirror asked now, from here: who is there, does it take our account, how long does it take.
//!
//! It tells an operator and decides nothing: what deliveries know of the mirror stays as it is. The
//! login is a real one, beside the token in use, so that a working token hides no broken account.

use std::time::{Duration, Instant};

use serde::Serialize;
use url::Url;

use super::credentials::{Account, LoginFailure};
use super::identity::{Answered, BootNonce, probe};
use super::{Delivery, Login, Mint};
use crate::net::Transport;

/// The question of who is there; a login may take the mirrors' own time limit.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

/// What came of it. Every text is safe to show.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Ping {
    /// The mirror's name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Whether anything answered.
    pub reachable: bool,
    /// `cache-mirror`, `legacy`, `self`, or `unknown` where nothing answered.
    pub kind: &'static str,
    /// Its `instance.name`, where it said one.
    pub instance: Option<String>,
    /// Its product version, where it said one.
    pub version: Option<String>,
    /// `equal` or `differs`, where it said its graph.
    pub graph: Option<&'static str>,
    /// From the question to the answer, a new connection included.
    pub round_trip_ms: Option<f64>,
    /// `ok`, `refused`, `failed`, `none` where no account is set, or `skipped`.
    pub login: &'static str,
    /// Why the login did not work.
    pub login_error: Option<String>,
    /// Why nothing answered.
    pub error: Option<String>,
}

impl Ping {
    fn of(name: &str, url: String) -> Self {
        Self {
            name: name.to_owned(),
            url,
            reachable: false,
            kind: "unknown",
            instance: None,
            version: None,
            graph: None,
            round_trip_ms: None,
            login: "skipped",
            login_error: None,
            error: None,
        }
    }
}

/// Who asks: a running instance, or a command where none runs.
pub struct Asker<'a> {
    /// To find oneself by.
    pub own: &'a BootNonce,
    /// The hash of our graph.
    pub graph: &'a str,
    /// Who makes tokens of our own.
    pub mint: Mint,
    /// One exchange, connect to last byte.
    pub timeout: Duration,
    /// The way there.
    pub over: &'a dyn Transport,
}

impl Delivery {
    /// Asks one mirror; `None` where there is none of that name.
    pub async fn ping(&self, name: &str) -> Option<Ping> {
        let peer = self.find(name)?;
        let shared = &*self.shared;
        let config = shared.config.get();
        let rules = shared.sender.rules.get();
        let asker = Asker {
            own: &shared.own,
            graph: rules.graph().hash(),
            mint: config.mint.clone(),
            timeout: config.timeout,
            over: shared.transport_to(&peer),
        };
        Some(asker.ask(name, &peer.config.base, peer.account.login()).await)
    }
}

impl Asker<'_> {
    /// Asks who is at `base`, and logs in.
    pub async fn ask(&self, name: &str, base: &Url, login: Login) -> Ping {
        let mut ping = Ping::of(name, base.to_string());
        let begun = Instant::now();
        let time_max = PROBE_TIME_MAX.min(self.timeout);
        let answered = match probe(base, self.own, time_max, self.over).await {
            Ok((answered, _)) => answered,
            Err(failure) => {
                ping.error = Some(failure.to_string());
                return ping;
            }
        };
        ping.reachable = true;
        ping.round_trip_ms = Some(begun.elapsed().as_secs_f64() * 1e3);
        let login_path = match answered {
            Answered::Oneself => {
                ping.kind = "self";
                return ping;
            }
            Answered::Legacy => {
                ping.kind = "legacy";
                None
            }
            Answered::CacheMirror(identity) => {
                ping.kind = "cache-mirror";
                ping.graph = Some(if identity.graph == self.graph { "equal" } else { "differs" });
                ping.instance = Some(identity.instance);
                ping.version = Some(identity.version);
                Some(identity.paths.login)
            }
        };
        // As for deliveries: a login URL of the operator's wins over what the mirror says.
        let account = Account::new(login, self.mint.clone(), self.timeout);
        let path = login_path.filter(|_| account.takes_login_path());
        let outcome = account.token(base, path.as_deref(), self.over).await;
        (ping.login, ping.login_error) = match outcome {
            Ok(_) => ("ok", None),
            Err(failure) => (word(&failure), Some(failure.to_string())),
        };
        ping
    }
}

fn word(failure: &LoginFailure) -> &'static str {
    match failure {
        LoginFailure::NoCredentials => "none",
        LoginFailure::Refused(_) => "refused",
        _ => "failed",
    }
}
