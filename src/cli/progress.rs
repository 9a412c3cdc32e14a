//! Shows which mirrors are still awaited, on one line of stderr that is rewritten. Nothing is shown
//! in a pipe or for short waits.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::client::{Client, parse};
use super::print::{self, count};
use crate::wire::{DestinationView, Mirrors};

/// Shorter waits show nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Between two looks.
const EVERY: Duration = Duration::from_millis(300);
/// Characters of the line; longer ones would wrap and could not be taken back.
const WIDTH_MAX: usize = 78;

/// Runs `work`; while it takes long, shows which mirrors still have events waiting.
pub async fn while_mirrors_wait<T>(client: &Client, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    tokio::select! {
        done = work => {
            show("");
            done
        }
        never = watch(client) => match never {},
    }
}

async fn watch(client: &Client) -> std::convert::Infallible {
    tokio::time::sleep(PATIENCE).await;
    loop {
        // An instance that does not answer is reported by the work.
        if let Ok(answer) = client.get("/api/mirrors").await {
            show(&parse(&answer).map(|it: Mirrors| missing(&it.mirrors)).unwrap_or_default());
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Which mirrors have something waiting, and how they do.
fn missing(mirrors: &[DestinationView]) -> String {
    let waiting: Vec<String> = mirrors
        .iter()
        .filter(|mirror| mirror.backlog_events > 0 && mirror.state != "self")
        .map(|mirror| match &*mirror.state {
            "ok" | "" => print::safe(&mirror.name),
            state => format!("{} ({})", print::safe(&mirror.name), print::safe(state)),
        })
        .collect();
    if waiting.is_empty() {
        return String::new();
    }
    let number = count(waiting.len() as u64, "mirror", "mirrors");
    format!("waiting for {number}: {}", waiting.join(", "))
}

/// Takes the line before back and writes this one.
fn show(text: &str) {
    let text: String = text.chars().take(WIDTH_MAX).collect();
    let mut stderr = std::io::stderr().lock();
    drop(
        write!(stderr, "\r\u{1b}[K{}", crate::support::visible::escaped(&text))
            .and_then(|()| stderr.flush()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_wait_are_named_with_what_holds_them() {
        let list = [("a", "ok", 1), ("b", "failing", 2), ("c", "ok", 0), ("d", "self", 1)];
        let mirrors = list.map(|(name, state, waiting)| DestinationView {
            name: name.into(),
            state: state.into(),
            backlog_events: waiting,
            ..DestinationView::default()
        });
        assert_eq!(missing(&mirrors), "waiting for 2 mirrors: a, b (failing)");
        assert_eq!(missing(&mirrors[2..]), "");
    }
}
