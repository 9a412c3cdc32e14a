//! Which instance a client command talks to, and with whose authority.
//!
//! The token never comes from a flag's value: the process list would show it. One that was found in
//! this host's own configuration or data directory is given to this host only; elsewhere it would
//! open nothing and be disclosed to strangers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use url::{Host, Url};

use super::Exit;
use super::client::Client;
use super::health::local;
use super::settings::SettingsArgs;
use crate::config::generated::ADMIN_TOKEN;
use crate::config::{self, BYTE_ORDER_MARK, Settings};
use crate::support::Secret;
use crate::support::plain_file::{self, Origin};

/// Where an instance listens by default.
pub(super) const SERVER_DEFAULT: &str = "http://127.0.0.1:4400";
/// Longest token, in bytes; a JWT with many claims is 8 KiB.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Flags of every command that talks to an instance.
#[derive(Debug, Clone, Args)]
pub struct ConnectArgs {
    /// The instance's control API [env: CACHE_MIRROR_URL] [default: control.listen]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the token [env: CACHE_MIRROR_TOKEN] [default: admin.token in the data directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Configuration file that names the data directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConnectArgs {
    /// A client that gives up after `patience` on top of its usual limit.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a URL or a token file that is none.
    pub fn client(&self, patience: Duration) -> Result<Client, Exit> {
        let found = Found::look(self);
        let given = self.server.clone().or_else(|| variable("CACHE_MIRROR_URL"));
        let server = server(&given.unwrap_or_else(|| found.server.clone()))?;
        let token = self.token(&server, found)?;
        Client::new(server, token, patience)
    }

    fn token(&self, server: &Url, found: Found) -> Result<Option<Secret>, Exit> {
        if let Some(path) = &self.token_file {
            return read_token(path).map(Some);
        }
        if let Some(token) = variable("CACHE_MIRROR_TOKEN") {
            return Ok(Some(Secret::new(token.trim())));
        }
        Ok(if is_this_host(server) { found.token } else { None })
    }
}

/// The instance that the settings found here describe, as far as they can be read: all commands
/// find it the same way.
struct Found {
    /// `CACHE_MIRROR_URL` of `.env`, else where `control.listen` is reached from this host.
    server: String,
    /// Its admin token.
    token: Option<Secret>,
}

impl Found {
    fn look(args: &ConnectArgs) -> Self {
        let nothing = Self { server: SERVER_DEFAULT.to_owned(), token: None };
        let settings = SettingsArgs { config: args.config.clone(), ..SettingsArgs::default() };
        let Ok(sources) = settings.sources() else { return nothing };
        let named = config::variable(&sources, "CACHE_MIRROR_URL");
        let configured = |settings: &Settings| settings.gate.admin_tokens.first().cloned();
        let (listen, token) = match config::load(&sources) {
            Ok(settings) => {
                let file =
                    || read_token_of(&settings.instance.admin_token_file(), Origin::Own).ok();
                (Some(settings.server.listen), configured(&settings).or_else(file))
            }
            // It runs on, where it was started, with the settings from before they broke.
            Err(_) => {
                let (listen, data_dir) = config::whereabouts(&sources);
                (listen, read_token_of(&data_dir.join(ADMIN_TOKEN), Origin::Own).ok())
            }
        };
        Self { server: named.unwrap_or_else(|| local(listen)), token }
    }
}

/// A variable of the process that is not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A base URL that ends in `/`.
///
/// # Errors
/// [`Exit::Usage`].
pub fn server(text: &str) -> Result<Url, Exit> {
    let bad =
        |why: &str| Exit::Usage(format!("--server {text:?}: {why}, such as {SERVER_DEFAULT}"));
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&whole).map_err(|_| bad("expected a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(bad("expected an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad("expected a URL without user, password and query"));
    }
    config::refuse_endpoint(&url).map_err(|why| bad(&why))?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

/// The token in a file.
///
/// # Errors
/// [`Exit::Usage`].
pub fn read_token(path: &Path) -> Result<Secret, Exit> {
    read_token_of(path, Origin::Named)
}

fn read_token_of(path: &Path, origin: Origin) -> Result<Secret, Exit> {
    let bad = |why: &str| Exit::Usage(format!("--token-file {}: {why}", path.display()));
    let text = plain_file::read_text(path, TOKEN_BYTES_MAX, origin);
    let text = text.map_err(|error| bad(&error.to_string()))?;
    let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(bad("expected one line with a token"));
    }
    Ok(Secret::new(text))
}

/// Whether it leads to this host.
pub fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for (text, url) in [
            ("127.0.0.1:4400", "http://127.0.0.1:4400/"),
            ("https://eu.example.org/mirror", "https://eu.example.org/mirror/"),
        ] {
            assert_eq!(server(text).expect(text).as_str(), url);
        }
        for text in [
            "127.0.0.1:4400/api/cache/invalidate",
            "",
            "ftp://x",
            "http://u:p@x",
            "http://x/?a=b",
            "http://",
        ] {
            assert!(matches!(server(text), Err(Exit::Usage(_))), "{text}");
        }
    }

    #[test]
    fn a_token_found_here_is_for_this_host() {
        let is_here = |text: &str| is_this_host(&server(text).expect(text));
        assert!(is_here("http://[::1]:1") && is_here("localhost:1") && is_here("127.9.9.9"));
        assert!(!is_here("https://eu.example.org") && !is_here("http://localhost.example.org"));
    }
}
