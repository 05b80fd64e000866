//! Commands in containers that run: with pipes, with a terminal, and with nobody at the other end any more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use crate::cli::fails;
use crate::harness::{Cli, Server, Stream, Typed, docker, eventually};

/// A task that people may run commands in, and that does nothing by itself.
fn open_task(server: &Server) -> String {
    server.register_workload("open", &["sleep"]);
    let cli = server.cli(&["run", "open", "--enable-execute-command"]);
    let id = cli.ok().to_owned();
    server.wait_for(&id, "RUNNING");
    id
}

/// Runs a command in a task with this input.
fn exec_with(server: &Server, args: &[&str], input: &[u8]) -> (Cli, Vec<u8>) {
    let mut child = server
        .client(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (Cli::new(args, &output), output.stdout)
}

fn every_byte(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(length).collect()
}

fn pipes_and_exit_codes_pass(server: &Server) {
    let id = open_task(server);
    let exec = |command: &[&str]| server.cli(&[&["exec", &id, "--"], command].concat());
    let sent = every_byte(3_000_000);
    let (cli, came) = exec_with(
        server,
        &["exec", "-i", &id, "--", "/workload", "cat"],
        &sent,
    );
    assert_eq!((cli.code, cli.stderr.as_str()), (0, ""));
    assert!(came == sent, "{} bytes came of {}", came.len(), sent.len());
    let without_input = exec(&["/workload", "cat"]);
    assert_eq!(
        (without_input.ok(), without_input.stderr.as_str()),
        ("", "")
    );
    let ended = exec(&["/workload", "exit", "--code", "7"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (7, ""), "{ended:#?}");
    let both = exec(&["/workload", "log", "--lines", "3", "--stderr-every", "2"]);
    assert_eq!(
        (both.ok(), both.stderr.as_str()),
        ("line 1\nline 3", "line 2\n")
    );
    let odd = exec(&["/does-not-exist"]);
    assert!(matches!(odd.code, 126 | 127), "{odd:#?}");
    assert!(
        format!("{}{}", odd.stdout, odd.stderr).contains("/does-not-exist"),
        "{odd:#?}"
    );
    assert_eq!(exec(&["/workload", "terminal"]).ok(), "no terminal");
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    fails(&exec(&["/workload", "id"]), 125, &["does not run", "hint:"]);
}

#[test]
fn input_output_and_exit_code_of_a_command_pass_as_they_are() {
    pipes_and_exit_codes_pass(&Server::start());
}

#[test]
fn input_output_and_exit_code_of_a_command_pass_as_they_are_on_the_simulated_engine() {
    pipes_and_exit_codes_pass(&Server::start_sim());
}

#[test]
fn commands_are_run_only_where_that_was_enabled_and_are_recorded_without_their_arguments() {
    let server = Server::start_sim();
    server.register_workload("closed", &["sleep"]);
    let closed = server.run("closed");
    server.wait_for(&closed, "RUNNING");
    let refused = server.cli(&["exec", &closed, "--", "/workload", "id"]);
    fails(
        &refused,
        125,
        &[
            "execute command was not enabled",
            "hint: run a new one with",
        ],
    );
    assert_eq!(server.task(&closed)["enableExecuteCommand"], false);

    server.register(&format!(
        "family: two\ncontainerDefinitions:\n{}",
        ["one", "other"]
            .map(|name| format!(
                "  - {{name: {name}, image: {}, memory: 64, command: [sleep]}}\n",
                crate::harness::workload()
            ))
            .concat()
    ));
    let two = server
        .cli(&["run", "two", "--enable-execute-command"])
        .ok()
        .to_owned();
    server.wait_for(&two, "RUNNING");
    assert_eq!(server.task(&two)["enableExecuteCommand"], true);
    let words = ["/workload", "env", "Pa55word"];
    let exec = |args: &[&str]| server.cli(&[args, &["--"], &words].concat());
    fails(
        &exec(&["exec", &two]),
        125,
        &["has 2 containers", "one, other"],
    );
    fails(
        &exec(&["exec", &two, "-c", "third"]),
        125,
        &["\"third\"", "one, other"],
    );
    fails(
        &exec(&["exec", "-it", &two, "-c", "one"]),
        2,
        &["no terminal", "leave -t out"],
    );
    assert_eq!(
        exec(&["exec", &two, "-c", "other"]).code,
        1,
        "the variable is not set"
    );

    let events = server.cli(&["events", "--kind", "TaskExecuteCommand", "--output", "json"]);
    let said = "a user ran the command \\\"/workload\\\" in container \\\"other\\\"";
    assert!(events.ok().contains(said), "{events:#?}");
    assert_eq!(events.ok().matches("a user ran").count(), 1, "{events:#?}");
    for place in [events.ok(), server.cli(&["events"]).ok(), &server.log()] {
        assert!(!place.contains("Pa55word"), "{place}");
    }
}

#[test]
fn a_service_enables_it_for_the_tasks_that_it_starts() {
    let server = Server::start_sim();
    server.register_workload("web", &["sleep"]);
    let service = serde_json::json!({
        "serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "enableExecuteCommand": true,
    });
    let (status, made) = server.post("/v1/services", &service);
    assert_eq!(
        (status, &made["enableExecuteCommand"]),
        (201, &true.into()),
        "{made:#}"
    );
    assert_eq!(made["warnings"], serde_json::Value::Null, "{made:#}");
    let id = eventually("the service's task", || {
        let (_, tasks) = server.get("/v1/tasks?serviceName=web&lastStatus=RUNNING");
        tasks["items"][0]["taskId"]
            .as_str()
            .map(str::to_owned)
            .ok_or(format!("{tasks:#}"))
    });
    assert_eq!(
        server
            .cli(&["exec", &id, "--", "/workload", "exit", "--code", "3"])
            .code,
        3
    );
}

fn a_terminal_is_handed_on(server: &Server) {
    let id = open_task(server);
    let on_terminal = |words: &[&str]| {
        let args = [&["exec", "-it", &id, "--"], words].concat();
        Typed::start(&server.client(&args), 100, 30)
    };
    let mut typed = on_terminal(&["/workload", "terminal"]);
    typed.wait_for("x");
    typed.type_in("\r");
    typed.wait_for("100x30");
    assert!(!typed.is_cooked(), "keys go out as they are typed");
    typed.resize(71, 19);
    eventually("the new size", || {
        typed.type_in("\r");
        let shown = typed.shown();
        if shown.contains("71x19") {
            Ok(())
        } else {
            Err(shown)
        }
    });
    typed.type_in("exit 42\r");
    assert_eq!(typed.end().0, 42);
}

#[test]
fn a_terminal_is_handed_on_with_its_size() {
    a_terminal_is_handed_on(&Server::start());
}

#[test]
fn a_terminal_is_handed_on_with_its_size_on_the_simulated_engine() {
    a_terminal_is_handed_on(&Server::start_sim());
}

#[test]
fn ctrl_c_reaches_the_command_with_a_terminal_and_without() {
    let server = Server::start();
    let id = open_task(&server);
    let args = [
        "exec",
        "-it",
        &id,
        "--",
        "/workload",
        "serve",
        "--port",
        "9",
    ];
    let mut typed = Typed::start(&server.client(&args), 80, 24);
    typed.wait_for("listening on port 9");
    typed.type_in("\x03");
    let (code, shown) = typed.end();
    assert_eq!(code, 0, "serve ends well: {shown}");
    assert!(shown.contains("stopping"), "{shown}");

    let args = ["exec", &id, "--", "/workload", "serve", "--port", "9"];
    let stream = Stream::start(&args, &server.client(&args));
    stream.wait_for("listening on port 9");
    stream.signal("INT");
    let ended = stream.end();
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(ended.stdout.contains("stopping"), "{ended:#?}");

    let args = ["exec", &id, "--", "/workload", "ignore-sigterm"];
    let stream = Stream::start(&args, &server.client(&args));
    stream.wait_for("ignoring");
    stream.signal("INT");
    stream.wait_for("ignored");
    stream.signal("INT");
    assert_eq!(stream.end().code, 130, "the second one leaves it");
    wait_until_alone(&id);
}

/// Waits until nothing but the task's own process runs in its container.
fn wait_until_alone(id: &str) {
    let name = docker(&[
        "ps",
        "--filter",
        &format!("name={id}"),
        "--format",
        "{{.Names}}",
    ])
    .unwrap();
    let name = name
        .lines()
        .find(|name| name.contains("main"))
        .unwrap_or(&name)
        .to_owned();
    eventually("the command to be gone", || {
        let processes = docker(&["top", &name, "-eo", "pid,args"])?;
        if processes.lines().count() == 2 {
            Ok(())
        } else {
            Err(processes)
        }
    });
}

#[test]
fn a_command_whose_client_was_killed_does_not_run_on() {
    let server = Server::start();
    let id = open_task(&server);
    for command in ["sleep", "ignore-sigterm"] {
        let args = ["exec", "-i", &id, "--", "/workload", command];
        let mut child = server
            .client(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let on_terminal = ["exec", "-it", &id, "--", "/workload", command];
        let typed = Typed::start(&server.client(&on_terminal), 80, 24);
        let name = docker(&[
            "ps",
            "--filter",
            &format!("name={id}"),
            "--format",
            "{{.Names}}",
        ])
        .unwrap();
        eventually("both commands to run", || {
            let processes = docker(&["top", name.lines().next().unwrap(), "-eo", "pid,args"])?;
            if processes.lines().count() == 4 {
                Ok(())
            } else {
                Err(processes)
            }
        });
        child.kill().unwrap();
        child.wait().unwrap();
        drop(typed);
        wait_until_alone(&id);
    }
    assert_eq!(server.task(&id)["lastStatus"], "RUNNING");
}

#[test]
fn a_server_that_stops_says_so_to_whoever_runs_a_command() {
    let mut server = Server::start();
    let id = open_task(&server);
    let args = ["exec", &id, "--", "/workload", "serve", "--port", "9"];
    let stream = Stream::start(&args, &server.client(&args));
    stream.wait_for("listening on port 9");
    server.shut_down();
    let ended = stream.end();
    assert_eq!(ended.code, 125, "{ended:#?}");
    let said = "error: the server is stopping; the session is over\nhint: the task goes on";
    assert!(ended.stderr.starts_with(said), "{ended:#?}");
    wait_until_alone(&id);
    server.boot();
    assert_eq!(server.task(&id)["lastStatus"], "RUNNING");
}

/// Asks for a WebSocket with these headers; the status, and the connection.
fn upgrade(server: &Server, id: &str, host: &str, headers: &str) -> (u16, TcpStream) {
    let address = server
        .endpoint()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let host = if host.is_empty() { &address } else { host };
    write!(
        stream,
        "GET /v1/tasks/{id}/exec HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{headers}\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let status = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
    (status, stream)
}

#[test]
fn a_web_page_cannot_open_a_session_and_nobody_can_without_the_token() {
    let token = "correct-horse-battery";
    let server = Server::start_sim_with(&[], &[("NEARGATE_TOKEN", token)]);
    let id = "0".repeat(32);
    let shown = format!("Authorization: Bearer {token}\r\n");
    let status = |host: &str, headers: &str| upgrade(&server, &id, host, headers).0;
    assert_eq!(status("", ""), 401);
    assert_eq!(
        status("", "Authorization: Bearer wrong-horse-battery\r\n"),
        401
    );
    assert_eq!(
        status("", &format!("{shown}Origin: https://evil.example\r\n")),
        403
    );
    assert_eq!(status("", &format!("{shown}Origin: null\r\n")), 403);
    assert_eq!(
        status("", &format!("{shown}Sec-Fetch-Site: cross-site\r\n")),
        403
    );
    assert_eq!(status("evil.example", &shown), 403);
    assert_eq!(
        status("", &shown),
        404,
        "it got as far as to look for the task"
    );
}

#[test]
fn sessions_are_bounded_and_one_without_a_command_ends() {
    let server = Server::start_sim();
    let id = open_task(&server);
    let open: Vec<TcpStream> = (0..64)
        .map(|_| {
            let (status, stream) = upgrade(&server, &id, "", "");
            assert_eq!(status, 101);
            stream
        })
        .collect();
    let (status, problem) = server.get(&format!("/v1/tasks/{id}/exec"));
    assert_eq!(status, 426, "{problem:#}");
    assert_eq!(upgrade(&server, &id, "", "").0, 503);
    drop(open);
    eventually("the slots to be given back", || {
        match upgrade(&server, &id, "", "").0 {
            101 => Ok(()),
            status => Err(status.to_string()),
        }
    });
    // A frame of 2 MiB is announced; the server does not wait for it.
    let (_, mut stream) = upgrade(&server, &id, "", "");
    stream
        .write_all(&[0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 2, 3, 4])
        .unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}
