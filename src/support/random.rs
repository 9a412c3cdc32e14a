//! Random bytes from the system's generator, for nonces and secrets.
//!
//! Not the TLS library's: its first byte costs 70 ms of measuring the processor's jitter, and a
//! start should not wait for that.

/// Fills `bytes`.
///
/// # Errors
/// The system's generator does not answer; on any supported system it always does.
pub fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    getrandom::fill(bytes)
}
