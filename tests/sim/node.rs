//! One instance: the real pipeline, gate, store, journal and workers, without HTTP around them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cache_mirror::announce::{self, Hub};
use cache_mirror::deliver::identity::{self, BootNonce, Identity, PROTOCOL, Paths};
use cache_mirror::deliver::mirror::Sender;
use cache_mirror::deliver::{
    self, Credentials, Delivery, DestinationClass, INVALIDATE_PATH, LOGIN_PATH, Login, LoginMethod,
    LoginRequest, Mint, PeerConfig,
};
use cache_mirror::domain::submission::PeerBatch;
use cache_mirror::domain::{Event, EventId, Mode, Principal, Role, Selectors, Source, Submission};
use cache_mirror::gate::{self, Gate, Password, ServiceAccount};
use cache_mirror::ingest::body::InvalidateBody;
use cache_mirror::journal::{self, Flights, Journal, sim::SimDisk};
use cache_mirror::net::{HttpAnswer, Outgoing};
use cache_mirror::pipeline::{Pipeline, SubmitOutcome};
use cache_mirror::resolve::{self, Rules};
use cache_mirror::store::{self, Memory};
use cache_mirror::support::{Live, Secret, backoff::Backoff};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::network::{End, Network};

const EMAIL: &str = "mirror@example.test";
const PASSWORD: &str = "a password of the simulation";
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A running instance. Its tasks end with it.
pub struct Node {
    pub pipeline: Arc<Pipeline>,
    pub disk: SimDisk,
    own: Arc<BootNonce>,
    _tasks: JoinSet<()>,
}

impl Node {
    /// Starts instance `at` of `count`; every list names every instance, itself included.
    pub fn start(network: &Arc<Network>, at: usize, count: usize, disk: SimDisk) -> Arc<Self> {
        let name = format!("n{at}");
        let peers: Vec<PeerConfig> = (0..count).map(peer).collect();
        let names: Vec<String> = peers.iter().map(PeerConfig::destination).collect();
        let (journal, _) =
            Journal::open(journal_config(), Arc::new(disk.clone()), &names).expect("opens");
        let rules = Arc::new(Live::new(rules()));
        let sender =
            Sender { instance: name.clone(), epoch: journal.epoch(), rules: Arc::clone(&rules) };
        let own = Arc::new(BootNonce::draw());
        let end = Arc::new(End { network: Arc::clone(network), at });
        let delivery =
            Delivery::new(deliver_config(peers), journal.clone(), end, sender, Arc::clone(&own));
        let pipeline = Arc::new(Pipeline {
            gate: Arc::new(Gate::new(gate_config(&name))),
            store: Memory::new(store_config()),
            hub: Hub::new(announce_config(), name.clone(), journal.clone()),
            instance: name,
            rules,
            journal,
            flights: Flights::default(),
            delivery,
        });
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        pipeline.delivery.start(&mut tasks, &stop);
        Arc::new(Self { pipeline, disk, own, _tasks: tasks })
    }

    /// A person's invalidation; the event as the journal has it.
    pub async fn invalidate(&self, selectors: Selectors) -> Arc<Event> {
        self.invalidate_as("admin", Role::AdminToken, selectors).await
    }

    /// What a hostile mirror sends back: without any mark, under the name we log in with there.
    pub async fn echo(&self, selectors: Selectors) -> Arc<Event> {
        self.invalidate_as(EMAIL, Role::Editor, selectors).await
    }

    /// What a mirror sends.
    pub async fn take_from_peer(&self, batch: PeerBatch) {
        let submission = Submission { peer: Some(batch), ..submission(Selectors::default()) };
        self.submit_as(Role::Service, submission).await;
    }

    /// The body of a gateway for these events on one of the other routes.
    pub async fn take_marked(&self, ids: Vec<EventId>, selectors: Selectors, mode: Mode) {
        let submission = Submission { is_marked: true, ids, mode, ..submission(selectors) };
        self.submit_as(Role::Editor, submission).await;
    }

    async fn submit_as(&self, role: Role, submission: Submission) {
        let who = Principal { name: EMAIL.into(), role };
        clock_held(self.pipeline.submit(who, submission)).await.expect("accepted");
    }

