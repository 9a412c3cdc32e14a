//! `health`, as a container platform runs it: without a token, and with nothing but an exit code.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::support::Desk;

/// Something that answers one request with this, whatever is asked; gives what it was asked.
fn stand_in(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).expect("a request");
        stream.write_all(answer.as_bytes()).expect("it reads");
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (url, asked)
}

#[test]
fn a_running_instance_is_healthy_and_needs_no_token() {
    let desk = Desk::new();
    let (mut server, url) = desk.serve(&[]);
    for args in [&["health", "--server", &url][..], &["health", "--ready", "--server", &url]] {
        let shown = desk.run(args).ended(0);
        assert_eq!((shown.stdout, shown.stderr), (format!("{url} is ok\n"), String::new()));
    }
    let json = desk.run(&["health", "--json", "--server", &url]).ended(0).json();
    assert_eq!(json, serde_json::json!({ "server": url, "status": "ok" }));

    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
    desk.run(&["health", "--server", &url]).refused(4, "cannot reach");
}

/// A check on the same host uses the settings of the instance and needs no argument.
#[test]
fn without_a_url_health_uses_the_address_in_the_settings() {
    let desk = Desk::new();
    let (_server, url) = desk.serve(&[]);
    let port = url.rsplit(':').next().expect("a port");
    let listen = format!("control.listen=0.0.0.0:{port}");
    let shown = desk.run(&["health", "--set", &listen]).ended(0).stdout;
    assert_eq!(shown, format!("{url} is ok\n"));

    let config = desk.path().join("config");
    std::fs::create_dir(&config).expect("dir");
    let text = format!("[control]\nlisten = \"127.0.0.1:{port}\"\n");
    std::fs::write(config.join("cache-mirror.toml"), text).expect("write");
    desk.run(&["health"]).ended(0);
    let mut by_port = desk.command(&["health"]);
    let status = by_port.env("CACHE_MIRROR_URL", "http://127.0.0.1:1").output().expect("it runs");
    assert_eq!(status.status.code(), Some(4), "CACHE_MIRROR_URL comes before the settings");
}

#[test]
fn an_unhealthy_or_foreign_server_exits_1() {
    let desk = Desk::new();
    let ask = |answer: &'static str, args: &[&str]| {
        let (url, asked) = stand_in(answer);
        let ran = desk.run(&[args, &["--server", &url]].concat());
        (ran, asked.join().expect("it was asked"))
    };
    let degraded = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
                    Content-Length: 21\r\n\r\n{\"status\":\"degraded\"}";
    let (ran, asked) = ask(degraded, &["health", "--ready"]);
    ran.refused(1, "is degraded; see: cache-mirror status");
    assert!(asked.starts_with("GET /readyz "), "{asked}");
    let (ran, asked) = ask(degraded, &["health", "--json"]);
    assert_eq!(ran.ended(1).json()["status"], "degraded");
    assert!(asked.starts_with("GET /healthz "), "{asked}");
    assert!(!asked.to_lowercase().contains("authorization"), "{asked}");

    let strange = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    ask(strange, &["health"]).0.refused(1, "Is it a cache-mirror?");
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    ask(other, &["health"]).0.refused(1, "is no cache-mirror");
    desk.run(&["health", "--server", "ftp://x"]).refused(2, "--server");
}
