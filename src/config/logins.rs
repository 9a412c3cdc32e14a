//! How we log in at peers: `[mirrors.login]`, and the table of the same form that a peer may have.
//!
//! A preset fills in what is not written. A peer's own table replaces the common one whole, so that
//! an API key or a URL meant for one server never goes to another; only email and password are
//! inherited one by one.

use reqwest::header::{HeaderName, HeaderValue};
use toml::{Table, Value};

use super::reader::Reader;
use super::{fields, peers};
use crate::deliver::{Credentials, Login, LoginMethod, LoginRequest};
use crate::support::Secret;

/// Longest list of further headers.
const HEADERS_MAX: usize = 16;

const PRESETS: &str = "expected supabase, oauth2, self-signed, bearer, or nothing";

/// One table as it was written, and the name of its keys.
struct Written<'a> {
    table: &'a Table,
    prefix: &'a str,
}

impl Written<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.table.get(field).and_then(Value::as_str)
    }

    fn refuse(&self, from: &mut Reader, field: &str, expected: impl Into<String>) {
        let unset = Value::String(String::new());
        let top = field.split('.').next().unwrap_or(field);
        let value = self.table.get(top).unwrap_or(&unset).clone();
        from.refuse_value(&format!("{}.{field}", self.prefix), &value, expected);
    }
}

/// What a request is made of where nothing is written.
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
pub(super) fn common(from: &mut Reader) -> Login {
    let table = written(from);
    let means = means(from, &Written { table: &table, prefix: "mirrors.login" });
    let (email, password) =
        (from.text("mirrors.login.email"), from.secret("mirrors.login.password"));
    let is_half = email.is_empty() != password.is_empty();
    if is_half && matches!(means, LoginMethod::Request(_)) {
        from.warn(
            "mirrors.login has an email or a password but not both: it is not used (set both \
             SERVICE_EMAIL and SERVICE_PASSWORD)",
        );
    }
    Login { credentials: credentials(email, password, &means), means }
}

/// What differs from the reference, as the table that it would be in a peer.
fn written(from: &Reader) -> Table {
    let fields = fields::LOGIN.iter().map(|(field, _)| *field);
    let mut table: Table = fields
        .filter_map(|field| {
            Some((field.to_owned(), from.given(&format!("mirrors.login.{field}"))?))
        })
        .collect();
    let headers: Table = from.entries("mirrors.login.headers").into_iter().collect();
    table.insert("headers".into(), Value::Table(headers));
    table
}

/// How we log in at one peer; `prefix` names its entry.
pub(super) fn of_peer(from: &mut Reader, prefix: &str, table: &Table, common: &Login) -> Login {
    let means = match table.get("login").and_then(Value::as_table) {
        None => common.means.clone(),
        Some(table) => means(from, &Written { table, prefix: &format!("{prefix}login") }),
    };
    let credentials = match own_credentials(from, prefix, table, &means) {
        Some(own) => Some(own),
        // Half an account may be enough for the common way and too little for this one.
        None => common
            .credentials
            .clone()
            .and_then(|common| credentials(common.email, common.password, &means)),
    };
    Login { credentials, means }
}

/// An account, where it is enough for this way; who signs for himself needs no password.
fn credentials(email: String, password: Secret, means: &LoginMethod) -> Option<Credentials> {
    let is_enough = matches!(means, LoginMethod::SelfSigned { .. }) || !password.is_empty();
    (!email.is_empty() && is_enough).then_some(Credentials { email, password })
}

/// The account that one peer wants; half of one is a mistake.
fn own_credentials(
    from: &mut Reader,
    prefix: &str,
    table: &Table,
    means: &LoginMethod,
) -> Option<Credentials> {
    let key = |field: &str| format!("{prefix}{field}");
    let email = table.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    let password = secret(from, table, "password", &key);
    let is_bare = matches!(means, LoginMethod::SelfSigned { .. }) && password.is_empty();
    if email.is_empty() != password.is_empty() && !is_bare {
        let given = Value::String(email);
        from.refuse_value(&key("email"), &given, "email and password belong together");
        return None;
    }
    credentials(email, password, means)
}

/// A secret of a table, from `field` or the file that `field_file` names.
pub(super) fn secret(
    from: &mut Reader,
    table: &Table,
    field: &str,
    key: &impl Fn(&str) -> String,
) -> Secret {
    let file = format!("{field}_file");
    let text = |field: &str| table.get(field).and_then(Value::as_str).unwrap_or_default();
    match (text(field), text(&file)) {
        (secret, "") => Secret::new(secret),
        ("", path) => from.secret_file(&key(&file), path),
        (secret, path) => {
            let given = Value::String(path.to_owned());
            from.refuse_value(&key(&file), &given, format!("{field} is set as well"));
            Secret::new(secret)
        }
    }
}

