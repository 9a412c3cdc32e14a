//! The unit as systemd reads it, and the notifications to a service manager.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::support::{PATIENCE, Spec};
use crate::{at, read};

const UNIT: &str = "deploy/systemd/cache-mirror.service";
const BINARY: &str = "/usr/local/bin/cache-mirror";

/// Exposure by `systemd-analyze security`, from 0 (locked away) to 10; in tenths.
const EXPOSURE_MAX: u32 = 20;

fn analyze(args: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(args).arg("--no-pager").arg(unit);
    command.output().expect("systemd-analyze runs; Debian package systemd")
}

/// The unit in a temporary directory, with the binary under test.
fn installed(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("cache-mirror.service");
    std::fs::write(&path, text.replace(BINARY, env!("CARGO_BIN_EXE_cache-mirror"))).expect("write");
    path
}

/// Findings of `systemd-analyze verify`. It reports an unknown key on stderr only.
fn complaints(text: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let output = analyze(&["verify", "--man=no"], &installed(dir.path(), text));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { stderr } else { format!("{}\n{stderr}", output.status) }
}

#[test]
fn systemd_accepts_the_unit_with_and_without_its_examples() {
    let text = read(UNIT);
    assert_eq!(complaints(&text), "");
    let with_examples = text.replace("\n#LoadCredential", "\nLoadCredential");
    let with_examples = with_examples.replace("\n#Environment", "\nEnvironment");
    assert_ne!(with_examples, text);
    assert_eq!(complaints(&with_examples), "");
    let misspelt = text.replace("ProtectSystem=", "ProtectSytsem=");
    assert!(complaints(&misspelt).contains("ProtectSytsem"), "the misspelt key is reported");
}

#[test]
#[allow(clippy::print_stdout, reason = "the score is to be seen")]
fn the_unit_has_a_low_exposure_score() {
    let unit = at(UNIT);
    let limit = format!("--threshold={EXPOSURE_MAX}");
    let output = analyze(&["security", "--offline=true", &limit], &unit);
    let report = String::from_utf8_lossy(&output.stdout);
    println!("{}", report.lines().rfind(|line| !line.is_empty()).unwrap_or_default());
    assert!(output.status.success(), "over {EXPOSURE_MAX} tenths:\n{report}");
    let output = analyze(&["security", "--offline=true", "--threshold=1"], &unit);
    assert!(!output.status.success(), "it does measure");
}

/// Names and values that the unit and the binary must spell the same way.
#[test]
fn the_unit_and_the_binary_agree() {
    let text = read(UNIT);
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
    command.args(["config", "show", "--json"]).env_clear().current_dir(dir.path());
    let variables = text.lines().map(|line| line.trim_start_matches('#'));
    let variables = variables.filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    let names: Vec<&str> = variables.map(|(name, _)| name).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in &names {
        let path = dir.path().join(name);
        std::fs::write(&path, "a-secret-of-the-tests").expect("write");
        command.env(name, path);
    }
    let shown = command.output().expect("it runs");
    let shown = String::from_utf8(shown.stdout).expect("UTF-8");
    for name in names {
        assert!(shown.contains(name), "{name} is no setting:\n{shown}");
    }
    let started = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a start");
    let args = started.strip_prefix(BINARY).expect("the binary").split_whitespace();
    crate::assert_parses(&args.collect::<Vec<_>>());
}

/// A service manager, as the instance meets it: a socket for datagrams.
struct NotifySocket {
    socket: UnixDatagram,
    path: String,
    _dir: tempfile::TempDir,
}

impl NotifySocket {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify").display().to_string();
        Self { socket: UnixDatagram::bind(&path).expect("a socket"), path, _dir: dir }
    }

    /// The next message with this in it; what comes between is let go.
    async fn receives(&self, part: &str) -> String {
        let hearing = async {
            let mut bytes = [0; 1024];
            loop {
                let length = self.socket.recv(&mut bytes).await.expect("a message");
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                if text.lines().any(|line| line.starts_with(part)) {
                    return text;
                }
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.unwrap_or_else(|_| panic!("no {part}"))
    }
}

#[tokio::test]
async fn the_service_manager_is_notified_of_start_reload_stop_and_watchdog() {
    let notify = NotifySocket::new();
    let spec = Spec::new("a").file("").env("NOTIFY_SOCKET", &notify.path);
    let mut node = spec.env("WATCHDOG_USEC", "200000").start().await;
    let ready = notify.receives("READY=1").await;
    assert!(ready.contains(&format!("STATUS=control API on {}", node.base)), "{ready}");
    notify.receives("WATCHDOG=1").await;
    notify.receives("WATCHDOG=1").await;

    node.signal("HUP").await;
    let reloading = notify.receives("RELOADING=1").await;
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    let ready = notify.receives("READY=1").await;
    assert!(ready.contains("STATUS=settings read again"), "{ready}");

    // A changed file is read without a notification; the signal causes one.
    node.write_file("[control]\nlissten = \"x\"\n");
    node.signal("HUP").await;
    let ready = notify.receives("READY=1").await;
    assert!(ready.contains("STATUS=settings refused"), "{ready}");

    assert_eq!(node.stop().await.code(), Some(0));
    notify.receives("STOPPING=1").await;
}

/// 78 is what `RestartPreventExitStatus` waits for; and who cannot start is never ready.
#[tokio::test]
async fn bad_settings_exit_78_and_never_notify_ready() {
    assert!(read(UNIT).contains("\nRestartPreventExitStatus=78\n"));
    let notify = NotifySocket::new();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
    command.args(["serve", "--isolated", "--set", "control.listen=nowhere"]).env_clear();
    command.env("NOTIFY_SOCKET", &notify.path);
    let output = command.output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    let nothing = tokio::time::timeout(Duration::ZERO, notify.socket.readable()).await;
    assert!(nothing.is_err(), "it ended without a word");
}
