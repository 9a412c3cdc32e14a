//! How we log in at peers: `[mirrors.login]`, and the table of the same form that a peer may have.
//!
//! A preset fills in what is not given. A peer's own table replaces the common one whole, so that
//! an API key or a URL meant for one server never goes to another; only email and password are
//! inherited one by one.

use reqwest::header::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use super::mirrors::Peer;
use super::peers;
use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use crate::deliver::{Credentials, Login, LoginMethod, LoginRequest};
use crate::support::Secret;

/// Longest list of further headers.
const HEADERS_MAX: usize = 16;

/// How we log in where a peer has nothing of its own. What is the default here counts as not given:
/// a preset may know better.
#[derive(Deserialize, JsonSchema)]
pub(super) struct CommonLogin {
    pub(super) email: String,
    pub(super) password: Secret,
    pub(super) password_previous: Secret,
    preset: Parsed<Option<Preset>>,
    url: Parsed<Address>,
    body: Secret,
    form: bool,
    headers: Map<Secret>,
    scope: String,
    audience: String,
    token: Secret,
    token_pointer: String,
    expires_pointer: String,
}

/// How we log in at one peer.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct LoginKeys {
    /// Where tokens come from.
    preset: Parsed<Option<Preset>>,
    /// A path at the peer, or a whole URL.
    url: Parsed<Address>,
    /// {email} and {password} are filled in as JSON strings; where form is true, as form values.
    body: Option<Secret>,
    /// Whether the body is a form.
    form: Option<bool>,
    /// Sent along with the login, and never shown.
    headers: Map<Secret>,
    /// For oauth2.
    scope: String,
    /// `aud` for self-signed; empty: auth.audience.
    audience: String,
    /// For bearer.
    token: Secret,
    /// Where the answer holds the token (JSON pointer).
    token_pointer: Option<String>,
    /// Where the answer holds the token's life in seconds, if anywhere (JSON pointer).
    expires_pointer: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Preset {
    Supabase,
    OAuth2,
    SelfSigned,
    Bearer,
}

words!(
    Preset,
    "expected supabase, oauth2, self-signed, bearer, or nothing",
    "supabase" = Self::Supabase,
    "oauth2" = Self::OAuth2,
    "self-signed" = Self::SelfSigned,
    "bearer" = Self::Bearer
);

/// What a request is made of where nothing is given.
struct Defaults {
    url: &'static str,
    body: &'static str,
    is_form: bool,
}

const PLAIN: Defaults = Defaults {
    url: "/api/auth/login",
    body: r#"{"email":{email},"password":{password}}"#,
    is_form: false,
};

/// Where Supabase's auth server takes passwords, below a project's URL.
const SUPABASE: Defaults = Defaults { url: "/auth/v1/token?grant_type=password", ..PLAIN };

/// RFC 6749 section 4.4, the client's credentials in the body (section 2.3.1).
const OAUTH2: Defaults = Defaults {
    url: "/oauth/token",
    body: "grant_type=client_credentials&client_id={email}&client_secret={password}",
    is_form: true,
};

/// How we log in where a peer has nothing of its own.
pub(super) fn common(from: &mut Reader, all: &Sections) -> Login {
    let keys = &all.mirrors.login;
    let login = LoginKeys {
        preset: keys.preset,
        url: if &**keys.url == PLAIN.url { Parsed::default() } else { keys.url.clone() },
        body: Some(keys.body.clone()).filter(|body| body.expose() != PLAIN.body),
        form: keys.form.then_some(true),
        headers: keys.headers.clone(),
        scope: keys.scope.clone(),
        audience: keys.audience.clone(),
        token: keys.token.clone(),
        token_pointer: Some(keys.token_pointer.clone()),
        expires_pointer: Some(keys.expires_pointer.clone()),
    };
    let means = At { key: "mirrors.login", login: &login, all }.means(from);
    let is_half = keys.email.is_empty() != keys.password.is_empty();
    if is_half && matches!(means, LoginMethod::Request(_)) {
        from.warn(
            "mirrors.login has an email or a password but not both: it is not used (set both \
             SERVICE_EMAIL and SERVICE_PASSWORD)",
        );
    }
    Login { credentials: credentials(keys.email.clone(), keys.password.clone(), &means), means }
}

/// How we log in at one peer; `key` names its entry.
pub(super) fn of_peer(
    from: &mut Reader,
    all: &Sections,
    key: &str,
    peer: &Peer,
    common: &Login,
) -> Login {
    let means = match &peer.login {
        None => common.means.clone(),
        Some(login) => At { key: &format!("{key}.login"), login, all }.means(from),
    };
    let is_bare = matches!(means, LoginMethod::SelfSigned { .. }) && peer.password.is_empty();
    let is_half = peer.email.is_empty() != peer.password.is_empty() && !is_bare;
    if is_half {
        from.refuse(&format!("{key}.email"), "email and password belong together");
    }
    let own = (!is_half).then(|| (peer.email.clone(), peer.password.clone()));
    let own = own.and_then(|(email, password)| credentials(email, password, &means));
    // Half an account may be enough for the common way and too little for this one.
    let credentials = own.or_else(|| {
        let common = common.credentials.clone()?;
        credentials(common.email, common.password, &means)
    });
    Login { credentials, means }
}

