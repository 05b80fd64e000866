//! Who may call, and by which names the server may be called.
//!
//! A server on loopback can be reached by every web page that its user looks at: the page's own name is
//! made to point to 127.0.0.1 (DNS rebinding), and the browser then takes the server for the page's. Such a
//! request carries the page's name in `Host`, so a name that is not the server's own is refused. An address
//! cannot be rebound, so addresses of the server need no list.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The secret that callers show as `Authorization: Bearer …`. Only its hash is kept.
#[derive(Clone)]
pub struct ApiToken([u8; 32]);

/// A token that is too easy to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API token must have at least {} visible ASCII characters and no spaces",
    ApiToken::SHORTEST
)]
pub struct WeakToken;

impl WeakToken {
    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        "make one with: openssl rand -hex 32"
    }
}

impl ApiToken {
    /// The fewest characters that a token may have.
    pub const SHORTEST: usize = 16;

    /// The token that is written `text`.
    pub fn new(text: &str) -> Result<Self, WeakToken> {
        if text.len() < Self::SHORTEST || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(WeakToken);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether `shown` is this token, in a time that does not tell how much of it is right.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

/// Says that there is one, and nothing else.
impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(…)")
    }
}

/// The names by which the server may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    listen: IpAddr,
    names: BTreeSet<String>,
}

impl Hosts {
    /// `localhost`, loopback addresses, the address that is listened on, and `names`.
    pub fn new(listen: IpAddr, names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| plain_name(&name)).collect();
        Self { listen, names }
    }

    /// Whether `authority`, a name or address with or without a port, is the server's own. The port does
    /// not matter: it says nothing about who asks, and forwarding changes it.
    pub(super) fn allow(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else {
            return false;
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            return address.is_loopback()
                || address == self.listen.to_canonical()
                || self.listen.is_unspecified()
                || self.names.contains(&address.to_string());
        }
        let name = plain_name(host);
        name == "localhost" || name.ends_with(".localhost") || self.names.contains(&name)
    }
}

/// `name` as it is compared: in lower case, without the dot of the root.
fn plain_name(name: &str) -> String {
    let name = name.trim();
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The host of `host:port`, `host` or `[v6]:port`.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (
            host,
            port.strip_prefix(':')
                .or_else(|| port.is_empty().then_some("")),
        )
    } else {
        match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        }
    };
    let has_port = port?;
    (!host.is_empty() && has_port.bytes().all(|b| b.is_ascii_digit())).then_some(host)
}

/// Who may call, and by which names.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The secret that callers must show; none is asked for without one.
    pub token: Option<ApiToken>,
    /// The names by which the server may be called.
    pub hosts: Hosts,
}

/// An address that the server would be open to strangers on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} can be reached from other machines, and no API token is configured")]
pub struct ListenRefused(pub SocketAddr);

impl ListenRefused {
    /// What to do about it.
    pub fn hint(self) -> String {
        format!(
            "set NEARGATE_TOKEN (openssl rand -hex 32 makes one), or listen on 127.0.0.1:{}",
            self.0.port()
        )
    }
}

/// Whether the value of `Authorization` is a signature of AWS's, version 4, of whatever worth.
pub(super) fn is_signature(header: &HeaderValue) -> bool {
    header.as_bytes().starts_with(b"AWS4-")
}

/// Refuses to listen on `address` beyond loopback without a token: whoever can call the API can run
/// anything on the engine.
pub fn check_listen(address: SocketAddr, token: Option<&ApiToken>) -> Result<(), ListenRefused> {
    if token.is_some() || address.ip().to_canonical().is_loopback() {
        Ok(())
    } else {
        Err(ListenRefused(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_are_the_servers() {
        let hosts = Hosts::new(
            "127.0.0.1".parse().unwrap(),
            ["Neargate.Example.".to_owned()],
        );
        for own in [
            "localhost",
            "LOCALHOST:6327",
            "web.localhost",
            "127.0.0.1:6327",
            "127.8.9.1",
            "[::1]:6327",
            "[::ffff:127.0.0.1]",
            "neargate.example:80",
            "neargate.example.",
        ] {
            assert!(hosts.allow(own), "{own}");
        }
        for foreign in [
            "",
            ":6327",
            "evil.example",
            "evil.example:6327",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.5",
            "::1",
            "[::1]x",
            "[::1",
            "localhost:80:80",
            "localhost:port",
            "user@localhost",
        ] {
            assert!(!hosts.allow(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_server_on_all_addresses_is_called_by_any_address_and_by_no_foreign_name() {
        let hosts = Hosts::new("0.0.0.0".parse().unwrap(), []);
        assert!(hosts.allow("10.0.0.5:6327") && hosts.allow("[fd00::1]"));
        assert!(!hosts.allow("evil.example:6327"));
    }

    #[test]
    fn beyond_loopback_there_must_be_a_token() {
        let token = ApiToken::new("0123456789abcdef").unwrap();
        let check = |address: &str, token| check_listen(address.parse().unwrap(), token);
        assert_eq!(check("127.0.0.1:6327", None), Ok(()));
        assert_eq!(check("[::1]:6327", None), Ok(()));
        assert_eq!(check("0.0.0.0:6327", Some(&token)), Ok(()));
        for open in ["0.0.0.0:6327", "[::]:6327", "192.168.1.4:6327"] {
            let refused = check(open, None).unwrap_err();
            assert!(refused.to_string().starts_with(open), "{refused}");
            assert!(
                refused.hint().contains("127.0.0.1:6327"),
                "{}",
                refused.hint()
            );
        }
    }

    #[test]
    fn a_token_is_compared_as_a_whole_and_never_shown() {
        let token = ApiToken::new("correct-horse-battery").unwrap();
        assert!(token.is(b"correct-horse-battery"));
        assert!(!token.is(b"correct-horse-batter") && !token.is(b""));
        assert_eq!(format!("{token:?}"), "ApiToken(…)");
        for weak in ["", "short", "0123456789 abcdef", "0123456789abcdé!"] {
            assert_eq!(ApiToken::new(weak).unwrap_err(), WeakToken, "{weak}");
        }
    }
}
