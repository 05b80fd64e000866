//! What people do with a task that runs: its logs, commands in it, and files into it and out of it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use neargate::engine::{
    EngineError, Exec, ExecOutput, ExecRequest, ExecSignal, LogStream, Order, TerminalSize,
};
use tokio::io::AsyncWriteExt as _;

use super::{World, log_of, name, order};
use crate::harness::PATIENCE;

pub async fn what_a_container_wrote_can_be_read_in_order(world: &mut World) {
    let mut order = order(&[("main", &["log", "--lines", "6", "--stderr-every", "3"])]);
    world.run(&mut order).await;
    world.ended(&order, "main").await;
    let request = |container: &str, tail| log_of(&order, container, 0, tail);
    let lines: Vec<_> = world
        .engine
        .logs(request("main", None))
        .await
        .unwrap()
        .collect()
        .await;
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    // The two streams are two pipes: each is in order, and nothing says how they interleave.
    for (stream, expected) in [
        (
            LogStream::Stdout,
            vec!["line 1", "line 2", "line 4", "line 5"],
        ),
        (LogStream::Stderr, vec!["line 3", "line 6"]),
    ] {
        let text: Vec<_> = lines
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| line.text.clone())
            .collect();
        assert_eq!(text, expected);
    }
    let last: Vec<_> = world
        .engine
        .logs(request("main", Some(2)))
        .await
        .unwrap()
        .collect()
        .await;
    assert_eq!(last.len(), 2);
    let Err(error) = world.engine.logs(request("other", None)).await else {
        panic!("there is no such container");
    };
    assert!(matches!(error, EngineError::NotFound(_)), "{error:?}");
}

fn command(order: &Order, command: &[&str]) -> ExecRequest {
    ExecRequest {
        task_id: order.task_id.clone(),
        container: name("main"),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        tty: false,
        stdin: false,
        size: None,
    }
}

