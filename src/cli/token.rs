//! `token`: make one with the configured key, look into one, and keep those of applications.
//!
//! All work offline but for one thing: a token of another issuer is judged by the keys at
//! `auth.jwks_url`, as a running instance would. Only the list of application tokens is written
//! (`apps`). Secrets and signatures are not shown, and a token is read from stdin, for arguments
//! stand in the process list.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::in_use::{For, recalled, tried};
use super::print::{self, BAD, BOLD, DIM, GOOD, styled};
use super::settings::SettingsArgs;
use super::{Exit, HELP, apps};
use crate::config::Settings;
use crate::gate::{Gate, TokenRequest};
use crate::net::Network;
use crate::support::clock;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror token mint --sub mirror@example.org
  cache-mirror token mint --sub ann@example.org --role ADMIN --ttl 10m
  cache-mirror token mint --app shop           does not expire; until: token revoke shop
  cache-mirror token ls
  pbpaste | cache-mirror token inspect         its claims, and whether it is accepted here";

/// Bytes read from stdin: more than a token may have.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// The role of a peer's account, under whatever configuration.
const SERVICE: &str = "service";

/// A year, as for `auth.token_s`.
const LIFE_S_MAX: u64 = 31_536_000;

/// Arguments of `token`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token with the configured signing key or secret
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Mint {
        /// Its subject: an email
        #[arg(long, value_name = "EMAIL", required_unless_present = "app")]
        sub: Option<String>,
        /// The application it is for: it does not expire and is valid until it is revoked
        #[arg(long, value_name = "NAME", conflicts_with_all = ["sub", "ttl"])]
        app: Option<String>,
        /// What it may do: service, or one of auth.admin_roles and auth.editor_roles [default:
        /// service; with --app the first of auth.editor_roles]
        #[arg(long)]
        role: Option<String>,
        /// How long it is valid, such as 30s, 10m, 1h, 7d [default: auth.token_s]
        #[arg(long, value_name = "TIME", value_parser = life)]
        ttl: Option<Duration>,
        /// Its audience [default: auth.audience]
        #[arg(long)]
        aud: Option<String>,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// List the tokens of applications
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Ls {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Revoke every token of an application, at once
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Revoke {
        /// Its name, as listed
        app: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Show the claims of a token, and whether this configuration accepts it (exit code 5: no)
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Inspect {
        /// The token, or - for stdin
        #[arg(default_value = "-", hide_default_value = true, allow_hyphen_values = true)]
        token: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

/// Makes or shows.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    match &args.what {
        What::Mint { app: Some(app), role, aud, settings, .. } => {
            apps::mint(app, role.as_deref(), aud.as_deref(), settings, is_json)
        }
        What::Mint { sub, role, ttl, aud, settings, .. } => {
            let order = TokenRequest {
                role: role.as_deref().unwrap_or(SERVICE),
                audience: aud.as_deref(),
                life: *ttl,
                ..TokenRequest::service(sub.as_deref().unwrap_or_default())
            };
            mint(&order, settings, is_json).await
        }
        What::Ls { settings } => apps::list(settings, is_json),
        What::Revoke { app, settings } => apps::revoke(app, settings, is_json),
        What::Inspect { token, settings } => {
            let token = if token == "-" { read()? } else { token.clone() };
            inspect(token.trim(), settings, is_json).await
        }
    }
}

async fn mint(order: &TokenRequest<'_>, args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    if order.subject.is_empty() {
        return Err(Exit::Usage("--sub: expected an email".into()));
    }
    let settings = recalled(args, For::Making)?;
    role_of(&settings, order.role)?;
    let issued = Gate::new(settings.gate.clone()).issue(order);
    let (token, seconds) = issued.ok_or_else(|| no_key(&settings))?;
    if order.audience.is_none() {
        tried(&settings, args, &token).await?;
    }
    if is_json {
        let answer =
            json!({ "access_token": token, "token_type": "bearer", "expires_in": seconds });
        return print::json(&answer);
    }
    print::line(token)
}

/// Refuses a role that no instance accepts.
pub(super) fn role_of(settings: &Settings, role: &str) -> Result<(), Exit> {
    let roles = [&settings.gate.admin_roles[..], &settings.gate.editor_roles].concat();
    if role == SERVICE || roles.iter().any(|known| known == role) {
        return Ok(());
    }
    Err(Exit::Usage(format!(
        "--role {role:?}: expected {SERVICE}, or one of auth.admin_roles and auth.editor_roles \
         ({})",
        roles.join(", ")
    )))
}

/// Nothing signs.
pub(super) fn no_key(settings: &Settings) -> Exit {
    let dir = settings.instance.data_dir.display();
    Exit::Config(vec![format!(
        "no key to sign with: set auth.signing_key or auth.jwt_secret, or start the instance once \
         (it makes {dir}/jwt.secret)"
    )])
}

fn read() -> Result<String, Exit> {
    let mut text = String::new();
    std::io::stdin()
        .take(TOKEN_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Exit::Failed(format!("cannot read the token from stdin: {error}")))?;
    Ok(text)
}

async fn inspect(token: &str, args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    if token.is_empty() {
        return Err(Exit::Usage("no token: give one on stdin".into()));
    }
    let settings = recalled(args, For::Looking)?;
    let limits = settings.keys_network();
    let mut gate = Gate::new(settings.gate);
    if let Some(limits) = limits {
        let network = Network::new(limits).map_err(|error| Exit::Failed(error.to_string()))?;
        gate = gate.fetching_over(Arc::new(network));
        gate.learn_key(Some(&format!("Bearer {token}"))).await;
    }
    let judged = gate.explain(token);
    let mut parts = token.split('.').map(decoded);
    let (header, claims) = (parts.next().flatten(), parts.next().flatten());
    if is_json {
        print::json(&json!({
            "header": header,
            "claims": claims,
            "accepted": judged.is_ok(),
            "principal": judged.as_ref().ok().map(|who| &who.name),
            "role": judged.as_ref().ok().map(|who| who.role.as_str()),
            "reason": judged.as_ref().err(),
        }))?;
    } else {
        show("header", header.as_ref())?;
        show("claims", claims.as_ref())?;
        if let Ok(who) = &judged {
            let role = who.role.as_str();
            let accepted = styled(GOOD, "accepted");
            print::line(format_args!("{accepted} as {} ({role})", print::safe(&who.name)))?;
        }
    }
    judged.map(drop).map_err(|reason| {
        let refused = styled(BAD, "not accepted by this configuration");
        Exit::Denied(format!("{refused}: {}", print::safe(&reason)))
    })
}

/// A part of a token, where it is JSON.
fn decoded(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object)
}

