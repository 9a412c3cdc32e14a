//! When somebody is told, and where: `[alerts]`.
//! The webhook's URL is a secret, for its path may be all that protects it; so no error shows it.

use super::peers;
use super::reader::Reader;
use crate::deliver::alerts::{Config, Webhook};

pub(super) fn alerts(from: &mut Reader) -> Config {
    Config {
        failures: from.count("alerts.failures"),
        backlog_age_max: from.seconds("alerts.backlog_s_max"),
        repeat_every: from.seconds("alerts.repeat_s"),
        webhook: webhook(from),
    }
}

fn webhook(from: &mut Reader) -> Option<Webhook> {
    let url = from.secret("alerts.webhook");
    if url.is_empty() {
        return None;
    }
    match peers::whole(url.expose(), from.flag("mirrors.allow_http")) {
        Ok(url) => Some(Webhook::new(url)),
        Err(expected) => {
            from.refuse("alerts.webhook", expected);
            None
        }
    }
}
