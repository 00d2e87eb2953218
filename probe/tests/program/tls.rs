//! Endpoints with TLS.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::endpoint::cached_with_key;
use crate::support::{Server, probe_url, run};

/// Returns a server with TLS, and its certificate in PEM.
fn tls_server() -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config
                    .with_no_client_auth()
                    .with_single_cert(vec![made.cert.der().clone()], key)
            });
    let config = Arc::new(config.expect("valid"));
    let wrap = move |stream| -> Box<dyn crate::support::Stream> {
        let connection = ServerConnection::new(config.clone()).expect("a connection");
        Box::new(StreamOwned::new(connection, stream))
    };
    (Server::start_on(wrap, cached_with_key), made.cert.pem())
}

#[test]
fn tls_accepts_a_certificate_that_the_system_trusts_and_no_other() {
    let (server, certificate) = tls_server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("authorities.pem");
    std::fs::write(&path, certificate).expect("written");
    let url = format!("https://localhost:{}/v1", server.address.port());

    let mut command = probe_url(&url, &[]);
    command.env("SSL_CERT_FILE", &path);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out
            .contains("this endpoint honors x-session-affinity. "),
        "{}",
        ran.out
    );

    // A different authority.
    let other =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("written");
    let mut command = probe_url(&url, &[]);
    command.env("SSL_CERT_FILE", &path);
    let ran = run(command);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("error: cannot connect to https://localhost:"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("invalid peer certificate"), "{}", ran.err);
}
