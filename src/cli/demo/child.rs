//! One instance as a process of its own.
//!
//! Its environment holds PATH and its secrets and nothing else; secrets are no arguments, because
//! the process list shows those. It stops when its stdin ends, which happens at the latest when
//! this process does; one that does not stop in time is killed.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use url::Url;

use crate::cli::Exit;
use crate::cli::client::Client;
use crate::support::Secret;

/// From its start to its line on stdout; it takes a tenth of a second, a busy host some more.
const START_TIME_MAX: Duration = Duration::from_secs(15);
/// From the end of its stdin to its own.
const STOP_TIME_MAX: Duration = Duration::from_secs(4);
/// How much longer a call may take than any call: `?wait=all` waits five seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What distinguishes one instance from the others, and what they share.
pub struct Plan<'a> {
    pub name: &'static str,
    pub address: SocketAddr,
    /// Every instance's name and address, this one's too.
    pub mirrors: &'a [(&'static str, SocketAddr)],
    pub email: &'a str,
    pub password: &'a Secret,
    pub token: Secret,
    /// Its working directory.
    pub dir: PathBuf,
}

/// A running instance.
pub struct Instance {
    pub name: &'static str,
    pub pid: u32,
    pub client: Client,
    pub token: Secret,
    dir: PathBuf,
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Instance {
    /// Starts it and waits until it accepts.
    ///
    /// # Errors
    /// It did not start; with what it wrote to stderr.
    pub async fn start(plan: Plan<'_>) -> Result<Self, Exit> {
        let failed = |what: &str| Exit::Failed(format!("{} did not start: {what}", plan.name));
        std::fs::create_dir_all(&plan.dir).map_err(|error| failed(&error.to_string()))?;
        let stderr = plan.dir.join("stderr.txt");
        let mut process = command(&plan, &stderr)
            .and_then(|mut command| command.spawn())
            .map_err(|error| failed(&error.to_string()))?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().ok_or_else(|| failed("no stdout"))?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(START_TIME_MAX, lines.next_line()).await;
        let listening = format!("listening control=http://{}", plan.address);
        match first {
            Ok(Ok(Some(line))) if line == listening => {}
            _ => {
                let stderr = std::fs::read_to_string(&stderr).unwrap_or_default();
                return Err(failed(stderr.trim()));
            }
        }
        let base = Url::parse(&format!("http://{}/", plan.address));
        let base = base.map_err(|error| failed(&error.to_string()))?;
        let client = Client::new(base, Some(plan.token.clone()), PATIENCE)?;
        let pid = process.id().unwrap_or_default();
        let Plan { name, token, dir, .. } = plan;
        Ok(Self { name, pid, client, token, dir, process, stdin })
    }

    /// Its log so far, one object a line.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join("logs/cache.json")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until it ends by itself, which it should not.
    pub async fn ended(&mut self) {
        drop(self.process.wait().await);
    }

    /// Stops it: it drains, flushes and ends; or it is killed.
    pub async fn stop(&mut self) {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_TIME_MAX, self.process.wait()).await.is_err() {
            drop(self.process.kill().await);
        }
    }
}

fn command(plan: &Plan<'_>, stderr: &Path) -> std::io::Result<Command> {
    let mirrors = plan
        .mirrors
        .iter()
        .map(|(name, address)| format!("{{ name = \"{name}\", url = \"http://{address}\" }}"));
    let mirrors = mirrors.collect::<Vec<_>>().join(", ");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--isolated", "--stop-with-stdin"]);
    for (key, value) in [
        ("instance.name", plan.name.to_owned()),
        ("control.listen", plan.address.to_string()),
        // A reader's connection that is not closed yet must not hold up the end of a demo.
        ("control.drain_ms_max", "1000".to_owned()),
        ("graph.preset", "polymech".to_owned()),
        ("mirrors.peers", format!("[{mirrors}]")),
    ] {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
        .env("CACHE_MIRROR_TOKEN", plan.token.expose())
        .env("SERVICE_EMAIL", plan.email)
        .env("SERVICE_PASSWORD", plan.password.expose())
        .current_dir(&plan.dir)
        // Out of reach of the terminal's Ctrl-C: it is stopped in order.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(stderr)?)
        .kill_on_drop(true);
    Ok(command)
}
