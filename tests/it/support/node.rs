//! An instance as its users have it: a child process, its control API and its log file.
//!
//! It runs in a temporary directory with nothing of the surrounding environment, and ends with the
//! value that stands for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::ports::free_port;
use super::{JWT_SECRET, PATIENCE, SERVICE_EMAIL, SERVICE_PASSWORD};

/// Between two looks at a file.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// An instance to be started.
#[derive(Debug, Clone)]
pub struct Spec {
    name: String,
    port: Option<u16>,
    sets: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    file: Option<String>,
    dir: Option<PathBuf>,
}

impl Spec {
    /// Settings under which scenes are fast; each may be changed.
    pub fn new(name: &str) -> Self {
        let sets = [
            ("instance.name", name),
            ("graph.preset", "polymech"),
            ("auth.jwt_secret", JWT_SECRET),
            ("mirrors.backoff_ms_min", "20"),
            ("mirrors.backoff_ms_max", "200"),
            ("mirrors.timeout_ms", "3000"),
            ("mirrors.rate_per_second", "1000"),
            ("mirrors.burst", "1000"),
            ("control.drain_ms_max", "3000"),
        ];
        let env = [("SERVICE_EMAIL", SERVICE_EMAIL), ("SERVICE_PASSWORD", SERVICE_PASSWORD)];
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            name: name.to_owned(),
            port: None,
            sets: sets.into_iter().map(own).collect(),
            env: env.into_iter().map(own).collect(),
            file: None,
            dir: None,
        }
    }

    /// One `--set key=value`.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.sets.insert(key.to_owned(), value.to_string());
        self
    }

    /// Leaves a setting to the file, or to its default.
    pub fn unset(mut self, key: &str) -> Self {
        self.sets.remove(key);
        self
    }

    /// Its settings file, below the flags; without one it reads none.
    pub fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// One variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes a variable away.
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Its `CACHE_MIRRORS`.
    pub fn mirrors(self, peers: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let list: Vec<String> = peers.into_iter().map(|peer| peer.as_ref().to_owned()).collect();
        self.env("CACHE_MIRRORS", &list.join(","))
    }

    /// Mirrors that are stated to be no cache-mirror, so that nothing waits until that is known.
    pub fn legacy_mirrors(self, peers: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let one = |peer: &str| format!("{{ url = \"http://{peer}\", kind = \"legacy\" }}");
        let list: Vec<String> = peers.into_iter().map(|peer| one(peer.as_ref())).collect();
        self.set("mirrors.peers", format!("[{}]", list.join(", ")))
    }

    /// The port to listen on; without it a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A directory of the scene's; without it a temporary one.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Node {
        self.try_start().await.expect("the instance starts")
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// What it wrote to stderr, where it ended instead.
    pub async fn try_start(mut self) -> Result<Node, String> {
        let temporary = Arc::new(TempDir::new().expect("a temporary directory"));
        let dir = self.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
        let port = *self.port.get_or_insert_with(free_port);
        let token = format!("admin-token-of-{}-0123456789", self.name);
        self.env.insert("CACHE_MIRROR_TOKEN".into(), token.clone());
        let client = client();
        let base = format!("http://127.0.0.1:{port}");
        let mut node = Node { base, token, dir, spec: self, client, child: None, temporary };
        node.launch().await?;
        Ok(node)
    }
}

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as JSON, where the status is the one expected.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A running instance, or one that was stopped and may be started again.
pub struct Node {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    /// Its admin token.
    pub token: String,
    /// Where it runs: `data/` and `logs/cache.json` are in it.
    pub dir: PathBuf,
    spec: Spec,
    client: Client,
    child: Option<Child>,
    temporary: Arc<TempDir>,
}

