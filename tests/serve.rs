//! How a server is configured, and who is let in.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::cli::{definition, fails, file, plain, run};
use crate::harness::{Cli, Server, Stream, docker, eventually, neargate, require_engine};

#[test]
fn a_server_with_a_token_lets_in_who_has_it_and_shows_it_to_nobody() {
    const SECRET: &str = "correct-horse-battery-staple";
    let server = Server::start_sim_with(
        &[],
        &[("NEARGATE_TOKEN", SECRET), ("NEARGATE_LOG", "trace")],
    );
    let with = |token: Option<&str>, args: &[&str]| {
        let mut command = server.client(args);
        if let Some(token) = token {
            command.env("NEARGATE_TOKEN", token);
        }
        plain(Cli::new(args, &command.output().unwrap()))
    };
    let mut said = Vec::new();
    for token in [None, Some("wrong-horse-battery-staple")] {
        let cli = with(token, &["ps"]);
        fails(&cli, 1, &["token", "hint:"]);
        said.push(cli);
    }
    for args in [
        &["ps", "--verbose"] as &[&str],
        &["status", "--output", "json"],
        &["clusters", "create", "blue", "-v"],
        &["events"],
    ] {
        let cli = with(Some(SECRET), args);
        assert_eq!(cli.code, 0, "{cli:#?}");
        said.push(cli);
    }
    assert_eq!(server.get("/healthz").0, 200, "alive is not a secret");
    assert_eq!(server.get("/v1/tasks").0, 401);
    for cli in &said {
        assert!(!format!("{cli:?}").contains(SECRET), "{cli:#?}");
    }
    assert!(!server.log().contains(SECRET), "{}", server.log());

    let short = Server::prepare(&["--engine", "sim"])
        .env("NEARGATE_TOKEN", "too-short")
        .command()
        .output()
        .unwrap();
    let cli = plain(Cli::new(&["serve"], &short));
    fails(
        &cli,
        1,
        &["at least 16", "hint: make one with: openssl rand -hex 32"],
    );
    assert!(!cli.stderr.contains("too-short"), "{cli:#?}");
}

#[test]
fn the_token_of_the_flag_goes_before_that_of_the_environment_and_both_before_that_of_the_file() {
    const BY: [&str; 3] = [
        "the-token-of-the-configuration",
        "the-token-of-the-environment",
        "the-token-of-the-flag",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("configured"), BY[0]).unwrap();
    fs::write(path("flagged"), BY[2]).unwrap();
    let toml = format!("token_file = '{}'\n", path("configured"));
    fs::write(path("neargate.toml"), toml).unwrap();
    let (config, flagged) = (path("neargate.toml"), path("flagged"));
    let by_file = ["--config", config.as_str()];
    let by_flag = ["--config", &config, "--token-file", &flagged];
    let environment = [("NEARGATE_TOKEN", BY[1])];
    for (args, env, counts) in [
        (&by_file[..], &[][..], BY[0]),
        (&by_file, &environment, BY[1]),
        (&by_flag, &environment, BY[2]),
    ] {
        let server = Server::start_sim_with(args, env);
        for token in BY {
            let mut command = server.client(&["ps"]);
            let output = command.env("NEARGATE_TOKEN", token).output().unwrap();
            let is_let_in = output.status.success();
            assert_eq!(is_let_in, token == counts, "{token} where {counts} counts");
        }
    }
}

