//! Accepting, serving and draining connections.
//!
//! A permit is taken before a connection is accepted, so the limit is back-pressure and not an
//! error. A stop ends accepting first, asks every connection to finish its request, and after the
//! deadline cuts what is left. Header and idle time are limited by the socket (`wire`).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Control;
use super::crowd::Crowd;
use super::heads::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::line::Line;
use super::routes::RouteTable;
use super::wire::Wire;
use crate::activity::{Activity, ActivityKind, Level};

/// hyper's own bound on what it reads ahead. The exact one on a head comes before it.
const READ_BYTES_MAX: usize = HEAD_BYTES_MAX + 4 * 1024;
/// Pause after a failed accept (out of file descriptors): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound listener that does not accept yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 picks a free one.
    ///
    /// # Errors
    /// The system's, as it is.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then drains until all is done or the drain time is over.
    pub async fn serve(self, control: Arc<Control>, stop: CancellationToken) {
        let table = Arc::new(RouteTable::new(Arc::clone(&control)));
        let permits = Arc::new(Semaphore::new(control.config.connections_max));
        let crowd = Crowd::new(control.config.connections_per_address_max);
        let mut connections = JoinSet::new();
        loop {
            let (stream, from, permit) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&self.socket, &permits) => accepted,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            };
            // Whoever has too many already is closed without a word: an answer would cost more.
            let proxies = &control.pipeline.gate.config().trusted_proxies;
            let Ok(place) = crowd.enter(from.ip(), proxies) else { continue };
            let connection = Connection {
                table: Arc::clone(&table),
                from,
                stop: stop.clone(),
                header_time_max: control.config.header_time_max,
                idle_time_max: control.config.idle_time_max,
            };
            connections.spawn(async move {
                connection.serve(stream).await;
                drop((permit, place));
            });
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(control.config.drain_time_max, drained).await.is_err() {
            connections.shutdown().await;
        }
    }
}

async fn accept(
    socket: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let permit = Arc::clone(permits).acquire_owned().await.expect("it is never closed");
        match socket.accept().await {
            Ok((stream, from)) => return (stream, from, permit),
            Err(error) => {
                Activity {
                    level: Level::Warn,
                    event: ActivityKind::Server,
                    msg: "cannot accept a connection",
                    error: Some(&error.to_string()),
                    ..Activity::default()
                }
                .emit();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Connection {
    table: Arc<RouteTable>,
    from: SocketAddr,
    stop: CancellationToken,
    header_time_max: Duration,
    idle_time_max: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let line = Line::default();
        // Whoever watches this connection learns of its end, however it comes.
        let _ended = line.cut.clone().drop_guard();
        let from = self.from.ip();
        let service = service_fn(|request: Request<Incoming>| {
            let (table, line) = (Arc::clone(&self.table), line.clone());
            async move { Ok::<_, Infallible>(table.answer(request, from, line).await) }
        });
        let wire = Wire::new(stream, line.clone(), self.header_time_max, self.idle_time_max);
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(READ_BYTES_MAX)
            .max_headers(HEADERS_MAX + 1)
            .keep_alive(true)
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let served = async {
            tokio::pin!(connection);
            // A protocol error of a client concerns that client only, and needs no log line.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = self.stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    drop(connection.await);
                }
            }
            if line.is_tls() {
                self.table.note_tls(from);
            }
            if let Some(next) = line.next() {
                next.await;
            }
        };
        tokio::select! {
            () = served => {}
            () = line.cut.cancelled() => {}
        }
    }
}
