//! A real Chromium, controlled over WebDriver (W3C): real clicks and keys.
//!
//! Driver and browser are killed by process id when their value is dropped, also after a failure.
//! One runs at a time: they need much memory, and parallel scenes would only wait.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::support::{Node, PATIENCE, client};

/// What WebDriver calls a found element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Between two looks at the page.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// `Enter`, as WebDriver spells keys.
pub const ENTER: &str = "\u{E007}";
/// `Tab`.
pub const TAB: &str = "\u{E004}";

static ONE: Mutex<()> = Mutex::const_new(());

/// A browser with one tab.
pub struct Browser {
    client: Client,
    session: String,
    driver: Child,
    pid: Option<u64>,
    _stdout: Lines<BufReader<ChildStdout>>,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one on the dashboard of an instance.
    pub async fn open(node: &Node) -> Self {
        let turn = ONE.lock().await;
        let profile = TempDir::new().expect("a temporary directory");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .current_dir(profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver runs (Debian: chromium-driver)");
        let out = driver.stdout.take().expect("it was piped");
        let mut stdout = BufReader::new(out).lines();
        let port = timeout(PATIENCE, port(&mut stdout)).await.expect("chromedriver starts in time");
        let mut browser = Self {
            client: client(),
            session: format!("http://127.0.0.1:{port}/session"),
            driver,
            pid: None,
            _stdout: stdout,
            _profile: profile,
            _turn: turn,
        };
        browser.begin().await;
        browser.go(&format!("{}/dashboard", node.base)).await;
        browser
    }

    async fn begin(&mut self) {
        let arguments = [
            "--headless=new".to_owned(),
            // Test machines run as root, and in containers with a small /dev/shm.
            "--no-sandbox".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-gpu".into(),
            "--no-proxy-server".into(),
            "--no-first-run".into(),
            "--lang=en".into(),
            "--window-size=1280,1000".into(),
            format!("--user-data-dir={}", self._profile.path().display()),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let begun = self.ask(Method::POST, "", capabilities).await;
        self.pid = begun["capabilities"]["goog:processID"].as_u64();
        let id = begun["sessionId"].as_str().expect("a session");
        self.session = format!("{}/{id}", self.session);
    }

    /// One command of the protocol.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        self.try_ask(method, path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_ask(&self, method: Method, path: &str, body: Value) -> Result<Value, Value> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.session));
        if method == Method::POST {
            request = request.json(&body);
        }
        let answered = timeout(PATIENCE, request.send()).await.expect("the driver answers in time");
        let response = answered.expect("the driver answers");
        let is_done = response.status().is_success();
        let value = response.json::<Value>().await.expect("JSON")["value"].take();
        if is_done { Ok(value) } else { Err(value) }
    }

    /// Loads a page.
    pub async fn go(&self, url: &str) {
        self.ask(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// What a piece of script gives.
    pub async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.ask(Method::POST, "/execute/sync", body).await
    }

    /// Waits until an expression of the page holds.
    pub async fn until(&self, what: &str, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while self.run(&format!("return !!({expression})")).await != true {
            if Instant::now() > until {
                let page = self.run("return document.body.innerText").await;
                panic!("{what} ({expression}); the page:\n{}", page.as_str().unwrap_or_default());
            }
            // Between two looks at another process, which cannot ring.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until an element shows a text.
    pub async fn shows(&self, css: &str, text: &str) {
        let expression = format!(
            "[...document.querySelectorAll({})].some((it) => it.checkVisibility() && \
             it.innerText.includes({}))",
            json!(css),
            json!(text)
        );
        self.until(&format!("{css} shows {text:?}"), &expression).await;
    }

    /// The text of the first such element.
    pub async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({}).innerText", json!(css));
        self.run(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks, once the element is there and nothing is in its way.
    pub async fn click(&self, css: &str) {
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.try_click(css).await {
            assert!(Instant::now() < until, "{css}: {}", error["message"]);
            // Between two looks at another process, which cannot ring.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn try_click(&self, css: &str) -> Result<Value, Value> {
        let element = self.find(css).await?;
        self.try_ask(Method::POST, &format!("/element/{element}/click"), json!({})).await
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await.unwrap_or_else(|error| panic!("{css}: {error}"));
        self.ask(Method::POST, &format!("/element/{element}/clear"), json!({})).await;
        let path = format!("/element/{element}/value");
        self.ask(Method::POST, &path, json!({ "text": text })).await;
    }

    /// Presses keys wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let keyboard = json!({ "type": "key", "id": "k", "actions": pressed.collect::<Vec<_>>() });
        self.ask(Method::POST, "/actions", json!({ "actions": [keyboard] })).await;
    }

    async fn find(&self, css: &str) -> Result<String, Value> {
        let body = json!({ "using": "css selector", "value": css });
        let found = self.try_ask(Method::POST, "/element", body).await?;
        Ok(found[ELEMENT].as_str().expect("an element").to_owned())
    }

    /// Signs in with a token, and waits for the page behind it.
    pub async fn sign_in(&self, token: &str) {
        self.fill("#token", token).await;
        self.click("#sign-in button").await;
        self.shows("#live", "connected").await;
    }

    /// A screen of another size.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.tune("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// `light` or `dark`, as the reader's system asks for.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tune("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    async fn tune(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.ask(Method::POST, "/goog/cdp/execute", body).await;
    }

    /// What the browser found wrong with the page: errors of scripts, breaches of the policy.
    pub async fn complaints(&self) -> Vec<String> {
        let lines = self.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let lines = lines.as_array().cloned().unwrap_or_default();
        let is_ours = |line: &&Value| line["source"] != "network";
        lines.iter().filter(is_ours).map(ToString::to_string).collect()
    }

    /// A picture of the page, where `CACHE_MIRROR_SCREENSHOTS` names a directory for it.
    pub async fn picture(&self, name: &str) {
        let Some(dir) = std::env::var_os("CACHE_MIRROR_SCREENSHOTS") else { return };
        self.run("scrollTo(0, 0)").await;
        let taken = self.ask(Method::GET, "/screenshot", json!({})).await;
        let png = STANDARD.decode(taken.as_str().expect("a picture")).expect("base64");
        std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), png)
            .expect("the picture can be kept");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let ids = [self.driver.id().map(u64::from), self.pid];
        for id in ids.into_iter().flatten() {
            let ended = std::process::Command::new("kill")
                .args(["-KILL", &id.to_string()])
                .stderr(Stdio::null())
                .status();
            drop(ended);
        }
    }
}

async fn port(stdout: &mut Lines<BufReader<ChildStdout>>) -> u16 {
    while let Some(line) = stdout.next_line().await.expect("it can be read") {
        let after = line.split("successfully on port ").nth(1);
        if let Some(port) = after.and_then(|rest| rest.trim_end_matches('.').parse().ok()) {
            return port;
        }
    }
    panic!("chromedriver ended without a word about its port");
}
