//! An engine over TCP: with TLS and certificates on both sides, or not at all beyond loopback.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::harness::{Server, eventually, real_socket, require_engine};

/// The real engine behind TLS on a port of loopback, which asks for a certificate of its own authority.
struct TlsEngine {
    address: std::net::SocketAddr,
    _runtime: Runtime,
}

impl TlsEngine {
    /// Starts it, and writes what a client needs below `folder`, named as Docker's own client names it.
    fn start(folder: &Path) -> Self {
        let authority = authority("engine");
        let (certificate, key) = signed(&authority, vec!["127.0.0.1".to_owned()]);
        write_client_files(folder, &authority);
        let mut roots = RootCertStore::empty();
        roots.add(authority.as_ref().der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .unwrap();
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, TlsAcceptor::from(Arc::new(config))));
        Self {
            address,
            _runtime: runtime,
        }
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn signed(
    authority: &Issuer,
    names: Vec<String>,
) -> (
    tokio_rustls::rustls::pki_types::CertificateDer<'static>,
    KeyPair,
) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    (certificate.der().clone(), key)
}

fn write_client_files(folder: &Path, authority: &Issuer) {
    std::fs::create_dir_all(folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.as_ref().pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client without the right certificate ends here.
            let Ok(mut client) = acceptor.accept::<TcpStream>(stream).await else {
                return;
            };
            let Ok(mut engine) = UnixStream::connect(real_socket()).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
        });
    }
}

#[test]
fn an_engine_behind_tls_runs_a_task() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let certificates = server.folder().join("certificates");
    let engine = TlsEngine::start(&certificates);
    server.env("DOCKER_HOST", &format!("tcp://{}", engine.address));
    server.env("DOCKER_TLS_VERIFY", "1");
    server.env("DOCKER_CERT_PATH", certificates.to_str().unwrap());
    server.boot();
    server.register_workload("quick", &["exit", "--code", "4"]);
    let task = server.wait_for(&server.run("quick"), "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 4, "{task:#}");
    // Nobody knows where it is: its cgroups are not written, and its restarts not noticed.
    assert_eq!(task["limits"]["enforcedBy"], "containers", "{task:#}");
    let described = server.cli(&["describe", task["taskId"].as_str().unwrap()]);
    assert!(described.ok().contains("each container on its own"));
    let ready = server.get("/readyz").1;
    assert!(ready["engine"].get("bootId").is_none(), "{ready:#}");
    assert!(server.cli(&["status"]).ok().contains("not this machine"));
    server.wait_until_clean();
}

#[test]
fn an_engine_that_does_not_know_our_certificate_is_away_with_a_reason() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let engine = TlsEngine::start(&server.folder().join("theirs"));
    let ours = server.folder().join("ours");
    write_client_files(&ours, &authority("somebody else"));
    server.env("DOCKER_HOST", &format!("tcp://{}", engine.address));
    server.env("DOCKER_TLS_VERIFY", "1");
    server.env("DOCKER_CERT_PATH", ours.to_str().unwrap());
    server.boot();
    eventually("the server to say that the engine is away", || {
        let ready = server.get("/readyz").1;
        let reason = ready["engine"]["reason"].as_str().unwrap_or_default();
        if ready["engine"]["state"] == "away" && !reason.is_empty() {
            Ok(())
        } else {
            Err(format!("{ready:#}"))
        }
    });
}

#[test]
fn an_engine_elsewhere_without_tls_is_refused() {
    let mut server = Server::prepare(&[]);
    server.env("DOCKER_HOST", "tcp://192.0.2.1:2375");
    let refused = server.command().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("TLS"), "{said}");
}
