//! The processes that are measured: pairs of a sender and its mirror, of both kinds.
//!
//! Each listens on a free loopback port and ends with the value that stands for it. The gateways
//! get directories below `target/`, so that their journals lie on a real disk.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::wire::Client;

/// Admin at every gateway.
pub const TOKEN: &str = "the-token-of-the-benchmark";

/// How long a start, or the first hello between two gateways, may take.
const START_MAX: Duration = Duration::from_secs(20);

/// A running process; killed when it is dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it and reads where it listens.
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("listening control=http://")
            .with_context(|| format!("instead of an address: {line:?}"))?
            .parse()?;
        Ok(Self { child, address })
    }

    /// A gateway with nothing but these settings.
    pub fn gateway(name: &str, dir: &Path, mirrors: &[SocketAddr]) -> anyhow::Result<Self> {
        let urls: Vec<String> = mirrors.iter().map(|address| format!("http://{address}")).collect();
        let dir = dir.join(name);
        let settings = [
            format!("instance.name={name}"),
            format!("instance.data_dir={}", dir.display()),
            format!("log.file={}", dir.join("cache.json").display()),
            "control.listen=127.0.0.1:0".to_owned(),
            format!("auth.admin_token={TOKEN}"),
            format!("mirrors.urls={}", urls.join(",")),
            // The limiter is not what is measured.
            "mirrors.rate_per_second=100000".to_owned(),
            "mirrors.burst=100000".to_owned(),
        ];
        std::fs::create_dir_all(&dir)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
        command.args(["serve", "--isolated"]).current_dir(&dir);
        for setting in settings.iter().filter(|setting| !setting.ends_with('=')) {
            command.args(["--set", setting]);
        }
        for name in ["CACHE_MIRRORS", "PORT", "TEST_EMAIL", "CACHE_MIRROR_TOKEN"] {
            command.env_remove(name);
        }
        command.env("SERVICE_EMAIL", "mirror@example.org");
        command.env("SERVICE_PASSWORD", "the password of the benchmark");
        Self::start(&mut command)
    }

    /// The stand-in for a hand-made mirror.
    pub fn node(mirrors: &[SocketAddr]) -> anyhow::Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/propagation/node_peer.mjs");
        let urls = mirrors.iter().map(|address| format!("http://{address}"));
        Self::start(Command::new("node").arg(script).args(urls))
    }
}

/// A sender and its mirror.
pub struct Pair {
    pub from: Process,
    pub to: Process,
}

impl Pair {
    pub async fn gateways(dir: &Path) -> anyhow::Result<Self> {
        let to = Process::gateway("to", dir, &[])?;
        let from = Process::gateway("from", dir, &[to.address])?;
        acquainted(&from).await?;
        Ok(Self { from, to })
    }

    pub fn nodes() -> anyhow::Result<Self> {
        let to = Process::node(&[])?;
        let from = Process::node(&[to.address])?;
        Ok(Self { from, to })
    }
}

/// Until the sender knows its mirror for a gateway; before that it would speak the old form.
async fn acquainted(from: &Process) -> anyhow::Result<()> {
    let mut client = Client::connect(from.address, TOKEN).await?;
    let deadline = tokio::time::Instant::now() + START_MAX;
    loop {
        let mirrors = client.call("GET", "/api/mirrors", "").await?;
        if mirrors.contains(r#""kind":"cache-mirror""#) {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "no acquaintance: {mirrors}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
