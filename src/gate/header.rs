//! The header of a token. It may only name one of the keys that we trust.
//!
//! Anything else is refused (`crit`, `b64`, another `typ`, a duplicate member) or ignored (`jku`,
//! `jwk`, `x5u`: keys and addresses that the sender brings along).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::BadToken;
use super::unique::Unique;

/// Longest token that is parsed. Ours are under 1 KiB; larger ones are refused before decoding.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The parts of a header that matter.
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// Whether its `typ` is that of an access token (RFC 9068). Other issuers may use it.
    pub(super) is_access_token: bool,
}

#[derive(Deserialize)]
struct Plain {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    // `null` is a value too: only an absent `crit` demands nothing.
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Header {
    /// Parses a header; refuses all but plain ones.
    pub(super) fn read(token: &str) -> Result<Self, BadToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(BadToken("longer than 8 KiB".into()));
        }
        let head = token.split('.').next().unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD
            .decode(head)
            .map_err(|_| BadToken("a header that is not base64url".into()))?;
        let header: Plain = serde_json::from_slice(&bytes)
            .and_then(|Unique(header)| serde_json::from_value(header))
            .map_err(|error| BadToken(format!("a header that cannot be read: {error}")))?;
        let algorithm = match header.alg.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => {
                let known = "another algorithm than HS256, RS256, ES256 or EdDSA";
                return Err(BadToken(known.into()));
            }
        };
        if header.crit.is_some() || header.b64.is_some() {
            return Err(BadToken("a crit or b64 header".into()));
        }
        // A media type, in any case; short for application/... (RFC 7515 section 4.1.9).
        let typ = header.typ.map(|typ| typ.to_ascii_lowercase());
        let is_access_token = match typ.as_deref() {
            None | Some("jwt" | "application/jwt") => false,
            Some("at+jwt" | "application/at+jwt") => true,
            Some(_) => return Err(BadToken("another typ than JWT or at+jwt".into())),
        };
        Ok(Self { algorithm, kid: header.kid, is_access_token })
    }
}
