//! A tiny HTTP client: one GET over plain TCP, within a deadline.
//!
//! It speaks HTTP/1.0, so that a server ends the body by closing the connection and never sends it in
//! chunks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// More than any answer that a test wants to see.
const LONGEST_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// The parts of an `http://` address.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    host: &'a str,
    port: u16,
    path_and_query: &'a str,
}

/// What a server answered.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the status is one of the 200s.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl<'a> Url<'a> {
    /// Reads `http://HOST[:PORT][/PATH]`; an IPv6 address stands in brackets.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let fault = |why: &str| format!("`{text}` is not an address to fetch: {why}");
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| fault("it must begin with http://"))?;
        if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(fault("it has a space or a control character in it"));
        }
        let (authority, path_and_query) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (host, port) = match authority
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((host, port)) => (host, port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port
                .parse()
                .map_err(|_| fault("the port is not a number up to 65535"))?,
            None if port.is_empty() => 80,
            None => return Err(fault("a colon must stand before the port")),
        };
        if host.is_empty() {
            return Err(fault("it names no host"));
        }
        Ok(Self {
            host,
            port,
            path_and_query,
        })
    }
}

/// Fetches `url`; all of it must be done within `timeout`. An answer of any status is a success.
pub fn get(url: &Url<'_>, timeout: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(url, deadline)?;
    stream.set_write_timeout(Some(time_left(deadline)?))?;
    write!(
        stream,
        "GET {} HTTP/1.0\r\nHost: {}:{}\r\nConnection: close\r\n\r\n",
        url.path_and_query, url.host, url.port
    )?;
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        let count = match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(too_late()),
            Err(error) => return Err(error),
        };
        received.extend_from_slice(&chunk[..count]);
        if received.len() > LONGEST_ANSWER_BYTES {
            return Err(io::Error::other("the answer is longer than 16 MiB"));
        }
        // A server that keeps the connection open has said how long the body is.
        if let Some(answer) = parse_answer(&received, false)? {
            return Ok(answer);
        }
    }
    parse_answer(&received, true)?.ok_or_else(|| io::Error::from(ErrorKind::UnexpectedEof))
}

fn connect(url: &Url<'_>, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (url.host, url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, time_left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(too_late())
    } else {
        Ok(left)
    }
}

fn too_late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no whole answer within the time limit")
}

/// The answer in `received`, or `None` while some of it is missing. `closed` says that no more will come.
fn parse_answer(received: &[u8], closed: bool) -> io::Result<Option<Answer>> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let no_http = || io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP");
    let head = std::str::from_utf8(&received[..end]).map_err(|_| no_http())?;
    let body = &received[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(no_http)?;
    let length: Option<usize> = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    let whole = match length {
        Some(length) => body.get(..length),
        None => closed.then_some(body),
    };
    Ok(whole.map(|body| Answer {
        status,
        body: body.to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = |host, port, path_and_query| {
            Ok(Url {
                host,
                port,
                path_and_query,
            })
        };
        assert_eq!(
            Url::parse("http://web:8080/a?b=c"),
            url("web", 8080, "/a?b=c")
        );
        assert_eq!(Url::parse("http://127.0.0.1"), url("127.0.0.1", 80, "/"));
        assert_eq!(Url::parse("http://[::1]:81/"), url("::1", 81, "/"));
        for wrong in [
            "",
            "web",
            "https://web/",
            "http://",
            "http://:80/",
            "http://a:x/",
            "http://a/ b",
            "http://[::1]x",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_whole_when_its_length_is_there_or_the_connection_is_closed() {
        let parse = |text: &str, closed| {
            parse_answer(text.as_bytes(), closed)
                .unwrap()
                .map(|answer| (answer.status, answer.body))
        };
        assert_eq!(parse("HTTP/1.1 200 OK\r\n", false), None);
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", false),
            None
        );
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", false),
            Some((200, b"hi".to_vec()))
        );
        assert_eq!(parse("HTTP/1.0 503 No\r\n\r\nhi", false), None);
        assert_eq!(
            parse("HTTP/1.0 503 No\r\n\r\nhi", true),
            Some((503, b"hi".to_vec()))
        );
        assert!(parse_answer(b"SSH-2.0\r\n\r\n", true).is_err());
    }
}
