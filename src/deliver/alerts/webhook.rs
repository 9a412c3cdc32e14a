//! Sends notices to the webhook, one after the other, each with a limited number of attempts.
//!
//! Notices keep their order, so that the end of an alert never arrives before its beginning. A
//! notice that cannot be sent is logged and given up; meanwhile only later notices wait. The
//! transport decides which addresses may be reached.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::{mpsc, watch};

use super::notice::Notice;
use super::{AlertWebhook, Config};
use crate::deliver::Signer;
use crate::deliver::throttle;
use crate::deliver::worker::VIA;
use crate::net::{HttpAnswer, Outgoing, Transport};
use crate::support::backoff::{Backoff, chance};
use crate::support::clock;

/// Time limit of one request, from connect to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts per message.
const ATTEMPTS_MAX: u32 = 6;
/// Waits between attempts.
const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Longest wait that an answer may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Why the webhook did not accept a message.
enum WebhookRefusal {
    /// Another attempt would fail as well.
    Final(String),
    /// Another attempt may succeed, after the wait that the answer asks for, if any.
    Temporary(String, Option<Duration>),
}

/// Sends messages to the webhook.
pub struct Messenger {
    /// Read again for each attempt, so that a reload takes effect.
    pub config: watch::Receiver<Config>,
    pub transport: Arc<dyn Transport>,
    /// `instance.name`, for the message and the header `Cache-Mirror-Via`.
    pub instance: String,
}

impl Messenger {
    /// Sends what arrives, until the channel is closed.
    pub async fn run(self, mut waiting: mpsc::Receiver<Notice>) {
        while let Some(notice) = waiting.recv().await {
            self.send(&notice).await;
        }
    }

    async fn send(&self, notice: &Notice) {
        for attempt in 1..=ATTEMPTS_MAX {
            let (webhook, signer) = {
                let config = self.config.borrow();
                (config.webhook.clone(), config.signer.clone())
            };
            let Some(webhook) = webhook else { return };
            match self.post(&webhook, signer.as_ref(), notice).await {
                Ok(status) => return notice.log_sent(attempt, status),
                Err(WebhookRefusal::Temporary(_, asked)) if attempt < ATTEMPTS_MAX => {
                    let least = asked.map(|asked| throttle::least(Some(asked), attempt, chance()));
                    let wait = BACKOFF.wait(attempt, chance()).max(least.unwrap_or_default());
                    tokio::time::sleep(wait).await;
                }
                Err(WebhookRefusal::Final(error) | WebhookRefusal::Temporary(error, _)) => {
                    return notice.log_unsent(&error, attempt);
                }
            }
        }
    }

    async fn post(
        &self,
        webhook: &AlertWebhook,
        signer: Option<&Signer>,
        notice: &Notice,
    ) -> Result<u16, WebhookRefusal> {
        let mut request = Outgoing {
            method: Method::POST,
            url: webhook.0.clone(),
            headers: vec![(CONTENT_TYPE, "application/json".into()), (VIA, self.instance.clone())],
            body: notice.body(&self.instance).to_string().into(),
            timeout: TIMEOUT,
        };
        if let Some(signer) = signer {
            let (id, now_s) = (notice.id.to_string(), clock::wall_ms() / 1000);
            request.headers.extend(signer.headers(&id, now_s, &request.body));
        }
        let answer = self.transport.send(request).await.map_err(|failure| {
            // The library's message may contain the URL, and the URL may be the secret.
            let error = format!("{}: {}", webhook.host(), failure.kind.as_str());
            WebhookRefusal::Temporary(error, None)
        })?;
        judge(webhook, &answer)
    }
}

fn judge(webhook: &AlertWebhook, answer: &HttpAnswer) -> Result<u16, WebhookRefusal> {
    let error = format!("{}: http {}", webhook.host(), answer.status);
    let asked = answer.retry_after.or((answer.status == 429).then_some(Duration::ZERO));
    let asked = asked.map(|asked| asked.min(RETRY_AFTER_MAX));
    match answer.status {
        200..=299 => Ok(answer.status),
        408 | 425 | 429 | 500..=599 => Err(WebhookRefusal::Temporary(error, asked)),
        _ => Err(WebhookRefusal::Final(error)),
    }
}
