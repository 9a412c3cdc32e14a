//! One scene: a journal, some peers and their workers.

use std::path::PathBuf;

use super::stub::{Stub, good_mirror};
use super::*;
use crate::domain::{Demand, Event, Label, Selector, Status, TypeName};
use crate::journal::{self, sim::SimDisk};
use crate::resolve::{self, Rules};
use crate::support::{Live, Secret};

/// The longest time that a scene waits, on the paused clock.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// A peer with the default login.
pub fn peer(name: &str) -> PeerConfig {
    PeerConfig {
        name: name.into(),
        base: url::Url::parse(&format!("http://{name}/")).expect("url"),
        rate_per_second: 1e6,
        burst: 1_000_000,
        login: Login {
            credentials: Some(Credentials {
                email: "mirror@here.example".into(),
                password: Secret::new("secret"),
            }),
            means: LoginMethod::Request(Box::new(login_request())),
        },
        network: None,
        class: DestinationClass::Mirror,
        kind: None,
    }
}

/// The login request of the default settings.
pub fn login_request() -> LoginRequest {
    LoginRequest {
        url: LOGIN_PATH.into(),
        body: r#"{"email":{email},"password":{password}}"#.into(),
        is_form: false,
        headers: vec![],
        token_pointer: "/access_token".into(),
        expires_pointer: "/expires_in".into(),
    }
}

pub fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(TypeName::parse(name).expect("type")))
}

pub fn entity(name: &str, id: &str) -> Selectors {
    let name = TypeName::parse(name).expect("type");
    Selectors::one(Selector::Entity(name, Label::parse(id).expect("id")))
}

pub fn tag(name: &str) -> Selectors {
    Selectors::one(Selector::Tag(Label::parse(name).expect("tag")))
}

pub fn mirrored(selectors: Selectors) -> Event {
    Event::of(Demand::new(Mode::Hard, selectors))
}

/// The workers of one process start.
pub struct Scene {
    pub disk: SimDisk,
    pub journal: Journal,
    pub delivery: Delivery,
    pub peers: Arc<Stub>,
    config: Config,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// The configuration of a scene's journal.
pub fn journal_config() -> journal::Config {
    journal::Config {
        dir: PathBuf::from("/data"),
        segment_bytes: 1 << 20,
        events_kept: 10_000,
        bytes_kept: 1 << 24,
        backlog_members_max: 10_000,
    }
}

impl Scene {
    /// One peer `b`, with this script.
    pub fn with(script: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        Self::of(config(vec![peer("b")]), script)
    }

    pub fn of(config: Config, script: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        Self::new(config, journal_config(), &SimDisk::new(), Arc::new(Stub::new(script)))
    }

    /// One peer `b` that accepts everything, and a small journal.
    pub fn with_small_journal(config: Config, members_max: usize) -> Self {
        let small = journal::Config {
            events_kept: 2,
            backlog_members_max: members_max,
            ..journal_config()
        };
        Self::new(config, small, &SimDisk::new(), Arc::new(Stub::new(good_mirror)))
    }

    pub fn new(config: Config, kept: journal::Config, disk: &SimDisk, peers: Arc<Stub>) -> Self {
        let own = Arc::new(BootNonce::draw());
        Self::owned(config, kept, disk, peers, own)
    }

    /// With a boot nonce that the script knows.
    pub fn owned(
        config: Config,
        kept: journal::Config,
        disk: &SimDisk,
        peers: Arc<Stub>,
        own: Arc<BootNonce>,
    ) -> Self {
        let names: Vec<_> = config.peers.iter().map(PeerConfig::destination).collect();
        let (journal, _) = Journal::open(kept, Arc::new(disk.clone()), &names).expect("opens");
        let dependencies =
            [("feed".into(), vec!["posts".into()]), ("posts".into(), vec!["pictures".into()])];
        let rules = resolve::Config {
            dependencies: dependencies.into_iter().collect(),
            ..resolve::Config::default()
        };
        let rules = Arc::new(Live::new(Rules::new(&rules).expect("rules")));
        let sender = Sender { instance: "here".into(), epoch: journal.epoch(), rules };
        let transport: Arc<dyn Transport> = Arc::<Stub>::clone(&peers);
        let delivery = Delivery::new(config.clone(), journal.clone(), transport, sender, own);
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        delivery.start(&mut tasks, &stop);
        Self { disk: disk.clone(), journal, delivery, peers, config, tasks, stop }
    }

    /// Applies other settings. On a blocking thread, because the clock must not advance meanwhile.
    pub async fn adopt(&mut self, config: Config) {
        let (delivery, mut tasks) = (self.delivery.clone(), std::mem::take(&mut self.tasks));
        let runtime = tokio::runtime::Handle::current();
        let adopting = tokio::task::spawn_blocking(move || {
            runtime.block_on(delivery.adopt(config, &mut tasks)).expect("the journal is open");
            tasks
        });
        self.tasks = adopting.await.expect("no panic");
    }

    /// Starts the alerts of its peers.
    pub fn alert(
        &mut self,
        config: &tokio::sync::watch::Receiver<crate::deliver::alerts::Config>,
        transport: Arc<dyn Transport>,
    ) {
        self.delivery.alert(config, transport, &mut self.tasks, &self.stop);
    }

    /// Makes an event durable. On a blocking thread, because the clock must not advance meanwhile.
    pub async fn log(&self, selectors: Selectors) -> Event {
        self.append(mirrored(selectors)).await
    }

    pub async fn append(&self, mut event: Event) -> Event {
        let (journal, copy) = (self.journal.clone(), event.clone());
        let runtime = tokio::runtime::Handle::current();
        let receipt = tokio::task::spawn_blocking(move || runtime.block_on(journal.append(copy)))
            .await
            .expect("no panic")
            .expect("durable");
        (event.seq, event.epoch) = (receipt.seq, receipt.epoch);
        event
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let view = &self.delivery.view();
        assert!(waited.is_ok(), "{what} never came: {view:#?}");
    }

    /// Waits until `b` has acknowledged everything.
    pub async fn delivered(&self) {
        self.until("the acknowledgement", |scene| scene.is_delivered("b")).await;
    }

    pub fn is_delivered(&self, name: &str) -> bool {
        let head = *self.journal.head().borrow();
        self.journal.is_acknowledged(&format!("mirror:{name}"), head)
    }

    pub fn sends(&self) -> Vec<Asked> {
        self.peers.asked("b", What::Invalidate)
    }

    pub fn logins(&self) -> usize {
        self.peers.asked("b", What::Login).len()
    }

    pub fn view(&self) -> DestinationView {
        self.delivery.view().remove(0)
    }

    pub fn status(&self, event: &Event) -> Status {
        self.delivery.outcomes(event)[0].status
    }

    /// Ends the process and starts it again, with other scripts.
    pub async fn restart(mut self, peers: Stub) -> Self {
        self.stop.cancel();
        self.tasks.shutdown().await;
        let disk = self.disk.kill();
        Self::new(self.config, journal_config(), &disk, Arc::new(peers))
    }
}