fn means(from: &mut Reader, written: &Written) -> LoginMethod {
    let defaults = match written.text("preset").unwrap_or_default() {
        "" => PLAIN,
        "supabase" => SUPABASE,
        "oauth2" => OAUTH2,
        "self-signed" => {
            let audience = written.text("audience").unwrap_or_default().to_owned();
            let common = from.text("auth.audience");
            let audience = if audience.is_empty() { common } else { audience };
            return LoginMethod::SelfSigned { audience };
        }
        "bearer" => return LoginMethod::Bearer(bearer(from, written)),
        _ => {
            written.refuse(from, "preset", PRESETS);
            PLAIN
        }
    };
    let body = body(from, written, &defaults);
    LoginMethod::Request(Box::new(LoginRequest {
        url: url(from, written, &defaults),
        is_form: is_form(written, &defaults),
        body,
        headers: headers(from, written),
        token_pointer: pointer(from, written, "token_pointer", "/access_token"),
        expires_pointer: match written.text("expires_pointer") {
            Some("") => String::new(),
            _ => pointer(from, written, "expires_pointer", "/expires_in"),
        },
    }))
}

fn bearer(from: &mut Reader, written: &Written) -> Secret {
    let token =
        secret(from, written.table, "token", &|field| format!("{}.{field}", written.prefix));
    if token.is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        written.refuse(from, "token", "expected a token without blanks");
    }
    token
}

fn is_form(written: &Written, defaults: &Defaults) -> bool {
    written.table.get("form").and_then(Value::as_bool).unwrap_or(defaults.is_form)
}

/// A path at each peer, or one URL for all, which must be as trustworthy as a peer's.
fn url(from: &mut Reader, written: &Written, defaults: &Defaults) -> String {
    let Some(text) = written.text("url").filter(|text| !text.is_empty()) else {
        return defaults.url.to_owned();
    };
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.contains("://") {
        let without_query = text.split('?').next().unwrap_or_default();
        if let Err(expected) = peers::base(without_query, from.flag("mirrors.allow_http")) {
            written.refuse(from, "url", expected);
        }
    } else if !text.starts_with('/') || text.starts_with("//") || text.contains(is_odd) {
        written.refuse(from, "url", "expected a path that begins with /, or a whole URL");
    }
    let is_project = defaults.url == SUPABASE.url && !text.contains("/auth/v1/");
    if is_project { format!("{}{}", text.trim_end_matches('/'), SUPABASE.url) } else { text.into() }
}

fn body(from: &mut Reader, written: &Written, defaults: &Defaults) -> String {
    let mut body = written.text("body").unwrap_or(defaults.body).to_owned();
    let scope = written.text("scope").unwrap_or_default();
    let is_form = is_form(written, defaults);
    if !scope.is_empty() {
        if !is_form {
            written.refuse(from, "scope", "expected only with the preset oauth2");
        }
        let scope: String = url::form_urlencoded::byte_serialize(scope.as_bytes()).collect();
        body = format!("{body}&scope={scope}");
    }
    let filled = |value: &str| body.replace("{email}", value).replace("{password}", value);
    let is_good = match is_form {
        true => filled("x").bytes().all(|byte| byte.is_ascii_graphic()) && body.contains('='),
        false => serde_json::from_str::<serde_json::Value>(&filled("\"x\"")).is_ok(),
    };
    if !is_good {
        let expected = match is_form {
            true => "expected a form, such as name={email}&secret={password}",
            false => "expected JSON once {email} and {password} are strings",
        };
        written.refuse(from, "body", expected);
    }
    body
}

fn pointer(from: &mut Reader, written: &Written, field: &str, default: &str) -> String {
    let text = written.text(field).unwrap_or(default).to_owned();
    if !text.starts_with('/') {
        written.refuse(from, field, "expected a JSON pointer, such as /access_token");
    }
    text
}

/// Further headers; `NAME_file` names a file that holds the value.
fn headers(from: &mut Reader, written: &Written) -> Vec<(HeaderName, Secret)> {
    let none = Table::new();
    let table = written.table.get("headers").and_then(Value::as_table).unwrap_or(&none);
    if table.len() > HEADERS_MAX {
        written.refuse(from, "headers", format!("expected at most {HEADERS_MAX} headers"));
    }
    let mut headers = Vec::new();
    for name in table.keys() {
        let name = name.strip_suffix("_file").unwrap_or(name);
        let key = |field: &str| format!("{}.headers.{field}", written.prefix);
        let value = secret(from, table, name, &key);
        let is_value = HeaderValue::from_str(value.expose()).is_ok() && !value.is_empty();
        match HeaderName::try_from(name) {
            Ok(header) if is_value => headers.push((header, value)),
            _ => {
                let hidden = Value::String("…".into());
                from.refuse_value(&key(name), &hidden, "expected a header's name and its text");
            }
        }
    }
    headers
}
