//! Detects `https` on a port for plain HTTP, and the reverse: the libraries only report what they
//! could not parse, this file reports which scheme to use.

/// What to do about an `https` URL.
pub(super) const PLAIN: &str = "the port answers plain HTTP: use http:// and mirrors.allow_http, \
                                or put TLS in front";
/// What to do about an `http` URL.
pub const SECURE: &str = "the port answers TLS: use https://";

/// What servers answer in plain text to plain HTTP on a port for TLS: nginx, Apache, Go.
const COMPLAINTS: [&str; 3] = [
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "client sent an http request to an https server",
];
/// Bytes of an answer that are looked at.
const BYTES_MAX: usize = 2048;

/// The same for a command, whose URL is given to it: which scheme to use.
pub fn other_scheme(is_secure: bool, cause: &str) -> Option<&'static str> {
    mistaken(is_secure, cause).map(|_| match is_secure {
        true => "the port answers plain HTTP: use http://",
        false => SECURE,
    })
}

/// The advice, if the error text of a library shows that the scheme of the URL is wrong.
pub(super) fn mistaken(is_secure: bool, cause: &str) -> Option<&'static str> {
    // rustls and hyper: neither gives these as a type that reaches us.
    match is_secure {
        true if cause.contains("InvalidContentType") => Some(PLAIN),
        false if cause.contains("invalid HTTP version") => Some(SECURE),
        _ => None,
    }
}

/// Whether an answer in plain text reports that the port is for TLS.
pub fn is_complaint(status: u16, body: &[u8]) -> bool {
    if status != 400 {
        return false;
    }
    let head = String::from_utf8_lossy(&body[..body.len().min(BYTES_MAX)]).to_ascii_lowercase();
    let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
    COMPLAINTS.iter().any(|complaint| head.contains(complaint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::{Config, Failure, FailureKind, Network, Outgoing, Transport};

    /// What comes of a GET with this scheme where a port answers these bytes to anything.
    async fn fails(scheme: &str, answer: &'static [u8]) -> Failure {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut asked = [0; 1024];
            drop(stream.read(&mut asked).await);
            drop(stream.write_all(answer).await);
            drop(stream.shutdown().await);
            // Until the caller is done: a reset could overtake the answer.
            drop(stream.read(&mut asked).await);
        });
        let timeout = Duration::from_secs(5);
        let limits = Config { timeout, connect_time_max: timeout, answer_bytes_max: 4096 };
        let url = format!("{scheme}://127.0.0.1:{port}/").parse().expect("url");
        let request = Outgoing {
            method: reqwest::Method::GET,
            url,
            headers: vec![],
            body: bytes::Bytes::new(),
            timeout,
        };
        let network = Network::new(limits).expect("a client");
        let failure = network.send(request).await.expect_err("no answer that counts");
        server.abort();
        failure
    }

    #[tokio::test]
    async fn https_to_a_port_for_http_is_reported() {
        let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        let failure = fails("https", bad_request).await;
        assert_eq!((failure.kind, &*failure.cause), (FailureKind::Connect, PLAIN));
    }

    #[tokio::test]
    async fn http_to_a_port_for_tls_is_reported() {
        // An alert: unexpected message.
        let failure = fails("http", b"\x15\x03\x03\x00\x02\x02\x0a").await;
        assert_eq!((failure.kind, &*failure.cause), (FailureKind::Connect, SECURE));
        let nginx = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 59\r\n\r\n\
                      <h1>The plain HTTP request was sent to HTTPS port</h1>     ";
        assert_eq!(fails("http", nginx).await.cause, SECURE);
        let go =
            b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        assert_eq!(fails("http", go).await.cause, SECURE);
    }

    #[test]
    fn other_errors_are_left_alone() {
        for cause in ["Connection refused", "invalid peer certificate: UnknownIssuer", ""] {
            assert_eq!((mistaken(true, cause), mistaken(false, cause)), (None, None));
        }
        assert!(!is_complaint(200, COMPLAINTS[0].as_bytes()) && !is_complaint(400, b"bad"));
    }
}
