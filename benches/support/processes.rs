//! The processes that are measured: started on a free loopback port, ended with their value.
//!
//! The gateways get directories below `target/`, so that their journals lie on a real disk. Their
//! limiter is set out of the way: it is not what is measured.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::wire::Client;

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
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
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

    /// Starts what does not say where it listens, and waits until it accepts there.
    pub fn start_at(command: &mut Command, address: SocketAddr) -> anyhow::Result<Self> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self { child: quiet.spawn()?, address };
        let deadline = Instant::now() + START_MAX;
        while std::net::TcpStream::connect(address).is_err() {
            let ended = process.child.try_wait()?;
            anyhow::ensure!(ended.is_none(), "it ended at once: {ended:?}");
            anyhow::ensure!(Instant::now() < deadline, "nothing listens at {address}");
            #[expect(clippy::disallowed_methods, reason = "a process that starts rings no bell")]
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(process)
    }

    /// A gateway with nothing but these settings.
    pub fn gateway(name: &str, dir: &Path, mirrors: &[SocketAddr]) -> anyhow::Result<Self> {
        Self::gateway_with(name, dir, mirrors, &[])
    }

    /// The same, and some more.
    pub fn gateway_with(
        name: &str,
        dir: &Path,
        mirrors: &[SocketAddr],
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let urls: Vec<String> = mirrors.iter().map(|address| format!("http://{address}")).collect();
        let dir = dir.join(name);
        let settings = [
            format!("instance.name={name}"),
            format!("instance.data_dir={}", dir.display()),
            format!("log.file={}", dir.join("cache.json").display()),
            "control.listen=127.0.0.1:0".to_owned(),
            format!("auth.admin_token={TOKEN}"),
            format!("mirrors.urls={}", urls.join(",")),
            "mirrors.rate_per_second=100000".to_owned(),
            "mirrors.burst=100000".to_owned(),
        ];
        std::fs::create_dir_all(&dir)?;
        // Another build, for a comparison with what was before.
        let other = std::env::var_os("BENCH_BINARY");
        let program = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_cache-mirror").into());
        let mut command = Command::new(program);
        command.args(["serve", "--isolated"]).current_dir(&dir);
        let settings = settings.iter().map(String::as_str).chain(more.iter().copied());
        for setting in settings.filter(|setting| !setting.ends_with('=')) {
            command.args(["--set", setting]);
        }
        for name in ["CACHE_MIRRORS", "PORT", "TEST_EMAIL", "CACHE_MIRROR_TOKEN"] {
            command.env_remove(name);
        }
        command.env("SERVICE_EMAIL", "mirror@example.org");
        command.env("SERVICE_PASSWORD", "the password of the benchmark");
        Self::start(&mut command)
    }

    /// Resident and proportional memory in MB, of the process alone.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
            let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
            anyhow::Ok(kib * 1024.0 / 1e6)
        };
        Ok((of("Rss:")?, of("Pss:")?))
    }

    /// Processor time it has used so far, in seconds.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
        // User and system time, in the hundredths that Linux shows to everybody.
        Ok(ticks(12).zip(ticks(13)).map(|(user, system)| user + system).context("stat")? / 100.0)
    }
}

/// A free port. Somebody else may take it before it is used; the start then fails.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Until the sender knows all its mirrors for gateways; before that it would speak the old form.
pub async fn acquainted(from: &Process, mirrors: usize) -> anyhow::Result<()> {
    let mut client = Client::connect(from.address, TOKEN).await?;
    let deadline = tokio::time::Instant::now() + START_MAX;
    loop {
        let answer = client.call("GET", "/api/mirrors", "").await?;
        if answer.matches(r#""kind":"cache-mirror""#).count() == mirrors {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "no acquaintance: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