    async fn invalidate_as(&self, name: &str, role: Role, selectors: Selectors) -> Arc<Event> {
        let who = Principal { name: name.into(), role };
        let submitting = self.pipeline.submit(who, submission(selectors));
        match clock_held(submitting).await.expect("accepted") {
            SubmitOutcome::Applied(report) => report.event,
            other => unreachable!("it is new: {other:?}"),
        }
    }

    /// Waits for the disk, so that what was begun before the clock moved is done before it moves
    /// on.
    pub async fn catch_up(&self) {
        clock_held(self.pipeline.journal.flush()).await;
    }

    /// How often each event of others had its effect here.
    pub fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for event in self.pipeline.journal.after(0, usize::MAX).events {
            let mut ids: Vec<String> = event.known_ids().map(|id| id.to_string()).collect();
            ids.sort();
            ids.dedup();
            ids.into_iter().for_each(|id| *effects.entry(id).or_default() += 1);
        }
        effects
    }

    /// Whether every other instance has acknowledged everything.
    pub fn is_settled(&self, others: impl Iterator<Item = usize>) -> bool {
        let head = *self.pipeline.journal.head().borrow();
        let mut others = others.map(|at| format!("mirror:n{at}"));
        others.all(|name| self.pipeline.journal.is_acknowledged(&name, head))
    }

    /// What the control API would answer.
    pub async fn answer(&self, request: Outgoing) -> HttpAnswer {
        match request.url.path() {
            identity::PATH => self.identity(&request),
            LOGIN_PATH => self.login(&request).await,
            _ => self.take(&request).await,
        }
    }

    fn identity(&self, request: &Outgoing) -> HttpAnswer {
        let nonce = request.url.query().and_then(|query| query.strip_prefix("nonce="));
        let identity = Identity {
            instance: self.pipeline.instance.clone(),
            version: "0".into(),
            protocol: PROTOCOL,
            features: vec![],
            paths: Paths { login: LOGIN_PATH.into(), invalidate: INVALIDATE_PATH.into() },
            graph: self.pipeline.rules.get().graph().hash().to_owned(),
            proof: self.own.proof(nonce.unwrap_or_default()),
            check: None,
        };
        json_answer(200, &json!(identity))
    }

    async fn login(&self, request: &Outgoing) -> HttpAnswer {
        let login: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        let text = |field: &str| login[field].as_str().unwrap_or_default().to_owned();
        let password = Secret::new(text("password"));
        match self.pipeline.gate.login(&text("email"), password, ADDRESS).await {
            Ok((token, life)) => {
                json_answer(200, &json!({ "access_token": token, "expires_in": life }))
            }
            Err(_) => json_answer(401, &json!({})),
        }
    }

    async fn take(&self, request: &Outgoing) -> HttpAnswer {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known.as_str() == name);
            found.map(|(_, value)| value.as_str())
        };
        let Ok(who) = self.pipeline.gate.authenticate(header("authorization"), ADDRESS) else {
            return json_answer(401, &json!({}));
        };
        let body = InvalidateBody::read_from_peer(&request.body).expect("a peer's body");
        let selectors = body.selectors(1000).expect("selectors");
        let submission = Submission {
            mirror: body.mirror,
            mode: body.mode(),
            source: Source::Mirror,
            is_marked: header("cache-mirror-via").is_some(),
            ids: vec![],
            peer: body.batch.map(Into::into),
            ..submission(selectors)
        };
        match clock_held(self.pipeline.submit(who, submission)).await {
            Ok(_) => json_answer(200, &json!({ "success": true })),
            Err(_) => json_answer(503, &json!({})),
        }
    }
}

/// The paused clock leaps whenever nothing of tokio's can run, and the journal's disk is a thread
/// that tokio does not know. While a blocking task runs, the clock stays where it is.
async fn clock_held<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || wait.recv().is_err());
    let result = work.await;
    drop(done);
    assert!(holding.await.expect("no panic"));
    result
}

fn json_answer(status: u16, body: &serde_json::Value) -> HttpAnswer {
    let body = body.to_string().into();
    HttpAnswer {
        status,
        content_type: Some("application/json".into()),
        body,
        ..HttpAnswer::default()
    }
}

fn submission(selectors: Selectors) -> Submission {
    Submission { address: Some(ADDRESS), ..Submission::new(selectors, Source::Api) }
}

