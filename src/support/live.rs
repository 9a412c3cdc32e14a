//! A value that may be exchanged while others read it: settings that change without a restart.
//!
//! Readers take a snapshot, which costs one short lock and one count, and keep it as long as they
//! like. A reader that must not see an exchange in the middle of a step uses [`Live::with`].

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A shared value with snapshots.
pub struct Live<T>(RwLock<Arc<T>>);

impl<T> Live<T> {
    /// A value to begin with.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as of now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read())
    }

    /// Exchanges it. Snapshots taken before stay what they were.
    pub fn set(&self, value: T) {
        *self.0.write() = Arc::new(value);
    }

    /// Uses the value while it cannot be exchanged. `use_it` must not lock this value again.
    pub fn with<R>(&self, use_it: impl FnOnce(&T) -> R) -> R {
        let held: RwLockReadGuard<'_, Arc<T>> = self.0.read();
        use_it(&held)
    }

    /// Exchanges the value and calls `and_then` with the old and the new one, before any reader
    /// sees the new one. `and_then` must not lock this value again.
    pub fn exchange<R>(&self, value: T, and_then: impl FnOnce(&T, &T) -> R) -> R {
        let mut held: RwLockWriteGuard<'_, Arc<T>> = self.0.write();
        let old = std::mem::replace(&mut *held, Arc::new(value));
        and_then(&old, &held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_outlives_an_exchange() {
        let live = Live::new(1);
        let before = live.get();
        assert!(live.exchange(2, |old, new| (*old, *new) == (1, 2)));
        assert_eq!((*before, *live.get(), live.with(|now| *now)), (1, 2, 2));
        live.set(3);
        assert_eq!(*live.get(), 3);
    }
}