/// A server that is started with a configuration file and nothing else.
struct Configured {
    stream: Stream,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Configured {
    fn start(toml: impl Fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("neargate.toml");
        fs::write(&path, toml(folder.path().to_str().unwrap())).unwrap();
        let args = ["serve", "--config", path.to_str().unwrap()];
        let mut command = neargate();
        command.args(args).env("HOME", folder.path());
        let stream = Stream::start(&args, &command);
        stream.wait_for("listening on http://");
        let log = stream.stderr();
        let (_, rest) = log.split_once("listening on ").unwrap();
        let endpoint = rest.split_whitespace().next().unwrap().to_owned();
        Self {
            stream,
            folder,
            endpoint,
        }
    }

    fn cli(&self, args: &[&str], token: &str) -> Cli {
        let mut command = neargate();
        command.args(args).env("NEARGATE_ENDPOINT", &self.endpoint);
        if !token.is_empty() {
            command.env("NEARGATE_TOKEN", token);
        }
        plain(Cli::new(args, &command.output().unwrap()))
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("elsewhere")
    }
}

#[test]
fn each_key_of_a_configuration_file_has_its_effect() {
    const SECRET: &str = "correct-horse-battery-staple";
    let server = Configured::start(|folder| {
        fs::write(format!("{folder}/token"), format!("{SECRET}\n")).unwrap();
        format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{folder}/elsewhere'\nengine = 'sim'\n\
             token_file = '{folder}/token'\nallowed_hosts = ['near.example']\n\
             warm_sandboxes = 0\nstarts_at_once = 1\nkept_log_bytes = 4096\n\
             region = 'eu-central-2'\naccount = '123456789012'\n"
        )
    });
    assert!(
        !server.endpoint.ends_with(":6327"),
        "listen: {}",
        server.endpoint
    );
    assert!(server.data_dir().is_dir(), "data_dir");
    fails(&server.cli(&["ps"], ""), 1, &["token"]);
    eventually("the engine to answer", || {
        let status = server.cli(&["status"], SECRET);
        let is_ready = status.code == 0 && status.stdout.contains("Engine    sim");
        if is_ready {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    });
    let called = |name: &str| {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"])
            .args([
                &format!("Host: {name}"),
                &format!("{}/healthz", server.endpoint),
            ])
            .output()
            .expect("curl is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(called("near.example"), "200");
    assert_ne!(called("far.example"), "200");

    let identity = Command::new("curl")
        .args([
            "-s",
            "-d",
            "Action=GetCallerIdentity&Version=2011-06-15",
            "-H",
        ])
        .args([&format!("Authorization: Bearer {SECRET}"), &server.endpoint])
        .output()
        .expect("curl is installed");
    let identity = String::from_utf8(identity.stdout).unwrap();
    assert!(
        identity.contains("<Account>123456789012</Account>"),
        "{identity}"
    );
    let loud = definition(
        "loud",
        "neargate/workload",
        &[("main", &["log", "--lines", "500", "--bytes", "100"])],
    );
    let path = server.folder.path().join("loud.yaml");
    fs::write(&path, loud).unwrap();
    let ran = server.cli(
        &["run", path.to_str().unwrap(), "--wait", "--output", "json"],
        SECRET,
    );
    let ran: Value = serde_json::from_str(ran.ok()).unwrap();
    let id = ran["tasks"][0]["taskId"].as_str().unwrap();
    eventually("the kept log to be as short as was asked for", || {
        let log = server.cli(&["logs", id], SECRET);
        if log.ok().len() <= 6_000 {
            Ok(())
        } else {
            Err(format!("{} bytes", log.stdout.len()))
        }
    });
    server.stream.signal("TERM");
    let cli = server.stream.end();
    assert_eq!(cli.code, 0, "{cli:#?}");
    assert!(!cli.stderr.contains(SECRET), "{cli:#?}");
}

#[test]
fn the_keys_about_docker_have_their_effect() {
    require_engine();
    let lost = Configured::start(|folder| {
        format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{folder}/elsewhere'\n\
             docker_host = 'unix://{folder}/no.sock'\n"
        )
    });
    eventually("the engine to be looked for where the file says", || {
        let status = lost.cli(&["status"], "");
        if status.code == 1 && status.stdout.contains("does not answer") {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    });

    let mut server = Server::prepare(&[]);
    let toml = file(
        &server,
        "neargate.toml",
        "warm_sandboxes = 1\npublish_ip = '127.0.0.2'\nstarts_at_once = 2\n",
    );
    server.env("NEARGATE_CONFIG", &toml);
    server.boot();
    let label = format!("label=neargate.instance={}", server.instance());
    eventually("one sandbox to be warm", || {
        let ids = docker(&["ps", "--quiet", "--filter", &label])?;
        if ids.lines().count() == 1 {
            Ok(())
        } else {
            Err(ids)
        }
    });
    server.register(
        &(definition(
            "web",
            "neargate/workload:latest",
            &[("main", &["serve", "--port", "8080"])],
        ) + "    portMappings: [{ containerPort: 8080 }]\nnetworkMode: bridge\n"),
    );
    let id = server.run("web");
    let task = server.wait_for(&id, "RUNNING");
    let binding = &task["containers"][0]["networkBindings"][0];
    assert_eq!(binding["bindIP"], "127.0.0.2", "{task:#}");
    assert!(run(&server, &["ps"]).ok().contains("127.0.0.2:"));
    run(&server, &["stop", &id, "--wait"]).ok();
}

#[test]
fn a_configuration_that_nobody_understands_is_refused_by_name() {
    let server = Server::prepare(&["--engine", "sim"]);
    for (toml, words) in [
        (
            "warm_sandboxs = 3\n",
            &["warm_sandboxs", "bad.toml"] as &[&str],
        ),
        ("listen = 'here'\n", &["listen", "bad.toml"]),
        ("listen = \n", &["bad.toml"]),
        ("region = 'Frankfurt'\n", &["region", "us-east-1"]),
        ("account = '1'\n", &["account", "twelve digits"]),
    ] {
        let path = file(&server, "bad.toml", toml);
        let output = server.command().args(["--config", &path]).output().unwrap();
        fails(&plain(Cli::new(&["serve"], &output)), 1, words);
    }
    let output = server
        .command()
        .args(["--config", "/no/such.toml"])
        .output();
    fails(
        &plain(Cli::new(&["serve"], &output.unwrap())),
        1,
        &["/no/such.toml"],
    );
    let output = server.command().args(["--warm-sandboxes", "many"]).output();
    fails(&plain(Cli::new(&["serve"], &output.unwrap())), 2, &["many"]);
    let mut open = neargate();
    open.args([
        "serve",
        "--engine",
        "sim",
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
    ])
    .arg(server.data_dir());
    fails(
        &plain(Cli::new(&["serve"], &open.output().unwrap())),
        1,
        &["token", "hint:"],
    );
}