fn show(title: &str, part: Option<&Value>) -> Result<(), Exit> {
    print::line(styled(BOLD, title))?;
    let Some(members) = part.and_then(Value::as_object) else {
        return print::line(styled(DIM, "  cannot be read"));
    };
    for (name, value) in members {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let when = match name.as_str() {
            "exp" | "iat" | "nbf" => value.as_u64().map(time).unwrap_or_default(),
            _ => String::new(),
        };
        let (name, text) = (print::safe(name), print::safe(&text));
        print::line(format_args!("  {name:<8} {text}{}", styled(DIM, when)))?;
    }
    Ok(())
}

/// Seconds since 1970 as a readable time.
fn time(seconds: u64) -> String {
    let now = clock::wall_ms() / 1000;
    let moment = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let moment = moment.map_or_else(|| "beyond all calendars".into(), |at| at.to_string());
    match seconds > now {
        true => format!("  {moment}, in {}", print::seconds(seconds - now)),
        false => format!("  {moment}, {} ago", print::seconds(now - seconds)),
    }
}

/// `30s`, `10m`, `1h`, `7d`, or seconds.
fn life(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = scale.and_then(|scale| number.parse::<u64>().ok()?.checked_mul(scale));
    let seconds = seconds.filter(|seconds| (1..=LIFE_S_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected 1s to 365d, such as 10m or 1h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_whole_and_bounded() {
        for (text, seconds) in
            [("30", 30), ("30s", 30), ("10m", 600), ("1h", 3600), ("365d", LIFE_S_MAX)]
        {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "366d", "1w", "-1h", "1.5h", "h", "99999999999999999999d"] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
