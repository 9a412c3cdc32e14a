//! Scenes of the stream: a journal on a simulated disk, a hub, and readers that come and go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::form::Form;
use super::frame::Frame;
use super::*;
use crate::domain::{
    Action, Demand, Event, EventId, Label, Mode, Scope, Selector, Selectors, Source, TypeName,
};
use crate::journal::sim::SimDisk;
use crate::journal::{self, Journal};

mod far;
mod forms;
mod frames;
mod replay;
mod slow;

fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(TypeName::parse(name).expect("type")))
}

fn entity(name: &str, id: &str) -> Selector {
    let name = TypeName::parse(name).expect("type");
    Selector::Entity(name, Label::parse(id).expect("id"))
}

fn event(selectors: Selectors) -> Event {
    Event {
        seq: 7,
        epoch: 3,
        version: 9,
        scope: Scope::Local,
        action: Action::Delete,
        ..Event::of(Demand::new(Mode::Hard, selectors))
    }
}

/// One event of a stream, as a reader sees it.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    id: Option<String>,
    event: String,
    data: Value,
}

/// Parses chunks, which may hold several frames each, as TCP would deliver them.
fn hear(chunks: &[Sse]) -> Vec<Heard> {
    let text: String = chunks.iter().map(|chunk| chunk.0.as_str()).collect();
    assert!(text.is_empty() || text.ends_with("\n\n"), "whole frames only: {text:?}");
    text.split("\n\n").filter(|frame| !frame.is_empty()).map(parse).collect()
}

fn parse(frame: &str) -> Heard {
    let mut heard = Heard { id: None, event: String::new(), data: Value::Null };
    for line in frame.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => heard.id = Some(id.to_owned()),
            Some(("event", event)) => heard.event = event.to_owned(),
            Some(("data", data)) => heard.data = serde_json::from_str(data).expect("JSON"),
            Some(("retry", ms)) => assert!(ms.parse::<u64>().is_ok(), "{ms}"),
            _ => panic!("an unexpected line: {line:?}"),
        }
    }
    heard
}

fn config() -> Config {
    Config {
        is_public: false,
        origins: vec![],
        clients_max: 100,
        ping_every: Duration::from_secs(3600),
        queue_events_max: 256,
        queue_bytes_max: 1 << 24,
        replay_events_max: 10_000,
        retry: Duration::from_secs(3),
        aliases: BTreeMap::new(),
    }
}

fn journal_on(disk: &SimDisk, events_kept: usize) -> Journal {
    let config = journal::Config {
        dir: PathBuf::from("/data"),
        segment_bytes: 1 << 20,
        events_kept,
        bytes_kept: 1 << 24,
        backlog_members_max: 1_000,
    };
    Journal::open(config, Arc::new(disk.clone()), &[] as &[String]).expect("opens").0
}

struct Scene {
    disk: SimDisk,
    journal: Journal,
    hub: Hub,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Scene {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        Self::on(&SimDisk::new(), config, 10_000)
    }

    fn on(disk: &SimDisk, config: Config, events_kept: usize) -> Self {
        let journal = journal_on(disk, events_kept);
        let hub = Hub::new(config, "here".into(), journal.clone());
        let stop = CancellationToken::new();
        let task = tokio::spawn(hub.clone().run(stop.clone()));
        Self { disk: disk.clone(), journal, hub, stop, task }
    }

    async fn send(&self, selectors: Selectors) {
        self.journal.append(event(selectors)).await.expect("durable");
    }

    fn open(&self, last_id: Option<&str>) -> Reader {
        let subscription: Subscription<Sse> = self.hub.subscribe(last_id).expect("there is room");
        let cut = subscription.cut.clone();
        Reader { heard: std::collections::VecDeque::new(), subscription, cut }
    }
}

/// Reads a stream.
struct Reader {
    heard: std::collections::VecDeque<Heard>,
    subscription: Subscription<Sse>,
    cut: CancellationToken,
}

impl Reader {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Heard> {
        while self.heard.is_empty() {
            let next = self.subscription.next_some(1);
            let next = tokio::time::timeout(Duration::from_secs(20), next).await;
            let next = next.expect("something comes in time");
            if next.is_empty() {
                return None;
            }
            self.heard.extend(hear(&next));
        }
        self.heard.pop_front()
    }

    /// Whether nothing is there to be read.
    fn is_quiet(&mut self) -> bool {
        use futures_util::FutureExt as _;
        self.heard.is_empty() && self.subscription.next_some(1).now_or_never().is_none()
    }

    /// The next event, which must be this one.
    async fn expect(&mut self, name: &str) -> Heard {
        let next = self.next().await.expect("the stream goes on");
        assert_eq!(next.event, name, "{next:?}");
        next
    }
}