/// An account, where it is enough for this way; who signs for himself needs no password.
fn credentials(email: String, password: Secret, means: &LoginMethod) -> Option<Credentials> {
    let is_enough = matches!(means, LoginMethod::SelfSigned { .. }) || !password.is_empty();
    (!email.is_empty() && is_enough).then_some(Credentials { email, password })
}

/// One table, and where it stands.
struct At<'a> {
    key: &'a str,
    login: &'a LoginKeys,
    all: &'a Sections,
}

impl At<'_> {
    fn refuse(&self, from: &mut Reader, field: &str, expected: impl Into<String>) {
        from.refuse(&format!("{}.{field}", self.key), expected);
    }

    fn means(&self, from: &mut Reader) -> LoginMethod {
        let defaults = match *self.login.preset {
            None => PLAIN,
            Some(Preset::Supabase) => SUPABASE,
            Some(Preset::OAuth2) => OAUTH2,
            Some(Preset::SelfSigned) => {
                let own = Some(&self.login.audience).filter(|audience| !audience.is_empty());
                let audience = own.unwrap_or(&self.all.auth.audience.0.0).clone();
                return LoginMethod::SelfSigned { audience };
            }
            Some(Preset::Bearer) => {
                let token = self.login.token.clone();
                if token.is_empty() || !token.expose().bytes().all(|it| it.is_ascii_graphic()) {
                    self.refuse(from, "token", "expected a token without blanks");
                }
                return LoginMethod::Bearer(token);
            }
        };
        let body = self.body(from, &defaults);
        let is_never = self.login.expires_pointer.as_deref() == Some("");
        let expires = &self.login.expires_pointer;
        LoginMethod::Request(Box::new(LoginRequest {
            url: self.url(from, &defaults),
            is_form: self.login.form.unwrap_or(defaults.is_form),
            body,
            headers: self.headers(from),
            token_pointer: self.pointer(
                from,
                "token_pointer",
                self.login.token_pointer.as_deref().unwrap_or("/access_token"),
            ),
            expires_pointer: match is_never {
                true => String::new(),
                false => {
                    let text = expires.as_deref().unwrap_or("/expires_in");
                    self.pointer(from, "expires_pointer", text)
                }
            },
        }))
    }

    fn pointer(&self, from: &mut Reader, field: &str, text: &str) -> String {
        if !text.starts_with('/') {
            self.refuse(from, field, "expected a JSON pointer, such as /access_token");
        }
        text.to_owned()
    }

    /// A path at each peer, or one URL for all, which must be as trustworthy as a peer's.
    fn url(&self, from: &mut Reader, defaults: &Defaults) -> String {
        let text: &str = &self.login.url;
        if text.is_empty() {
            return defaults.url.to_owned();
        }
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if text.contains("://") {
            let without_query = text.split('?').next().unwrap_or_default();
            if let Err(expected) = peers::base(without_query, self.all.mirrors.allow_http) {
                self.refuse(from, "url", expected);
            }
        } else if !text.starts_with('/') || text.starts_with("//") || text.contains(is_odd) {
            self.refuse(from, "url", "expected a path that begins with /, or a whole URL");
        }
        let is_project = defaults.url == SUPABASE.url && !text.contains("/auth/v1/");
        let text = if is_project { text.trim_end_matches('/') } else { text };
        format!("{text}{}", if is_project { SUPABASE.url } else { "" })
    }

    fn body(&self, from: &mut Reader, defaults: &Defaults) -> String {
        let own = self.login.body.as_ref().map(Secret::expose);
        let mut body = own.unwrap_or(defaults.body).to_owned();
        let is_form = self.login.form.unwrap_or(defaults.is_form);
        if !self.login.scope.is_empty() {
            if !is_form {
                self.refuse(from, "scope", "expected only with the preset oauth2");
            }
            let scope = url::form_urlencoded::byte_serialize(self.login.scope.as_bytes());
            body = format!("{body}&scope={}", scope.collect::<String>());
        }
        let filled = |value: &str| body.replace("{email}", value).replace("{password}", value);
        let (is_good, expected) = match is_form {
            true => (
                filled("x").bytes().all(|byte| byte.is_ascii_graphic()) && body.contains('='),
                "expected a form, such as name={email}&secret={password}",
            ),
            false => (
                serde_json::from_str::<serde_json::Value>(&filled("\"x\"")).is_ok(),
                "expected JSON once {email} and {password} are strings",
            ),
        };
        if !is_good {
            self.refuse(from, "body", expected);
        }
        body
    }

    /// Further headers.
    fn headers(&self, from: &mut Reader) -> Vec<(HeaderName, Secret)> {
        let headers = &self.login.headers;
        if headers.len() > HEADERS_MAX {
            self.refuse(from, "headers", format!("expected at most {HEADERS_MAX} headers"));
        }
        let mut good = Vec::new();
        for (name, value) in headers {
            let is_value = HeaderValue::from_str(value.expose()).is_ok() && !value.is_empty();
            match HeaderName::try_from(name) {
                Ok(header) if is_value => good.push((header, value.clone())),
                _ => {
                    let expected = "expected a header's name and its text";
                    self.refuse(from, &format!("headers.{name}"), expected);
                }
            }
        }
        good
    }
}
