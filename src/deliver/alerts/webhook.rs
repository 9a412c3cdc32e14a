//! Messages on their way to the webhook: one after the other, each tried a bounded number of times.
//!
//! They keep their order, so that nobody hears of an end before its beginning; one that cannot be
//! brought is given up, told in the log, and holds up nothing but those behind it. Which addresses
//! may be reached is the transport's decision, as for all that is sent.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::{mpsc, watch};

use super::notice::Notice;
use super::{Config, Webhook};
use crate::deliver::Signer;
use crate::deliver::throttle;
use crate::deliver::worker::VIA;
use crate::net::{HttpAnswer, Outgoing, Transport};
use crate::support::backoff::{Backoff, chance};
use crate::support::clock;

/// One message, from connect to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Tries for each message.
const TRIES_MAX: u32 = 6;
/// Waits between them.
const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Longest wait that an answer may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Why a message was not taken.
enum Refusal {
    /// It never will be.
    Final(String),
    /// Another try may help, after the wait that it asked for, if it did.
    Passing(String, Option<Duration>),
}

/// Brings messages.
pub struct Messenger {
    /// Where they go is looked up for each try.
    pub config: watch::Receiver<Config>,
    pub transport: Arc<dyn Transport>,
    /// `instance.name`, in messages and as the mark on the call.
    pub instance: String,
}

impl Messenger {
    /// Brings what comes, until nothing more can come.
    pub async fn run(self, mut waiting: mpsc::Receiver<Notice>) {
        while let Some(notice) = waiting.recv().await {
            self.bring(&notice).await;
        }
    }

    async fn bring(&self, notice: &Notice) {
        for attempt in 1..=TRIES_MAX {
            let (webhook, signer) = {
                let config = self.config.borrow();
                (config.webhook.clone(), config.signer.clone())
            };
            let Some(webhook) = webhook else { return };
            match self.post(&webhook, signer.as_ref(), notice).await {
                Ok(status) => return notice.log_sent(attempt, status),
                Err(Refusal::Passing(_, asked)) if attempt < TRIES_MAX => {
                    let least = asked.map(|asked| throttle::least(Some(asked), attempt, chance()));
                    let wait = BACKOFF.wait(attempt, chance()).max(least.unwrap_or_default());
                    tokio::time::sleep(wait).await;
                }
                Err(Refusal::Final(error) | Refusal::Passing(error, _)) => {
                    return notice.log_unsent(&error, attempt);
                }
            }
        }
    }

    async fn post(
        &self,
        webhook: &Webhook,
        signer: Option<&Signer>,
        notice: &Notice,
    ) -> Result<u16, Refusal> {
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
            // The library's words may hold the URL, and the URL may be the secret.
            let error = format!("{}: {}", webhook.host(), failure.kind.as_str());
            Refusal::Passing(error, None)
        })?;
        judge(webhook, &answer)
    }
}

fn judge(webhook: &Webhook, answer: &HttpAnswer) -> Result<u16, Refusal> {
    let error = format!("{}: http {}", webhook.host(), answer.status);
    let asked = answer.retry_after.or((answer.status == 429).then_some(Duration::ZERO));
    let asked = asked.map(|asked| asked.min(RETRY_AFTER_MAX));
    match answer.status {
        200..=299 => Ok(answer.status),
        408 | 425 | 429 | 500..=599 => Err(Refusal::Passing(error, asked)),
        _ => Err(Refusal::Final(error)),
    }
}