fn peer(at: usize) -> PeerConfig {
    let credentials = Credentials { email: EMAIL.into(), password: Secret::new(PASSWORD) };
    PeerConfig {
        name: format!("n{at}"),
        base: format!("http://n{at}/").parse().expect("url"),
        rate_per_second: 1e6,
        burst: 1_000_000,
        login: Login {
            credentials: Some(credentials),
            means: LoginMethod::Request(Box::new(LoginRequest {
                url: LOGIN_PATH.into(),
                body: r#"{"email":{email},"password":{password}}"#.into(),
                is_form: false,
                headers: vec![],
                token_pointer: "/access_token".into(),
                expires_pointer: "/expires_in".into(),
            })),
        },
        network: None,
        class: DestinationClass::Mirror,
        kind: None,
    }
}

fn deliver_config(peers: Vec<PeerConfig>) -> deliver::Config {
    deliver::Config {
        peers,
        timeout: Duration::from_secs(10),
        connect_time_max: Duration::from_secs(5),
        batch_events_max: 20,
        batch_bytes_max: 512 * 1024,
        backoff: Backoff { min: Duration::from_millis(250), max: Duration::from_secs(60) },
        breaker_failures: 5,
        probe_every: Duration::from_secs(300),
        answer_bytes_max: 64 * 1024,
        forget_after: Duration::from_secs(86_400),
        widened_all: deliver::WidenedAll::AsMerged,
        revalidate_secrets: vec![],
        echo_window: Duration::from_secs(120),
        echo: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
        mint: Mint::default(),
    }
}

fn gate_config(name: &str) -> gate::Config {
    gate::Config {
        admin_tokens: vec![Secret::new("admin")],
        jwt_secrets: vec![Secret::new("a key of the simulation, 32 bytes and more")],
        signing_keys: vec![],
        revalidate_secrets: vec![],
        jwks: None,
        issuer: name.into(),
        audience: "cache-mirror".into(),
        role_claim: "/role".into(),
        admin_roles: vec!["ADMIN".into()],
        editor_roles: vec![],
        // The paused clock outruns the wall clock by which tokens end; they must not end here.
        token_life: Duration::from_secs(86_400),
        leeway: Duration::from_secs(5),
        data_dir: None,
        allow: vec![],
        trusted_proxies: vec![],
        login_failures_per_minute: 5,
        token_failures_per_minute: 1_000_000,
        service_accounts: vec![ServiceAccount {
            email: EMAIL.into(),
            password: Password::Plain(Secret::new(PASSWORD)),
        }],
        person: None,
        service_emails: vec![],
        requests_per_second: 1_000_000,
        burst: 1_000_000,
        requests_per_second_total: 1_000_000,
        selectors_max: 1_000,
        json_depth_max: 64,
        idempotency_keys_max: 10,
    }
}

fn journal_config() -> journal::Config {
    journal::Config {
        dir: PathBuf::from("/data"),
        segment_bytes: 64 * 1024,
        events_kept: 100_000,
        bytes_kept: 1 << 26,
        backlog_members_max: 10_000,
    }
}

fn store_config() -> store::Config {
    store::Config {
        bytes_max: 1 << 20,
        count_time_max: Duration::from_millis(20),
        ttl: Duration::from_secs(300),
        ttl_max: Duration::from_secs(3600),
        soft_time_max: Duration::from_secs(60),
        fill_time_max: Duration::from_secs(30),
        ticket_time_max: Duration::from_secs(600),
        bans_max: 1024,
        stamps_max: 10_000,
    }
}

fn announce_config() -> announce::Config {
    announce::Config {
        is_public: false,
        origins: vec![],
        clients_max: 1,
        ping_every: Duration::from_secs(25),
        queue_events_max: 256,
        queue_bytes_max: 1 << 24,
        replay_events_max: 10_000,
        retry: Duration::from_secs(3),
        aliases: std::collections::BTreeMap::new(),
    }
}

fn rules() -> Rules {
    let dependencies = [("feed".into(), vec!["posts".into(), "pages".into()])];
    let config = resolve::Config {
        dependencies: dependencies.into_iter().collect(),
        ..resolve::Config::default()
    };
    Rules::new(&config).expect("rules")
}