/// What is written until `done`, or to the end.
async fn read(
    output: &mut BoxStream<'static, Result<ExecOutput, EngineError>>,
    done: impl Fn(&str) -> bool,
) -> (String, String) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let reading = async {
        while let Some(piece) = output.next().await {
            let piece = piece.unwrap();
            let text = String::from_utf8(piece.bytes.to_vec()).unwrap();
            match piece.stream {
                LogStream::Stdout => stdout += &text,
                LogStream::Stderr => stderr += &text,
            }
            if done(&stdout) {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, reading).await;
    assert!(
        in_time.is_ok(),
        "waited for more than {stdout:?} {stderr:?}"
    );
    (stdout, stderr)
}

/// The exit code of a command whose outputs are closed, which the engine knows a moment later.
async fn exit_code(exec: &Exec) -> i64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(code) = exec.process.exit_code().await.unwrap() {
            return code;
        }
        assert!(Instant::now() < deadline, "waited for the command to end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn a_command_has_its_input_its_outputs_and_its_own_exit_code(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let lines = ["/workload", "log", "--lines", "3", "--stderr-every", "2"];
    let mut exec = world.engine.exec(command(&order, &lines)).await.unwrap();
    let (stdout, stderr) = read(&mut exec.output, |_| false).await;
    assert_eq!((&*stdout, &*stderr), ("line 1\nline 3\n", "line 2\n"));
    assert_eq!(exit_code(&exec).await, 0);

    let ends = ["/workload", "exit", "--code", "7"];
    let mut exec = world.engine.exec(command(&order, &ends)).await.unwrap();
    read(&mut exec.output, |_| false).await;
    assert_eq!(exit_code(&exec).await, 7);

    let cat = ExecRequest {
        stdin: true,
        ..command(&order, &["/workload", "cat"])
    };
    let mut exec = world.engine.exec(cat).await.unwrap();
    exec.input.write_all(b"there and ").await.unwrap();
    exec.input.flush().await.unwrap();
    read(&mut exec.output, |said| said == "there and ").await;
    assert_eq!(exec.process.exit_code().await.unwrap(), None, "it goes on");
    exec.input.write_all(b"back").await.unwrap();
    exec.input.shutdown().await.unwrap();
    let (stdout, _) = read(&mut exec.output, |_| false).await;
    assert_eq!(stdout, "back");
    assert_eq!(exit_code(&exec).await, 0);
    // Without an input, it reads an end at once.
    let cat = command(&order, &["/workload", "cat"]);
    let mut exec = world.engine.exec(cat).await.unwrap();
    assert_eq!(read(&mut exec.output, |_| false).await.0, "");
}

/// Presses Return, which is answered with the size of the terminal, until that is `wanted`.
async fn until_it_says(exec: &mut Exec, wanted: &str) {
    let (deadline, mut shown) = (Instant::now() + PATIENCE, String::new());
    while !shown.contains(wanted) {
        exec.input.write_all(b"\r").await.unwrap();
        exec.input.flush().await.unwrap();
        let pause = Duration::from_millis(100);
        if let Ok(Some(piece)) = tokio::time::timeout(pause, exec.output.next()).await {
            shown += &String::from_utf8_lossy(&piece.unwrap().bytes);
        }
        assert!(Instant::now() < deadline, "waited for {wanted}: {shown:?}");
    }
}

pub async fn a_command_with_a_terminal_learns_its_size(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let size = |columns, rows| TerminalSize { columns, rows };
    let request = ExecRequest {
        tty: true,
        stdin: true,
        size: Some(size(91, 31)),
        ..command(&order, &["/workload", "terminal"])
    };
    let mut exec = world.engine.exec(request).await.unwrap();
    until_it_says(&mut exec, "91x31").await;
    exec.process.resize(size(101, 41)).await.unwrap();
    until_it_says(&mut exec, "101x41").await;
    exec.input.write_all(b"exit 5\n").await.unwrap();
    exec.input.flush().await.unwrap();
    read(&mut exec.output, |_| false).await;
    assert_eq!(exit_code(&exec).await, 5);
}

pub async fn a_command_gets_the_signals_that_people_send(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let sleep = command(&order, &["/workload", "sleep", "--term-code", "6"]);
    let mut exec = world.engine.exec(sleep).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    // It may not have said yet what it does with the signal.
    while exec.process.exit_code().await.unwrap().is_none() {
        exec.process.signal(ExecSignal::Terminate).await.unwrap();
        assert!(Instant::now() < deadline, "waited for it to obey");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    read(&mut exec.output, |_| false).await;
    exec.process.signal(ExecSignal::Kill).await.unwrap();
}

pub async fn a_command_needs_a_container_that_runs_and_a_program_that_is_there(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let id = command(&order, &["/workload", "id"]);
    let absent = world.engine.exec(id.clone()).await.err();
    assert!(
        matches!(absent, Some(EngineError::NotFound(_))),
        "{absent:?}"
    );
    world.run(&mut order).await;
    let odd = command(&order, &["/does-not-exist"]);
    let mut exec = world.engine.exec(odd).await.unwrap();
    let (stdout, stderr) = read(&mut exec.output, |_| false).await;
    assert!(format!("{stdout}{stderr}").contains("/does-not-exist"));
    assert!(matches!(exit_code(&exec).await, 126 | 127));
    world.stop(&mut order).await;
    let over = world.engine.exec(id).await.err();
    assert!(matches!(over, Some(EngineError::Refused(_))), "{over:?}");
}

pub async fn files_come_out_of_a_container_as_they_went_in(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let (task, main) = (&order.task_id, name("main"));
    let text: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
    let mut tar = tar::Builder::new(Vec::new());
    for file in ["one", "two"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o640);
        let path = format!("things/{file}");
        tar.append_data(&mut header, path, &text[..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    // In pieces, as it comes over the network.
    let pieces: Vec<_> = tar.chunks(9_999).map(Bytes::copy_from_slice).collect();
    let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
    let written = world.engine.write_files(task, &main, "/", pieces).await;
    written.unwrap();

    let files = async |path: &str| {
        let pieces = world.engine.read_files(task, &main, path).await?;
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        let tar = pieces.concat();
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                let name = entry.path().unwrap().display().to_string();
                let mut text = Vec::new();
                entry.read_to_end(&mut text).unwrap();
                found.insert(name, text);
            }
        }
        Ok::<_, EngineError>(found)
    };
    let both = ["things/one", "things/two"].map(|file| (file.to_owned(), text.clone()));
    assert!(files("/things").await.unwrap() == BTreeMap::from(both));
    let one = files("/things/one").await.unwrap();
    assert!(one == BTreeMap::from([("one".to_owned(), text.clone())]));
    let missing = files("/nothing").await;
    assert!(
        matches!(missing, Err(EngineError::NotFound(_))),
        "not there"
    );
    world.stop(&mut order).await;
    let (task, main) = (&order.task_id, name("main"));
    let still = world.engine.read_files(task, &main, "/things/one").await;
    assert!(still.is_ok(), "also when the container has ended");
    let nobody = world.engine.read_files(task, &name("nobody"), "/").await;
    assert!(matches!(nobody.err(), Some(EngineError::NotFound(_))));
}
