//! The settings of the control listener.
//! Every limit of a connection and of a request has its name here.

use std::net::SocketAddr;
use std::time::Duration;

use super::hosts::Hosts;

/// The control listener.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address; 0 for no limit. Trusted proxies are not counted.
    pub connections_per_address_max: usize,
    /// Time for a request head.
    pub header_time_max: Duration,
    /// Time for the next request of a connection to begin.
    pub idle_time_max: Duration,
    /// Names by which the instance may be asked.
    pub hosts: Hosts,
    /// Time for a request body.
    pub body_time_max: Duration,
    /// Bytes of a request body.
    pub body_bytes_max: usize,
    /// Whether what did not come over HTTPS is refused, but for health checks and this host itself.
    pub require_https: bool,
    /// Whether an entry is stored only with the ticket of a miss.
    pub require_tickets: bool,
    /// Whether `/metrics` answers without credentials.
    pub metrics_public: bool,
    /// Whether routes are served that are for a developer's own machine.
    pub is_dev: bool,
    /// Time a stop waits for what is running.
    pub drain_time_max: Duration,
    /// Longest `?wait`.
    pub wait_time_max: Duration,
}
