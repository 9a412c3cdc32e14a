//! A peer behind TLS whose certificate only a private authority vouches for.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::{Spec, StubPeer, eventually};

/// TLS in front of a stub; it ends with this value.
struct Front {
    address: SocketAddr,
    authority_pem: String,
    server: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Front {
    async fn before(stub: &StubPeer) -> Self {
        let (authority_pem, acceptor) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let behind = stub.name();
        let server = tokio::spawn(async move {
            while let Ok((outer, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    let Ok(mut outer) = acceptor.accept(outer).await else { return };
                    let Ok(mut inner) = TcpStream::connect(behind).await else { return };
                    drop(tokio::io::copy_bidirectional(&mut outer, &mut inner).await);
                });
            }
        });
        Self { address, authority_pem, server }
    }
}

/// An authority of our own, and a server with a certificate of its making.
fn certified() -> (String, TlsAcceptor) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("signs itself");
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().expect("a key");
    let names = ["127.0.0.1".to_owned()];
    let params = CertificateParams::new(names).expect("an address");
    let certificate = params.signed_by(&key, &issuer).expect("signs");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        )
        .expect("they belong together");
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_private_authority_is_trusted_for_the_peer_that_names_it() {
    let stub = StubPeer::start().await;
    let front = Front::before(&stub).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, &front.authority_pem).expect("writes");
    let url = format!("https://{}", front.address);
    let trusting = format!(r#"[{{url = "{url}", name = "tls", ca_file = "{}"}}]"#, file.display());
    let node = Spec::new("a").set("mirrors.peers", trusting).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is delivered", async || node.mirror("tls").await["delivered"] == 1).await;
    assert_eq!(stub.bodies(), [r#"{"type":"posts","mirror":false}"#]);
}

#[tokio::test]
async fn a_peer_with_an_untrusted_certificate_receives_nothing() {
    let stub = StubPeer::start().await;
    let front = Front::before(&stub).await;
    // An authority that has nothing to do with it does not help.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, certified().0).expect("writes");
    let url = format!("https://{}", front.address);
    let bare = format!(r#"[{{url = "{url}", name = "tls"}}]"#);
    let other = format!(r#"[{{url = "{url}", name = "tls", ca_file = "{}"}}]"#, file.display());
    for peers in [bare, other] {
        let node = Spec::new("a").set("mirrors.peers", peers).start().await;
        node.invalidate(json!({ "type": "posts" })).await;
        let line = node.logged("the failure", |line| line["status"] == "failed").await;
        let error = line["error"].as_str().expect("an error");
        assert!(error.contains("certificate"), "{error}");
    }
    assert!(stub.seen().is_empty());
}
