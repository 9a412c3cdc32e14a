//! The configuration of the gate and what is built from it, as one value that is exchanged at once.
//!
//! A request uses one policy from beginning to end. A limit whose figures do not change keeps its
//! counts: a change of other settings must not reset it for a flood.

use std::sync::Arc;

use super::jwks::Jwks;
use super::turns::Turns;
use super::{Accounts, AppTokens, BadToken, Claims, Config, KeyedLimit, Person, Rejected, Tokens};
use crate::domain::{Principal, Role};
use crate::net::Transport;
use crate::support::Secret;

/// Names of callers without a token of their own. Those of webhooks and schedules have a colon.
const RESERVED: [&str; 4] = ["", "admin", "anonymous", super::revalidator::NAME];

/// A configuration and what is built from it.
pub(super) struct Policy {
    pub config: Arc<Config>,
    pub tokens: Tokens,
    pub jwks: Option<Arc<Jwks>>,
    pub accounts: Accounts,
    pub apps: Option<Arc<AppTokens>>,
    pub requests: Arc<KeyedLimit>,
    pub turns: Arc<Turns>,
    pub principals: Arc<KeyedLimit>,
    pub login_failures: Arc<KeyedLimit>,
    pub token_failures: Arc<KeyedLimit>,
}

impl Policy {
    /// Builds a policy. It takes unchanged limits over from `before` with their counts, and the
    /// fetched keys of another issuer.
    pub fn new(config: Config, before: Option<&Self>, over: Option<&Arc<dyn Transport>>) -> Self {
        let kept = before.filter(|before| before.config.jwks == config.jwks);
        let fetch =
            |jwks: super::JwksConfig| over.map(|over| Arc::new(Jwks::new(jwks, Arc::clone(over))));
        let jwks = match kept.and_then(|before| before.jwks.clone()) {
            Some(kept) => Some(kept),
            None => config.jwks.clone().and_then(fetch),
        };
        let same = |figure: fn(&Config) -> (u32, u32), limit: fn(&Self) -> &Arc<KeyedLimit>| {
            let before = before.filter(|before| figure(&before.config) == figure(&config));
            before.map(|before| Arc::clone(limit(before)))
        };
        let requests = same(|c| (c.requests_per_second, c.burst), |p| &p.requests);
        let totals =
            same(|c| (c.requests_per_second_total, c.requests_per_second), |p| &p.principals);
        let logins = same(|c| (c.login_failures_per_minute, 0), |p| &p.login_failures);
        let tokens = same(|c| (c.token_failures_per_minute, 0), |p| &p.token_failures);
        let apps = before.filter(|before| before.config.data_dir == config.data_dir);
        let apps = apps.and_then(|before| before.apps.clone());
        let per_minute = |rate| Arc::new(KeyedLimit::per_minute(rate));
        Self {
            tokens: Tokens::new(&config),
            jwks,
            apps: apps.or_else(|| config.data_dir.as_deref().map(AppTokens::new).map(Arc::new)),
            accounts: Accounts::new(config.service_accounts.clone()),
            turns: before.map(|before| Arc::clone(&before.turns)).unwrap_or_default(),
            principals: totals.unwrap_or_else(|| {
                let total = config.requests_per_second_total.max(config.requests_per_second);
                Arc::new(KeyedLimit::per_second(total, total.saturating_mul(2)))
            }),
            requests: requests.unwrap_or_else(|| {
                Arc::new(KeyedLimit::per_second(config.requests_per_second, config.burst))
            }),
            login_failures: logins.unwrap_or_else(|| per_minute(config.login_failures_per_minute)),
            token_failures: tokens.unwrap_or_else(|| per_minute(config.token_failures_per_minute)),
            config: Arc::new(config),
        }
    }

    /// The admin, if this is an admin token.
    pub fn admin(&self, token: &str) -> Option<Principal> {
        let is_one = self.config.admin_tokens.iter().any(|admin| admin.matches(token));
        is_one.then(|| Principal { name: "admin".into(), role: Role::AdminToken })
    }

    /// The person with this email and password.
    pub(super) fn person(&self, email: &str, password: &Secret) -> Option<&Person> {
        let is_it = |it: &&Person| it.password.matches(password.expose()) && it.email == email;
        self.config.person.as_ref().filter(is_it)
    }

    /// Whether email and password match an account. A hash is checked in its turn, unless the same
    /// login was valid before.
    pub(super) async fn knows(
        &self,
        email: &str,
        password: Secret,
        (address, account): (&str, &str),
    ) -> bool {
        if self.accounts.verify_plain(email, &password) {
            return true;
        }
        if !self.accounts.has_hashes() {
            return false;
        }
        let login = self.accounts.login(address, email, &password);
        if self.accounts.was_right(login.as_ref()) {
            return true;
        }
        let turn = self.turns.take(address, account).await;
        // The same login may have been checked in the meantime.
        self.accounts.was_right(login.as_ref())
            || self.accounts.verify_hashed((email, password), login, turn).await
    }

    /// Verifies a token by our own keys and the known keys of another issuer.
    pub fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        let others = self.jwks.as_ref().and_then(|jwks| jwks.known());
        let claims = self.tokens.verify(token, others.as_deref())?;
        if let Some(app) = &claims.app {
            let none = || BadToken("an application token, and no list of them".into());
            self.apps.as_ref().ok_or_else(none)?.check(&app.name, &app.jti)?;
        }
        Ok(claims)
    }

    /// The principal of verified claims. The name decides first: a peer's account stays one,
    /// whatever role its token claims.
    pub(super) fn principal(&self, claims: &Claims) -> Result<Principal, Rejected> {
        let name = claims.email.as_ref().unwrap_or(&claims.subject).clone();
        // Issuers differ in the case of email addresses; the wall against loops must not depend on
        // it.
        let is_ours = |name: &str, ours: &String| ours.eq_ignore_ascii_case(name);
        let is_service = |name: &str| {
            self.accounts.has(name) || self.config.service_emails.iter().any(|it| is_ours(name, it))
        };
        let has = |roles: &[String]| roles.iter().any(|role| claims.roles.contains(role));
        let role = if is_service(&name)
            || is_service(&claims.subject)
            || claims.roles.iter().any(|role| role == "service")
        {
            Role::Service
        } else if has(&self.config.admin_roles) {
            Role::Admin
        } else if has(&self.config.editor_roles) {
            Role::Editor
        } else {
            return Err(Rejected::Forbidden("a role that this instance knows"));
        };
        // Only tokens on our own list get the name of an application.
        let name = match &claims.app {
            Some(app) => format!("app:{}", app.name),
            None => self.shown_name(name),
        };
        Ok(Principal { name, role })
    }

    /// The name for log and events. The issuer of a token chooses its subject, so a name that looks
    /// like another kind of caller (the admin token, a webhook, a schedule, this instance) gets the
    /// prefix `jwt:`.
    fn shown_name(&self, name: String) -> String {
        let bare: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let is_reserved = RESERVED.contains(&bare.as_str())
            || name.contains(':')
            || name.chars().any(|c| c.is_control() || c.is_whitespace())
            || (!name.is_ascii() && !name.contains('@'))
            || name.eq_ignore_ascii_case(&self.config.issuer);
        if is_reserved { format!("jwt:{name}") } else { name }
    }
}
