//! `[alerts]`: thresholds and the webhook.
//! The URL of the webhook is a secret, because its path may be all that protects it: no error shows
//! it.

use super::peers;
use super::reader::Reader;
use crate::deliver::Signer;
use crate::deliver::alerts::{AlertWebhook, Config};
use crate::support::Secret;

pub(super) fn alerts(from: &mut Reader) -> Config {
    Config {
        failures: from.count("alerts.failures"),
        backlog_age_max: from.seconds("alerts.backlog_s_max"),
        repeat_every: from.seconds("alerts.repeat_s"),
        webhook: webhook(from),
        signer: signer(from),
    }
}

fn signer(from: &mut Reader) -> Option<Signer> {
    let keys = ["alerts.signing_secret", "alerts.signing_secret_previous"];
    let secrets = keys.map(|key| from.secret(key)).into_iter().filter(|it| !it.is_empty());
    let secrets: Vec<Secret> = secrets.collect();
    if secrets.is_empty() {
        return None;
    }
    let signer = Signer::new(secrets);
    signer.map_err(|expected| from.refuse("alerts.signing_secret", expected)).ok()
}

fn webhook(from: &mut Reader) -> Option<AlertWebhook> {
    let url = from.secret("alerts.webhook");
    if url.is_empty() {
        return None;
    }
    match peers::whole(url.expose(), from.flag("mirrors.allow_http")) {
        Ok(url) => Some(AlertWebhook::new(url)),
        Err(expected) => {
            from.refuse("alerts.webhook", expected);
            None
        }
    }
}
