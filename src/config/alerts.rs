//! `[alerts]`: thresholds and the webhook.
//! The URL of the webhook is a secret, because its path may be all that protects it: no error shows
//! it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::peers;
use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use crate::deliver::Signer;
use crate::deliver::alerts::{AlertWebhook, Config};
use crate::support::Secret;

/// When an alert is raised.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Alerts {
    failures: Int<0, 1_000_000>,
    backlog_s_max: Seconds<0, YEAR_S>,
    repeat_s: Seconds<0, YEAR_S>,
    webhook: Secret,
    signing_secret: Secret,
    signing_secret_previous: Secret,
}

pub(super) fn alerts(from: &mut Reader, all: &Sections) -> Config {
    let keys = &all.alerts;
    let secrets = given([&keys.signing_secret, &keys.signing_secret_previous]);
    let webhook = Some(&keys.webhook).filter(|url| !url.is_empty());
    let webhook = webhook.map(|url| peers::whole(url.expose(), all.mirrors.allow_http));
    Config {
        failures: keys.failures.to(),
        backlog_age_max: *keys.backlog_s_max,
        repeat_every: *keys.repeat_s,
        webhook: webhook.and_then(|url| {
            url.map(AlertWebhook::new)
                .map_err(|expected| from.refuse("alerts.webhook", expected))
                .ok()
        }),
        signer: signer(from, "alerts.signing_secret", secrets),
    }
}

/// What signs messages, where there are secrets for it.
pub(super) fn signer(from: &mut Reader, key: &str, secrets: Vec<Secret>) -> Option<Signer> {
    let signer = (!secrets.is_empty()).then(|| Signer::new(secrets))?;
    signer.map_err(|expected| from.refuse(key, expected)).ok()
}
