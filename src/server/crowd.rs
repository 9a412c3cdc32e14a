//! How many connections each address has open, so that one cannot take them all.
//!
//! Counted by address, IPv6 by /64; trusted proxies speak for many and are not counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

use crate::gate::{address_key, is_within};

/// The counts.
#[derive(Clone)]
pub struct Crowd {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    each_max: usize,
}

/// One connection's place; given back when it is dropped.
pub struct Place {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    key: String,
}

impl Crowd {
    /// At most `each_max` places for one address; 0 for no limit.
    pub fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// A place for a connection from `address`: `Ok(None)` where it is not counted, because there
    /// is no limit or it is one of the `exempt`.
    ///
    /// # Errors
    /// The address has all the places it may have.
    pub fn enter(&self, address: IpAddr, exempt: &[IpNet]) -> Result<Option<Place>, Full> {
        if self.each_max == 0 || is_within(address, exempt) {
            return Ok(None);
        }
        let key = address_key(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.each_max {
            return Err(Full);
        }
        *count += 1;
        Ok(Some(Place { counts: Arc::clone(&self.counts), key }))
    }
}

/// No place is left for this address.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Reliability B12: one address cannot take every place, and gives back what it had.
    #[test]
    fn each_address_has_its_own_places() {
        let crowd = Crowd::new(2);
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        let enter = |text: &str| crowd.enter(address(text), &proxies);
        let held: Vec<_> = (0..2).map(|_| enter("192.0.2.1")).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(enter("192.0.2.1").is_err());
        assert!(enter("::ffff:192.0.2.1").is_err(), "the same, written otherwise");
        assert!(enter("192.0.2.2").is_ok());
        assert!((0..9).all(|_| matches!(enter("10.1.2.3"), Ok(None))));
        drop(held);
        assert!(enter("192.0.2.1").is_ok());
        assert!(crowd.counts.lock().is_empty(), "nothing is remembered of who has gone");
    }

    #[test]
    fn a_v6_client_is_its_network() {
        let crowd = Crowd::new(1);
        let enter = |text: &str| crowd.enter(address(text), &[]);
        let _held = enter("2001:db8::1");
        assert!(enter("2001:db8::2").is_err());
        assert!(enter("2001:db8:0:1::1").is_ok());
    }
}
