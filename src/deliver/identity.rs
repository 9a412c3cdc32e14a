//! Who is at the other end: another cache-mirror, a legacy server, or ourselves.
//!
//! An address or a stored id cannot tell (names move, disks are cloned), so each process start
//! draws a random *boot nonce* and proves itself by an HMAC over the asker's nonce. Only this
//! process can compute our proof; where an answer holds it, the peer is ourselves. In doubt an
//! event is delivered twice, never skipped.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde::{Deserialize, Serialize};
use url::Url;

use super::credentials::below;
use crate::net::{Failure, Outgoing, Transport};
use crate::support::{Secret, proof, random};

/// Where every instance answers.
pub const PATH: &str = "/_cache-mirror/identity";
/// The protocol this version speaks; N and N-1 understand each other.
pub const PROTOCOL: u32 = 1;
/// Longest nonce answered.
pub const NONCE_BYTES_MAX: usize = 128;

/// This process start.
pub struct BootNonce {
    key: hmac::Key,
}

impl Default for BootNonce {
    fn default() -> Self {
        Self::draw()
    }
}

impl BootNonce {
    /// Draws one. It is kept in memory only.
    pub fn draw() -> Self {
        let mut nonce = [0_u8; 32];
        random::fill(&mut nonce).expect("the system's random generator answers");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &nonce) }
    }

    /// `HMAC-SHA256(boot nonce, nonce)` in hexadecimal.
    pub fn proof(&self, nonce: &str) -> String {
        let tag = hmac::sign(&self.key, nonce.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a proof is ours, in constant time.
    pub fn is_ours(&self, nonce: &str, proof: &str) -> bool {
        let bytes: Option<Vec<u8>> = (0..proof.len())
            .step_by(2)
            .map(|at| proof.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .collect();
        bytes.is_some_and(|bytes| hmac::verify(&self.key, nonce.as_bytes(), &bytes).is_ok())
    }
}

/// The one secret that may be compared, by the name it has in `check`.
pub const REVALIDATE: &str = "revalidate";

/// Keyed hashes of a secret, for a caller who may compare: it holds the same one where it makes the
/// same hash.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretCheck {
    /// Whether one is configured here.
    pub known: bool,
    /// Of each that is valid here and at least 32 characters long, in hexadecimal.
    pub proofs: Vec<String>,
}

impl SecretCheck {
    /// Of these secrets, for this nonce.
    pub fn of(secrets: &[Secret], nonce: &str) -> Self {
        let proofs = secrets.iter().filter_map(|secret| proof::of(secret, REVALIDATE, nonce));
        Self { known: !secrets.is_empty(), proofs: proofs.collect() }
    }

    /// How theirs compare with ours of the same nonce.
    pub fn compare(&self, ours: &Self) -> &'static str {
        match self {
            _ if self.proofs.iter().any(|proof| ours.proofs.contains(proof)) => "equal",
            Self { known: false, .. } => "absent",
            _ if self.proofs.is_empty() || ours.proofs.is_empty() => "short",
            _ => "differs",
        }
    }
}

/// What an instance says of itself.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Identity {
    /// `instance.name`.
    pub instance: String,
    /// Product version.
    pub version: String,
    /// Protocol number.
    pub protocol: u32,
    /// What it understands beyond the legacy form.
    #[serde(default)]
    pub features: Vec<String>,
    /// Where to log in and to invalidate, relative to the peer's base.
    pub paths: Paths,
    /// Hash of its graph.
    #[serde(default)]
    pub graph: String,
    /// The proof over the asker's nonce.
    pub proof: String,
    /// What was asked for with `check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<SecretCheck>,
}

/// Paths of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "IdentityPaths")]
pub struct Paths {
    /// Login.
    pub login: String,
    /// Invalidate.
    pub invalidate: String,
}

/// Who answered a probe.
#[derive(Debug, Clone)]
pub enum Answered {
    /// This very process.
    Oneself,
    /// Another cache-mirror.
    CacheMirror(Box<Identity>),
    /// Something else that speaks HTTP.
    Legacy,
}

/// One that nobody used before.
pub fn nonce() -> String {
    let mut bytes = [0_u8; 16];
    random::fill(&mut bytes).expect("the system's random generator answers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks once, over a connection of its own; gives also the address that answered.
///
/// # Errors
/// [`Failure`] where nothing answered: then nothing is known.
pub async fn probe(
    base: &Url,
    own: &BootNonce,
    timeout: Duration,
    over: &dyn Transport,
) -> Result<(Answered, Option<IpAddr>), Failure> {
    let nonce = nonce();
    let Some(mut url) = below(base, PATH) else { return Ok((Answered::Legacy, None)) };
    url.set_query(Some(&format!("nonce={nonce}")));
    let request = Outgoing {
        method: Method::GET,
        url,
        headers: vec![(ACCEPT, "application/json".into())],
        body: Bytes::new(),
        timeout,
    };
    let answer = over.send_alone(request).await?;
    let identity = (answer.status == 200)
        .then(|| serde_json::from_slice::<Identity>(&answer.body).ok())
        .flatten();
    let answered = match identity {
        Some(identity) if own.is_ours(&nonce, &identity.proof) => Answered::Oneself,
        Some(identity) if identity.proof.len() == 64 && identity.protocol >= 1 => {
            Answered::CacheMirror(Box::new(identity))
        }
        _ => Answered::Legacy,
    };
    Ok((answered, answer.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_process_can_prove_itself() {
        let (own, other) = (BootNonce::draw(), BootNonce::draw());
        assert!(own.is_ours("n", &own.proof("n")));
        assert!(!own.is_ours("m", &own.proof("n")));
        assert!(!own.is_ours("n", &other.proof("n")));
        for garbage in ["", "zz", "é", &own.proof("n")[1..]] {
            assert!(!own.is_ours("n", garbage), "{garbage:?}");
        }
    }
}
