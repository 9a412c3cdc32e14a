//! The certificate authorities that outgoing requests trust, and the base of every HTTP client.
//! TLS 1.2 and 1.3 by rustls and aws-lc-rs; nothing here sends anything.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates in a PEM text; further text around them is passed over.
///
/// # Errors
/// What is wrong with it.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("expected certificates in PEM (BEGIN CERTIFICATE)".into()),
    }
}

/// Why no client could be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the HTTP client: {0}")]
pub struct ClientError(pub(super) String);

/// What every client of this product is built from: no redirect is followed, no proxy of the
/// environment is used, nothing is tried twice.
///
/// # Errors
/// [`ClientError`] where the TLS library refuses its configuration.
pub fn builder() -> Result<ClientBuilder, ClientError> {
    Ok(builder_with(tls(roots(&[])?)?))
}

pub(super) fn builder_with(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        // Our own retry must be the only one: it knows what was acknowledged.
        .retry(reqwest::retry::never())
        .user_agent(concat!("cache-mirror/", env!("CARGO_PKG_VERSION")))
}

/// The system's roots, or the bundled ones where the system has none (a scratch image), and further
/// authorities.
pub(super) fn roots(
    authorities: &[CertificateDer<'_>],
) -> Result<rustls::RootCertStore, ClientError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for authority in authorities {
        let added = roots.add(authority.clone().into_owned());
        added.map_err(|error| ClientError(error.to_string()))?;
    }
    Ok(roots)
}

/// TLS 1.2 and 1.3.
pub(super) fn tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
