//! Ports of tasks, reached from this machine through the API.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::cli::fails;
use crate::harness::{Server, Stream, eventually};

fn open(server: &Server, family: &str) -> String {
    let id = server
        .cli(&["run", family, "--enable-execute-command"])
        .ok()
        .to_owned();
    server.wait_for(&id, "RUNNING");
    id
}

/// Forwards a free port; where to.
fn forward(server: &Server, id: &str, port: &str) -> (Stream, String) {
    let ports = format!("0:{port}");
    let args = ["port-forward", id, &ports];
    let stream = Stream::start(&args, &server.client(&args));
    stream.wait_for(" -> ");
    let line = stream.stdout();
    let address = line.split_whitespace().next().unwrap().to_owned();
    (stream, address)
}

fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_port_of_a_task_is_reached_through_the_api() {
    let server = Server::start();
    server.register_workload("web", &["serve", "--port", "80"]);
    let id = open(&server, "web");
    eventually("the task to listen", || {
        let cli = server.cli(&[
            "exec",
            &id,
            "--",
            "/workload",
            "get",
            "http://127.0.0.1:80/",
        ]);
        if cli.code == 0 {
            Ok(())
        } else {
            Err(format!("{cli:#?}"))
        }
    });
    let (stream, address) = forward(&server, &id, "80");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || get(&address))
        })
        .collect();
    for thread in threads {
        let answer = thread.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    stream.signal("INT");
    assert_eq!(stream.end().code, 0);
    assert!(
        TcpStream::connect(&address).is_err(),
        "nobody listens any more"
    );
    let closed = server.cli(&["port-forward", &id, "0:81"]);
    fails(
        &closed,
        1,
        &[
            "nothing answers at",
            ":81",
            "listens on 127.0.0.1 only cannot be reached",
        ],
    );
}

#[test]
fn ports_are_forwarded_only_to_the_task_itself_and_only_where_that_was_enabled() {
    let server = Server::start_sim();
    server.register_workload("web", &["serve"]);
    let closed = server.run("web");
    server.wait_for(&closed, "RUNNING");
    fails(
        &server.cli(&["port-forward", &closed, "0:80"]),
        1,
        &["execute command was not enabled"],
    );
    server.register(&format!(
        "family: alone\nnetworkMode: none\ncontainerDefinitions:\n  - {{name: main, image: {}, memory: 64, command: [sleep]}}\n",
        crate::harness::workload()
    ));
    let alone = open(&server, "alone");
    fails(
        &server.cli(&["port-forward", &alone, "0:80"]),
        1,
        &["network mode none"],
    );
    let path = |query: &str| server.get(&format!("/v1/tasks/{alone}/forward{query}")).0;
    for wrong in [
        "",
        "?port=0",
        "?port=65536",
        "?port=80&host=10.0.0.1",
        "?port=10.0.0.1:80",
    ] {
        assert_eq!(path(wrong), 400, "{wrong}");
    }
    assert_eq!(path("?port=80"), 426);
    fails(
        &server.cli(&["port-forward", &alone, "0"]),
        2,
        &["cannot be 0"],
    );
}

#[test]
fn half_of_a_connection_may_end_first() {
    let server = Server::start();
    server.register_workload("web", &["serve", "--port", "80"]);
    let id = open(&server, "web");
    let (_stream, address) = eventually("the task to listen", || {
        let cli = server.cli(&[
            "exec",
            &id,
            "--",
            "/workload",
            "get",
            "http://127.0.0.1:80/",
        ]);
        match cli.code {
            0 => Ok(forward(&server, &id, "80")),
            _ => Err(format!("{cli:#?}")),
        }
    });
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET /slow?ms=1000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn a_task_on_the_hosts_network_leads_to_no_port_of_the_host() {
    // Somebody else's, on the host's own loopback.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut server = Server::prepare(&["--engine", "sim"]);
    let config = server.folder().join("neargate.toml");
    std::fs::write(&config, "allow_host_network = true\n").unwrap();
    server.env("NEARGATE_CONFIG", config.to_str().unwrap());
    server.boot();
    server.register(&format!(
        "family: host\nnetworkMode: host\ncontainerDefinitions:\n  - {{name: main, image: {}, memory: 64, command: [sleep]}}\n",
        crate::harness::workload()
    ));
    let id = open(&server, "host");
    fails(
        &server.cli(&["port-forward", &id, &format!("0:{port}")]),
        1,
        &[
            "network mode host",
            &format!("hint: connect to port {port} of that host itself"),
        ],
    );
    let asked = listener.accept().map_err(|error| error.kind());
    assert_eq!(
        asked.err(),
        Some(std::io::ErrorKind::WouldBlock),
        "nobody came"
    );
}
