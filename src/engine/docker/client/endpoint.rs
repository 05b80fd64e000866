//! Where the daemon is, and how it may be spoken to.
//!
//! Whoever can speak to a Docker daemon is root on its host, so a connection that anybody on the way could
//! read or write is refused: plain TCP goes to this machine's own loopback and nowhere else.

use std::env;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};

use super::super::super::EngineError;

/// Where Docker listens unless told otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Docker's registered ports.
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// bollard's own limit, for the head of an answer only. Every call here has a deadline of its own that is
/// shorter; a pull may take this long to begin.
const HEAD_TIMEOUT_S: u64 = 600;

/// A daemon's address that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The path of a socket.
    Unix(String),
    /// `host:port` on loopback.
    Plain(String),
    /// `host:port`, and the folder with `ca.pem`, `cert.pem` and `key.pem`.
    Tls {
        /// `host:port`.
        authority: String,
        /// The folder.
        certificates: PathBuf,
    },
}

/// As `DOCKER_HOST` writes it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Plain(authority) | Self::Tls { authority, .. } => write!(f, "tcp://{authority}"),
        }
    }
}

impl Endpoint {
    /// `host` if given, then `DOCKER_HOST`, then the default socket. `DOCKER_TLS_VERIFY` and
    /// `DOCKER_CERT_PATH` mean what they mean to Docker's own client.
    pub(super) fn resolve(host: Option<&str>) -> Result<Self, EngineError> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let host = host
            .map(str::to_owned)
            .or_else(|| set("DOCKER_HOST"))
            .unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let certificates = set("DOCKER_CERT_PATH")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")))
            .unwrap_or_default();
        let endpoint = Self::parse(&host, set("DOCKER_TLS_VERIFY").is_some(), certificates)?;
        endpoint.check_certificates()?;
        Ok(endpoint)
    }

    fn parse(host: &str, verify_tls: bool, certificates: PathBuf) -> Result<Self, EngineError> {
        let refused = |why: &str| Err(EngineError::Refused(format!("{host:?} {why}")));
        let Some((scheme, rest)) = host.split_once("://") else {
            return if host.starts_with('/') {
                Ok(Self::Unix(host.to_owned()))
            } else {
                refused(
                    "is not the address of a Docker daemon; hint: unix:///path or tcp://host:port",
                )
            };
        };
        let tls = match scheme {
            "unix" if rest.starts_with('/') => return Ok(Self::Unix(rest.to_owned())),
            "unix" => return refused("is not an absolute path; hint: unix:///var/run/docker.sock"),
            "tcp" => verify_tls,
            "http" => false,
            "https" => true,
            "ssh" => {
                return refused(
                    "cannot be used: SSH is not spoken here; \
                     hint: forward the socket with ssh -L /tmp/docker.sock:/var/run/docker.sock",
                );
            }
            _ => return refused("has an unknown scheme; hint: unix://, tcp:// or https://"),
        };
        let Some((name, port)) = host_and_port(rest.strip_suffix('/').unwrap_or(rest)) else {
            return refused("is not of the form host:port");
        };
        if tls {
            let authority = format!("{name}:{}", port.unwrap_or(TLS_PORT));
            return Ok(Self::Tls {
                authority,
                certificates,
            });
        }
        if is_loopback(name) {
            return Ok(Self::Plain(format!(
                "{name}:{}",
                port.unwrap_or(PLAIN_PORT)
            )));
        }
        refused(
            "is neither encrypted nor on this machine; \
             hint: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use a unix socket",
        )
    }

    /// A missing certificate is a mistake in the configuration and not an engine that is away.
    fn check_certificates(&self) -> Result<(), EngineError> {
        let Self::Tls { certificates, .. } = self else {
            return Ok(());
        };
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            let path = certificates.join(file);
            if !path.is_file() {
                return Err(EngineError::Refused(format!(
                    "{} is not there; hint: DOCKER_CERT_PATH names the folder with ca.pem, cert.pem and key.pem",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Whether the daemon is on this machine, as far as its address tells.
    pub(super) const fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_) | Self::Plain(_))
    }

    /// A handle. Nothing is sent; only a socket that does not exist is noticed at once.
    pub(super) fn open(&self) -> Result<Docker, Error> {
        match self {
            Self::Unix(path) => {
                Docker::connect_with_unix(path, HEAD_TIMEOUT_S, API_DEFAULT_VERSION)
            }
            Self::Plain(authority) => {
                Docker::connect_with_http(authority, HEAD_TIMEOUT_S, API_DEFAULT_VERSION)
            }
            Self::Tls {
                authority,
                certificates,
            } => Docker::connect_with_ssl(
                authority,
                &certificates.join("key.pem"),
                &certificates.join("cert.pem"),
                &certificates.join("ca.pem"),
                HEAD_TIMEOUT_S,
                API_DEFAULT_VERSION,
            ),
        }
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; nothing with a path, a user or a query.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let split = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (name, port) = authority.split_at(split);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    match port.strip_prefix(':') {
        Some(port) => Some((name, Some(port.parse().ok()?))),
        None if port.is_empty() => Some((name, None)),
        None => None,
    }
}

fn is_loopback(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(host: &str) -> Result<Endpoint, EngineError> {
        Endpoint::parse(host, false, PathBuf::from("/certs"))
    }

    #[test]
    fn sockets_and_loopback_are_allowed() {
        let unix = Endpoint::Unix("/run/d.sock".to_owned());
        assert_eq!(parse("unix:///run/d.sock"), Ok(unix.clone()));
        assert_eq!(parse("/run/d.sock"), Ok(unix));
        for (host, authority) in [
            ("tcp://127.0.0.1:99", "127.0.0.1:99"),
            ("tcp://localhost", "localhost:2375"),
            ("http://[::1]:5/", "[::1]:5"),
        ] {
            assert_eq!(
                parse(host),
                Ok(Endpoint::Plain(authority.to_owned())),
                "{host}"
            );
        }
    }

    #[test]
    fn plain_tcp_beyond_loopback_is_refused_with_a_hint() {
        for host in [
            "tcp://10.0.0.1:2375",
            "http://docker:2375",
            "tcp://localhost.example.org",
            "tcp://127.0.0.1@evil:1",
            "tcp://127.0.0.1:1/x",
            "unix://relative",
            "ssh://host",
            "docker",
        ] {
            assert!(
                matches!(parse(host), Err(EngineError::Refused(_))),
                "{host}"
            );
        }
        let error = parse("tcp://10.0.0.1:2375").unwrap_err().to_string();
        assert!(error.contains("hint: set DOCKER_TLS_VERIFY=1"), "{error}");
    }

    #[test]
    fn tls_goes_anywhere_and_needs_its_certificates() {
        let endpoint =
            Endpoint::parse("tcp://docker.example.org", true, "/nowhere".into()).unwrap();
        assert_eq!(
            endpoint,
            Endpoint::Tls {
                authority: "docker.example.org:2376".to_owned(),
                certificates: "/nowhere".into(),
            }
        );
        let error = endpoint.check_certificates().unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/ca.pem is not there"), "{error}");
    }
}