impl Node {
    /// `127.0.0.1:PORT`: its name in the mirror lists of others.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// `instance.name`.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.spec.port.expect("it is chosen before the start")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// A request with the admin token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(&self.token, method, path)
    }

    /// A request with another token.
    pub fn request_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(token)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await.expect("the instance answers")
    }

    /// `POST` with JSON.
    pub async fn post(&self, path: &str, json: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&json)).await.expect("the instance answers")
    }

    /// `PATCH` with JSON.
    pub async fn patch(&self, path: &str, json: Value) -> Answer {
        answer(self.request(Method::PATCH, path).json(&json)).await.expect("the instance answers")
    }

    /// Invalidates as the admin, and gives the answer.
    pub async fn invalidate(&self, json: Value) -> Value {
        self.post("/api/cache/invalidate", json).await.expect(200)
    }

    /// Invalidates as another caller.
    pub async fn invalidate_as(&self, token: &str, json: Value) -> Answer {
        let request = self.request_as(token, Method::POST, "/api/cache/invalidate").json(&json);
        answer(request).await.expect("the instance answers")
    }

    /// Invalidates, where the instance may be gone: `None` unless it acknowledged.
    pub async fn try_invalidate(&self, json: Value) -> Option<Value> {
        let request = self.request(Method::POST, "/api/cache/invalidate").json(&json);
        let answer = answer(request).await.ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Puts an entry of a type, and returns whether it was stored.
    pub async fn put_entry(&self, key: &str, query: &str, body: &str) -> bool {
        let path = format!("/api/cache/entries/{key}?{query}");
        let request = self.request(Method::PUT, &path).body(body.to_owned());
        let answer = answer(request).await.expect("the instance answers");
        matches!(answer.status, 200 | 201)
    }

    /// What the cache holds under a key.
    pub async fn get_entry(&self, key: &str) -> Option<String> {
        let answer = self.get(&format!("/api/cache/entries/{key}")).await;
        (answer.status == 200).then(|| String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Every event of its journal.
    pub async fn journal(&self) -> Vec<Value> {
        let mut events: Vec<Value> = vec![];
        loop {
            let after = events.last().and_then(|event| event["seq"].as_u64()).unwrap_or(0);
            let page = self.get(&format!("/api/cache/journal?after={after}&limit=1000")).await;
            let page = page.expect(200)["events"].as_array().cloned().unwrap_or_default();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    /// One event with its outcomes.
    pub async fn event(&self, id: &str) -> Value {
        self.get(&format!("/api/cache/events/{id}")).await.expect(200)
    }

    /// Its mirrors, by name.
    pub async fn mirrors(&self) -> BTreeMap<String, Value> {
        let body = self.get("/api/mirrors").await.expect(200);
        let name = |mirror: &Value| mirror["name"].as_str().unwrap_or_default().to_owned();
        let mirrors = body["mirrors"].as_array().cloned().unwrap_or_default();
        mirrors.into_iter().map(|mirror| (name(&mirror), mirror)).collect()
    }

    /// One mirror.
    pub async fn mirror(&self, name: &str) -> Value {
        self.mirrors().await.remove(name).unwrap_or_else(|| panic!("a mirror called {name}"))
    }

    /// Its numbers.
    pub async fn stats(&self) -> Value {
        self.get("/api/cache/stats").await.expect(200)
    }

    /// Its log, rotated files first.
    pub fn log_lines(&self) -> Vec<Value> {
        let text = self.log_text();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The same as text.
    pub fn log_text(&self) -> String {
        let file = self.dir.join("logs/cache.json");
        let rotated = (1..10).rev().map(|number| file.with_extension(format!("json.{number}")));
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        rotated.chain([file.clone()]).map(read).collect()
    }

    /// Waits for a line, which is written after the event that it reports.
    pub async fn logged(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.log_lines().into_iter().find(|line| is_it(line)) {
                return line;
            }
            assert!(Instant::now() < until, "no line in the log: {what}\n{}", self.log_text());
            // Between two looks at another process, which cannot ring.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everything that went to stdout and stderr since its last start.
    pub fn output(&self) -> (String, String) {
        let read = |name| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        (read("stdout.txt"), read("stderr.txt"))
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where its settings file is, if it has one.
    pub fn settings_file(&self) -> PathBuf {
        self.dir.join("config/cache-mirror.toml")
    }

    /// Writes its settings file in one piece, as editors and deployments do.
    pub fn write_file(&self, text: &str) {
        let file = self.settings_file();
        std::fs::create_dir_all(self.dir.join("config")).expect("a directory");
        let beside = file.with_extension("new");
        std::fs::write(&beside, text).expect("the settings file can be written");
        std::fs::rename(beside, file).expect("and put in its place");
    }

    /// Sends a signal: `TERM`, `INT`, `HUP`, `STOP`, `CONT`.
    pub async fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(status.expect("sh runs").success(), "{kill}");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        status.expect("it ends in time").expect("its status can be read")
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// SIGKILL, and its end.
    pub async fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it can be killed");
        }
    }

    /// Starts it again in its directory and on its port; one that still runs is killed first.
    pub async fn restart(&mut self) {
        self.kill9().await;
        self.client = client();
        self.launch().await.expect("it starts again");
    }

    /// The same with other settings.
    pub async fn restart_with(&mut self, settle: impl FnOnce(Spec) -> Spec) {
        self.spec = settle(self.spec.clone());
        self.restart().await;
    }

    async fn launch(&mut self) -> Result<(), String> {
        std::fs::create_dir_all(&self.dir).map_err(|error| error.to_string())?;
        let file =
            |name| std::fs::File::create(self.dir.join(name)).map_err(|error| error.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
        command.arg("serve");
        match &self.spec.file {
            // A later start goes on with what the scene has made of it.
            Some(text) if !self.settings_file().exists() => self.write_file(text),
            Some(_) => {}
            None => drop(command.arg("--isolated")),
        }
        command.args(["--set", &format!("control.listen=127.0.0.1:{}", self.port())]);
        for (key, value) in &self.spec.sets {
            command.args(["--set", &format!("{key}={value}")]);
        }
        command
            .env_clear()
            .envs(&self.spec.env)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(file("stdout.txt")?)
            .stderr(file("stderr.txt")?)
            .kill_on_drop(true);
        self.child = Some(command.spawn().map_err(|error| error.to_string())?);
        self.listening().await
    }

    async fn listening(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let expected = format!("listening control={}\n", self.base);
        while !self.output().0.contains(&expected) {
            let child = self.child.as_mut().expect("it was just started");
            if child.try_wait().map_err(|error| error.to_string())?.is_some() {
                self.child = None;
                return Err(self.output().1);
            }
            assert!(Instant::now() < until, "it neither listens nor ends: {:?}", self.output());
            // Between two looks at another process, which cannot ring.
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, body: response.bytes().await? })
}

/// A client for plain HTTP on loopback: no TLS roots to load, no proxies, no redirects.
pub fn client() -> Client {
    static TLS: LazyLock<rustls::ClientConfig> = LazyLock::new(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    });
    Client::builder()
        .tls_backend_preconfigured(TLS.clone())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}
