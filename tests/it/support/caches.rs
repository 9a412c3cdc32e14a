//! Real caches from Debian packages, each on a free loopback port with a separate directory.
//!
//! They are configured as our documents show it; only addresses differ.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::node::client;
use super::{eventually, free_port};

/// A running cache. It ends with this value.
pub struct Cache {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    child: Child,
    _dir: TempDir,
}

impl Cache {
    /// Varnish by `docs/varnish.vcl`, in front of `origin` (`127.0.0.1:PORT`).
    pub async fn varnish(origin: &str) -> Self {
        Self::varnish_at(free_port(), origin).await
    }

    /// The same on a port that is known before.
    pub async fn varnish_at(port: u16, origin: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let (host, origin_port) = origin.split_once(':').expect("host and port");
        let vcl = include_str!("../../../docs/varnish.vcl");
        let backend = r#".host = "127.0.0.1"; .port = "8080";"#;
        assert!(vcl.contains(backend), "the document names its backend so");
        let here = format!(r#".host = "{host}"; .port = "{origin_port}";"#);
        let file = dir.path().join("cache.vcl");
        std::fs::write(&file, vcl.replace(backend, &here)).expect("written");
        let mut command = Command::new("varnishd");
        command.arg("-F").arg("-n").arg(dir.path().join("work")).arg("-f").arg(file);
        command.args(["-a", &format!("127.0.0.1:{port}"), "-s", "malloc,16m", "-j", "none"]);
        command.args(["-p", "thread_pools=1", "-p", "thread_pool_min=10"]);
        Self::start(command, port, dir).await
    }

    /// nginx by `docs/nginx-refresh.conf`, in front of `origin`.
    pub async fn nginx(origin: &str) -> Self {
        let (dir, port) = (TempDir::new().expect("a temporary directory"), free_port());
        let mut server = include_str!("../../../docs/nginx-refresh.conf").to_owned();
        for (shown, here) in [
            ("/var/cache/nginx/site", format!("{}/site", dir.path().display())),
            ("listen 127.0.0.1:8081", format!("listen 127.0.0.1:{port}")),
            ("http://127.0.0.1:8080", format!("http://{origin}")),
        ] {
            assert!(server.contains(shown), "the document says {shown}");
            server = server.replace(shown, &here);
        }
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let places =
            places.map(|name| format!("{name}_temp_path {}/{name};", dir.path().display()));
        // Only root may name a user, and only root needs to.
        let user = if is_root(dir.path()) { "user root;" } else { "" };
        let conf = format!(
            "{user} daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; {places} {server} }}",
            dir = dir.path().display(),
            places = places.concat(),
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, conf).expect("written");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(file);
        Self::start(command, port, dir).await
    }

    async fn start(mut command: Command, port: u16, dir: TempDir) -> Self {
        let log = |name: &str| std::fs::File::create(dir.path().join(name)).expect("created");
        command.stdin(Stdio::null()).stdout(log("out")).stderr(log("err"));
        // A separate process group, so that it can be stopped with its workers.
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let child = child.expect("installed by tests/run");
        let cache = Self { base: format!("http://127.0.0.1:{port}"), child, _dir: dir };
        eventually("the cache listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        cache
    }

    /// A page as a visitor gets it.
    pub async fn page(&self, path: &str) -> String {
        let answer = client().get(format!("{}{path}", self.base)).send().await;
        answer.expect("the cache answers").text().await.expect("a text")
    }

    /// Waits until a visitor gets this.
    pub async fn shows(&self, path: &str, text: &str) {
        eventually(&format!("{path} is {text}"), async || self.page(path).await == text).await;
    }

    /// Sends a signal to it and its workers.
    pub async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs");
        let kill = format!("kill -{signal} -{pid}");
        let status = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(status.expect("sh runs").success(), "{kill}");
    }
}

fn is_root(dir: &std::path::Path) -> bool {
    // What we made belongs to us.
    std::fs::metadata(dir).is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
