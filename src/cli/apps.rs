//! `token mint --app`, `token ls` and `token revoke`: tokens of applications, which do not expire.
//!
//! They work on the list in the data directory, which a running instance looks at with every
//! request: what is revoked here is refused there at once.

use serde_json::json;

use super::Exit;
use super::in_use::{For, recalled};
use super::print::{self, BAD, GOOD, styled};
use super::settings::SettingsArgs;
use super::token::{no_key, role_of};
use crate::gate::{APP_TOKENS_MAX, AppToken, AppTokens, Gate, TokenApp, TokenRequest, is_app_name};
use crate::support::clock;

/// Makes a token for an application and puts it on the list.
pub fn mint(
    app: &str,
    role: Option<&str>,
    aud: Option<&str>,
    args: &SettingsArgs,
    is_json: bool,
) -> Result<(), Exit> {
    if !is_app_name(app) {
        let expected = "1 to 64 letters, digits, dots, dashes and underscores";
        return Err(Exit::Usage(format!("--app {app:?}: expected {expected}")));
    }
    let settings = recalled(args, For::Making)?;
    let role = match (role, settings.gate.editor_roles.first()) {
        (Some(role), _) => role.to_owned(),
        (None, Some(role)) => role.clone(),
        (None, None) => {
            let expected = "expected one, for auth.editor_roles is empty";
            return Err(Exit::Usage(format!("--role: {expected}")));
        }
    };
    role_of(&settings, &role)?;
    let dir = settings.instance.data_dir.clone();
    let jti = uuid::Uuid::now_v7().to_string();
    let subject = format!("app:{app}");
    let order = TokenRequest {
        audience: aud,
        app: Some(TokenApp { name: app, jti: &jti }),
        role: &role,
        ..TokenRequest::service(&subject)
    };
    let issued = Gate::new(settings.gate.clone()).issue(&order);
    let (token, _) = issued.ok_or_else(|| no_key(&settings))?;
    let entry = AppToken {
        app: app.to_owned(),
        jti: jti.clone(),
        role: role.clone(),
        created_ms: clock::wall_ms(),
        revoked_ms: None,
    };
    let added = AppTokens::new(&dir).change(|tokens| {
        if tokens.len() >= APP_TOKENS_MAX {
            // Old revocations may be dropped: a token that is not listed is not valid either.
            tokens.retain(|token| token.revoked_ms.is_none());
        }
        if tokens.len() >= APP_TOKENS_MAX {
            return Err(format!("{APP_TOKENS_MAX} tokens are listed already"));
        }
        tokens.push(entry);
        Ok(())
    });
    added.map_err(|why| {
        let dir = dir.display();
        Exit::Failed(format!("cannot write the list of application tokens in {dir}: {why}"))
    })?;
    if is_json {
        return print::json(&json!({
            "access_token": token, "token_type": "bearer", "app": app, "role": role, "jti": jti,
        }));
    }
    print::line(token)
}

/// Lists them; the tokens themselves are kept nowhere.
pub fn list(args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    let tokens = listed(args)?;
    let tokens = tokens.list().map_err(unreadable)?;
    if is_json {
        let shown = tokens.iter().map(|token| {
            json!({
                "app": token.app, "jti": token.jti, "role": token.role,
                "created": clock::rfc3339(token.created_ms),
                "revoked": token.revoked_ms.map(clock::rfc3339),
            })
        });
        return print::json(&json!({ "tokens": shown.collect::<Vec<_>>() }));
    }
    if tokens.is_empty() {
        print::talk("no application has a token: make one with token mint --app NAME");
    }
    tokens.iter().try_for_each(|token| {
        let state = match token.revoked_ms {
            None => styled(GOOD, "not revoked"),
            Some(at) => styled(BAD, format_args!("revoked {}", clock::rfc3339(at))),
        };
        let created = clock::rfc3339(token.created_ms);
        let (app, role) = (print::safe(&token.app), print::safe(&token.role));
        print::line(format_args!("{app}  {role}  made {created}  {state}"))
    })
}

/// Revokes every token of an application.
pub fn revoke(app: &str, args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    let now = clock::wall_ms();
    let revoked = listed(args)?.change(|tokens| {
        let own = tokens.iter_mut().filter(|token| token.app == app);
        let valid: Vec<_> = own.filter(|token| token.revoked_ms.is_none()).collect();
        let count = valid.len() as u64;
        valid.into_iter().for_each(|token| token.revoked_ms = Some(now));
        Ok(count)
    });
    let revoked = revoked.map_err(unreadable)?;
    if revoked == 0 {
        return Err(Exit::Failed(format!("no valid token of {app:?} is listed")));
    }
    if is_json {
        return print::json(&json!({ "app": app, "revoked": revoked }));
    }
    let tokens = print::count(revoked, "token", "tokens");
    print::line(format_args!("{app}: {tokens} revoked"))
}

fn listed(args: &SettingsArgs) -> Result<AppTokens, Exit> {
    Ok(AppTokens::new(&args.settings()?.instance.data_dir))
}

fn unreadable(why: String) -> Exit {
    Exit::Failed(format!("the list of application tokens: {why}"))
}
