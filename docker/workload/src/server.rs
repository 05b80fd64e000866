//! The command that serves HTTP: enough of a web application to try a service with.
//!
//! One thread for each connection, one request on each connection, and a limit on both. SIGTERM ends the
//! process: at once, so that requests that are under way are cut off, or after a while in which it serves on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{Arguments, Command, Failure, Flag, OnTermination};
use crate::identity::identity;
use crate::{files, system};

/// Further connections wait in the queue of the kernel.
const MOST_CONNECTIONS: usize = 128;
const LONGEST_REQUEST_BYTES: usize = 8 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_SLOW_MS: u64 = 10 * 60 * 1000;
const PAUSE_AFTER_FAULT: Duration = Duration::from_millis(20);

/// Serves HTTP.
pub const SERVE: Command = Command {
    name: "serve",
    about: "serves HTTP until SIGTERM (exit 0): / says hello, /healthz, /env, /slow?ms=N",
    flags: &[
        Flag {
            name: "--port",
            value: Some("N"),
            about: "where to listen, on all addresses (8080)",
        },
        Flag {
            name: "--delay-ms",
            value: Some("N"),
            about: "how long it waits before it listens (0)",
        },
        Flag {
            name: "--fail-health-after-ms",
            value: Some("N"),
            about: "/healthz answers 503 when the process is N ms old (never)",
        },
        Flag {
            name: "--drain-ms",
            value: Some("N"),
            about: "how long it serves on after SIGTERM (0)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Command,
    run: serve,
};

/// What every connection needs to know.
#[derive(Clone, Copy)]
struct Server {
    start: Instant,
    fail_health_after: Option<Duration>,
}

fn serve(arguments: &Arguments) -> Result<u8, Failure> {
    let server = Server {
        start: Instant::now(),
        fail_health_after: arguments.duration("--fail-health-after-ms")?,
    };
    let port = arguments.number("--port", 1..=u16::MAX)?.unwrap_or(8080);
    let delay = arguments.duration("--delay-ms")?.unwrap_or_default();
    let drain = arguments.duration("--drain-ms")?.unwrap_or_default();
    if system::wait_for_termination(Some(delay)) {
        return Ok(0);
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .map_err(|error| Failure::at(format!("cannot listen on port {port}"), error))?;
    say(&format!("listening on port {port}"));
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&listener, server))
        .map_err(|error| Failure::at("cannot start a thread", error))?;
    system::wait_for_termination(None);
    say("SIGTERM: stopping");
    thread::sleep(drain);
    Ok(0)
}

fn accept(listener: &TcpListener, server: Server) {
    let places = Arc::new(Places::default());
    loop {
        places.take();
        let place = Place(Arc::clone(&places));
        let Ok((connection, _)) = listener.accept() else {
            // Out of file descriptors, say: trying again at once would only burn CPU.
            thread::sleep(PAUSE_AFTER_FAULT);
            continue;
        };
        let spawned = thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(move || {
                let _place = place;
                // A client that has gone away is its own business.
                let _ = server.handle(connection);
            });
        if spawned.is_err() {
            thread::sleep(PAUSE_AFTER_FAULT);
        }
    }
}

impl Server {
    fn handle(self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_write_timeout(Some(REQUEST_TIMEOUT))?;
        let Some(head) = read_head(&mut connection)? else {
            return respond(&mut connection, 400, b"this is not a request\n", true);
        };
        let mut words = head.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (status, body) = match method {
            "GET" | "HEAD" => self.answer(target),
            _ => (405, b"only GET and HEAD are served\n".to_vec()),
        };
        // Health checks come often and would drown the rest.
        if !target.starts_with("/healthz") {
            say(&format!(
                "{} {} {status}",
                method.escape_debug(),
                target.escape_debug()
            ));
        }
        respond(&mut connection, status, &body, method != "HEAD")
    }

    fn answer(self, target: &str) -> (u16, Vec<u8>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/" => {
                let identity = identity();
                let line = format!(
                    "hello from task {} container {}\n",
                    identity.task_id, identity.container_name
                );
                (200, line.into_bytes())
            }
            "/healthz" => {
                let age = self.start.elapsed();
                if self.fail_health_after.is_some_and(|limit| age >= limit) {
                    (503, b"unhealthy\n".to_vec())
                } else {
                    (200, b"healthy\n".to_vec())
                }
            }
            "/env" => (200, files::environment_lines()),
            "/slow" => match query.strip_prefix("ms=").map(str::parse) {
                Some(Ok(ms)) if ms <= LONGEST_SLOW_MS => {
                    thread::sleep(Duration::from_millis(ms));
                    (200, format!("slept {ms} ms\n").into_bytes())
                }
                _ => (
                    400,
                    format!("ask for /slow?ms=N, N up to {LONGEST_SLOW_MS}\n").into_bytes(),
                ),
            },
            _ => (404, b"there is nothing here\n".to_vec()),
        }
    }
}

/// The request line; `None` when what came is too long, too slow or not text.
fn read_head(connection: &mut TcpStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let mut received = Vec::new();
    let mut chunk = [0; 1024];
    while !received.windows(4).any(|window| window == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || received.len() > LONGEST_REQUEST_BYTES {
            return Ok(None);
        }
        connection.set_read_timeout(Some(left))?;
        match connection.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let line = received
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    Ok(String::from_utf8(line.to_vec()).ok())
}

fn respond(
    connection: &mut TcpStream,
    status: u16,
    body: &[u8],
    with_body: bool,
) -> io::Result<()> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    let mut answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if with_body {
        answer.extend_from_slice(body);
    }
    connection.write_all(&answer)
}

/// Writes a line that nobody has to read: a closed pipe must not end the server.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// How many connections are open.
#[derive(Default)]
struct Places {
    taken: Mutex<usize>,
    one_is_free: Condvar,
}

impl Places {
    /// Waits until a connection may be opened.
    fn take(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self
            .one_is_free
            .wait_while(taken, |taken| *taken >= MOST_CONNECTIONS)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
    }
}

/// One taken place; dropping it gives it back.
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.one_is_free.notify_one();
    }
}
