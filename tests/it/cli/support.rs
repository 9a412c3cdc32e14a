//! A working directory, the binary in it, and processes that end with their test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything; only a failing test waits as long.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The admin token of every server of a test.
pub const TOKEN: &str = "an-admin-token-of-the-tests";

/// Where commands run: a fresh directory, and an environment with nothing in it.
pub struct Desk {
    pub dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
        command.args(args).env_clear().current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().expect("it runs"))
    }

    /// Runs it with this on stdin.
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut pipe = child.stdin.take().expect("stdin");
        // It may refuse before it reads.
        drop(pipe.write_all(stdin.as_bytes()));
        drop(pipe);
        ran(child.wait_with_output().expect("it ends"))
    }

    /// Starts it and reads its stdout line by line.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::from(self.command(args))
    }

    /// Starts an instance here, with the usual token; gives it and its URL.
    pub fn serve(&self, settings: &[&str]) -> (Running, String) {
        let mut command = self.command(&["serve", "--set", "control.listen=127.0.0.1:0"]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command.env("CACHE_MIRROR_TOKEN", TOKEN);
        let server = Running::from(command);
        let line = server.line();
        let url = line.strip_prefix("listening control=").expect("the line of the contract");
        let url = url.to_owned();
        (server, url)
    }

    /// Runs a client command against an instance, with the usual token.
    pub fn ask(&self, url: &str, args: &[&str]) -> Ran {
        let mut command = self.command(args);
        let command = command.env("CACHE_MIRROR_URL", url).env("CACHE_MIRROR_TOKEN", TOKEN);
        ran(command.output().expect("it runs"))
    }
}

/// Stores an entry; gives the answer's first line.
pub fn put(url: &str, place: &str, body: &str) -> String {
    let answer = http(url, "PUT", &format!("/api/cache/entries/{place}"), body);
    answer.lines().next().expect("a status line").to_owned()
}

/// A call of the API with the usual token; the whole answer as it came.
pub fn http(url: &str, method: &str, target: &str, body: &str) -> String {
    let address = url.strip_prefix("http://").expect("an http URL");
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let length = match method {
        "GET" | "HEAD" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n{length}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Ran {
    /// The one JSON document on stdout.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Ended with this code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Ended with this code, nothing on stdout, and one line on stderr that contains this.
    #[track_caller]
    pub fn refused(self, code: i32, says: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.stderr.contains(says), "{self:?}");
    }
}

/// A process that is killed when it is dropped, if it has not ended before.
pub struct Running {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl From<Command> for Running {
    fn from(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("stdout");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }
}

impl Running {
    /// Its next line on stdout.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line on stdout")
    }

    /// Its next line with this in it.
    pub fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Whether it prints nothing for this long; for lines that must not come.
    pub fn is_silent(&self, time: Duration) -> bool {
        self.lines.recv_timeout(time).is_err()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let order = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &order]).status().expect("sh");
        assert!(status.success(), "{order}");
    }

    /// Waits for its end; returns its exit code and its stderr.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let ended = until("it ends", || self.child.try_wait().expect("wait"));
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut text).expect("stderr");
        }
        (ended.code(), text)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks until there is something, or the deadline is over.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
