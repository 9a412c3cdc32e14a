//! `health`: whether an instance runs, or can take invalidations; for the health check of a
//! container, which has no shell and no curl.
//!
//! Without `--server` it asks where the instance of these settings listens, so that a check on
//! the same host needs no argument. It sends no credentials, and never waits long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::client::Client;
use super::connect::{SERVER_DEFAULT, server};
use super::settings::SettingsArgs;
use super::{Exit, print};
use crate::config;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror health                          exit code 0, 1 (not well) or 4 (no answer)
  cache-mirror health --ready --json
  cache-mirror health --server http://10.0.0.7:4400";

/// The whole question; container platforms allow some seconds and then kill the check.
const TIME_MAX: Duration = Duration::from_secs(4);

/// Arguments of `health`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The instance's control API [env: CACHE_MIRROR_URL] [default: control.listen, on this host]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Ask whether it can keep invalidations (/readyz), not just whether it runs (/healthz)
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Runs the command.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = Client::new(args.base()?, None, Duration::ZERO)?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let asked = client.send(client.request(Method::GET, path)?);
    let answer = tokio::time::timeout(TIME_MAX, asked).await.unwrap_or_else(|_| {
        let seconds = TIME_MAX.as_secs();
        Err(Exit::Unreachable(format!("{} did not answer within {seconds} s", client.server())))
    })?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(status) = document["status"].as_str().map(print::safe) else {
        // A refusal of the guard is reported as for any command.
        client.answered(&answer)?;
        let server = client.server();
        return Err(Exit::Failed(format!("{server} is no cache-mirror; see --server")));
    };
    if is_json {
        print::json(&json!({ "server": client.server(), "status": status }))?;
    }
    if !answer.status.is_success() {
        let server = client.server();
        return Err(Exit::Failed(format!("{server} is {status}; see: cache-mirror status")));
    }
    if is_json { Ok(()) } else { print::line(format_args!("{} is {status}", client.server())) }
}

impl Args {
    fn base(&self) -> Result<Url, Exit> {
        // That of .env too: all commands find the same instance.
        let sources = self.settings.sources()?;
        let of_variable = || config::variable(&sources, "CACHE_MIRROR_URL");
        match self.server.clone().or_else(of_variable) {
            Some(given) => server(&given),
            None => server(&local(self.listen()?)),
        }
    }

    /// Where the instance of these settings listens. It runs on if the rest of them is broken by
    /// now.
    fn listen(&self) -> Result<Option<SocketAddr>, Exit> {
        let (listen, _) = config::whereabouts(&self.settings.sources()?);
        Ok(listen)
    }
}

/// How to reach it from this host.
pub(super) fn local(listen: Option<SocketAddr>) -> String {
    let Some(mut listen) = listen.filter(|listen| listen.port() != 0) else {
        return SERVER_DEFAULT.to_owned();
    };
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{listen}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, url) in [
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:4400", "http://[::1]:4400"),
            ("10.0.0.7:4400", "http://10.0.0.7:4400"),
            ("127.0.0.1:0", SERVER_DEFAULT),
        ] {
            assert_eq!(local(listen.parse().ok()), url, "{listen}");
        }
        assert_eq!(local(None), SERVER_DEFAULT);
    }
}
