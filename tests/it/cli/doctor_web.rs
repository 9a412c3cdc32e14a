//! `doctor` against what stands in the way: redirects, clocks, balancers, buffering proxies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use super::doctor::{Found, doctor};
use super::support::{Desk, TOKEN};

/// A server that runs as long as the test process; it acts as a misconfigured program.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A server that gives this answer to the path of whatever it is asked.
fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    listen(move |mut stream| {
        let head = head(&mut stream);
        let path = head.split(' ').nth(1).unwrap_or("/");
        drop(stream.write_all(answer(path).as_bytes()));
    })
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The command with variables of an application's `.env`.
fn with(desk: &Desk, args: &[&str], variables: &[(&str, &str)]) -> Found {
    let mut command: Command = desk.command(&[&["doctor", "--json"][..], args].concat());
    command.envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let code = output.status.code();
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    Found::of(&super::support::Ran { code, stdout, stderr })
}

/// S0 0.6: www and apex, for mirrors and for the variables that applications use.
#[test]
fn a_redirect_to_another_host_is_found_and_the_right_url_is_named() {
    let desk = Desk::new();
    let apex = answering(|path| {
        let headers = format!("Location: http://www.localhost:7{path}\r\n");
        answer("301 Moved Permanently", &headers, "")
    });
    let site = format!("http://{apex}");
    let mirrors = format!("mirrors.urls={apex}");
    let found = with(
        &desk,
        &["--set", &mirrors, "--only", "redirect"],
        &[("NEXT_PUBLIC_SITE_URL", &site), ("REVALIDATE_SECRET_TOKEN", "secret")],
    );
    let name = format!("redirect:{apex}");
    found.reports(&name, "fail", "with 301", "name it http://www.localhost:7/ in CACHE_MIRRORS");
    let name = "redirect:NEXT_PUBLIC_SITE_URL";
    let remedy = "set NEXT_PUBLIC_SITE_URL=http://www.localhost:7/";
    found.reports(name, "fail", "a POST becomes a GET", remedy);
    let next = format!("{site}/api/revalidate");
    let variables = [("NEXT_REVALIDATE_URL", next.as_str()), ("NEXT_REVALIDATE_SECRET", "s")];
    let found = with(&desk, &["--only", "redirect,revalidate"], &variables);
    found.get("redirect:NEXT_REVALIDATE_URL", "fail");
    found.reports("revalidate:NEXT_REVALIDATE_URL", "skip", "a redirect", "the check \"redirect\"");
}

/// The clock decides whether a token is valid: a wrong clock of a mirror is reported before logins
/// fail.
#[test]
fn a_wrong_clock_is_found_and_a_correct_one_is_not_reported() {
    let desk = Desk::new();
    let late =
        answering(|_| answer("404 Not Found", "Date: Mon, 01 Jan 2018 00:00:00 GMT\r\n", ""));
    let (_peer, url) = Desk::new().serve(&[]);
    let mirrors = format!("mirrors.urls={late},{url}");
    let found = with(&desk, &["--set", &mirrors, "--only", "clock"], &[]);
    found.reports(&format!("clock:{late}"), "warn", "behind ours", "NTP");
    assert_eq!(found.0.len(), 1, "the instance on this host has our clock: {:#?}", found.0);
}

/// S1 1.22 and 1.23: the endpoint answers a GET, or the problem is reported.
#[test]
fn doctor_calls_the_revalidation_endpoint() {
    let desk = Desk::new();
    let ready = answering(|_| {
        let body = r#"{"status":"ok","message":"On-demand revalidation endpoint is ready"}"#;
        answer("200 OK", "Content-Type: application/json\r\n", body)
    });
    let pages = answering(|_| answer("404 Not Found", "Content-Type: text/html\r\n", "<h1>404"));
    for (address, status, part) in [
        (ready.as_str(), "ok", "answers 200"),
        (pages.as_str(), "fail", "answers 404"),
        ("127.0.0.1:1", "fail", "refused"),
    ] {
        let url = format!("http://{address}/api/revalidate");
        let variables = [("NEXT_REVALIDATE_URL", url.as_str()), ("REVALIDATE_SECRET", "s")];
        let found = with(&desk, &["--only", "revalidate"], &variables);
        let it = &found.0[0];
        assert!(it["status"] == status && it["detail"].to_string().contains(part), "{it:#}");
        assert_eq!(it["remedy"].is_null(), status == "ok", "{it:#}");
    }
}

/// Two instances behind one name: each event reaches one of them.
#[test]
fn a_name_that_hides_several_instances_is_found() {
    let (one, other, here) = (Desk::new(), Desk::new(), Desk::new());
    let (_one, one_url) = one.serve(&["instance.name=eu-1"]);
    let (_other, other_url) = other.serve(&["instance.name=eu-2"]);
    let backends = [one_url, other_url];
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let balanced = listen(move |client| {
        let at = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % backends.len();
        let address = backends[at].trim_start_matches("http://").to_owned();
        let server = TcpStream::connect(address).expect("a backend");
        pass(client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        copy(server, client, 1);
    });
    let mirrors = format!("mirrors.urls={balanced}");
    let found = with(&here, &["--set", &mirrors, "--only", "names"], &[]);
    let name = format!("names:{balanced}");
    found.reports(&name, "warn", "2 instances take turns behind it", "list each replica");
}

/// Copies in a separate thread.
fn pass(from: TcpStream, to: TcpStream) {
    std::thread::spawn(move || copy(from, to, 1));
}

/// Copies in pieces of at least so many bytes, as a proxy that buffers does.
fn copy(mut from: TcpStream, mut to: TcpStream, bytes_min: usize) {
    let (mut held, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read) = from.read(&mut piece) {
        held.extend_from_slice(&piece[..read]);
        if read == 0 || held.len() >= bytes_min {
            if to.write_all(&held).is_err() {
                return;
            }
            held.clear();
        }
        if read == 0 {
            drop(to.shutdown(std::net::Shutdown::Write));
            return;
        }
    }
}

/// S3 3.3: an event that waits in a proxy's buffer is no event yet.
#[test]
fn a_proxy_that_buffers_the_stream_is_found() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    let address = url.trim_start_matches("http://").to_owned();
    let through = move |bytes_min: usize| {
        let address = address.clone();
        listen(move |client| {
            let server = TcpStream::connect(&address).expect("the instance");
            pass(client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            copy(server, client, bytes_min);
        })
    };
    let ask = |proxy: &str| {
        let stream = format!("http://{proxy}/api/stream");
        Found::of(&doctor(&desk, &url, &[], &["--only", "sse", "--sse", &stream]))
    };
    ask(&through(1)).reports("sse", "ok", "first event after", "");
    ask(&through(100_000)).reports("sse", "fail", "not even a status", "proxy_buffering off");
    let direct = Found::of(&doctor(&desk, &url, &[], &["--only", "sse"]).ended(0));
    direct.get("sse", "ok");
    let all = format!("{:?}", direct.0);
    assert!(!all.contains("ticket") && !all.contains(TOKEN), "{all}");

    let html = answering(|_| answer("200 OK", "Content-Type: text/html\r\n", "<p>no"));
    ask(&html).reports("sse", "fail", "text/html", "/api/stream");
}
