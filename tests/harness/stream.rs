//! A command that goes on: what it writes is read while it runs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{Cli, eventually};

/// A command that runs. When it is dropped, it is killed.
pub struct Stream {
    name: String,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Starts `command`, which is `neargate` with `args`.
    pub fn start(args: &[&str], command: &Command) -> Self {
        let mut child = obeying_ctrl_c(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("neargate starts");
        let (stdout, stderr): (Arc<Mutex<String>>, Arc<Mutex<String>>) = Default::default();
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&stdout)),
            collect(child.stderr.take().unwrap(), Arc::clone(&stderr)),
        ];
        Self {
            name: format!("neargate {}", args.join(" ")),
            child,
            stdout,
            stderr,
            readers,
        }
    }

    /// What it has written to standard output.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until one of its outputs has `text` in it.
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("`{text}` from {}", self.name), || {
            let (stdout, stderr) = (self.stdout(), self.stderr());
            if stdout.contains(text) || stderr.contains(text) {
                Ok(())
            } else {
                Err(format!("stdout:\n{stdout}\nstderr:\n{stderr}"))
            }
        });
    }

    /// Sends it a signal, as `kill` names it.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended. A signal's exit code is 128 and the signal, as a shell has it.
    pub fn end(mut self) -> Cli {
        let status = eventually(&format!("{} to end", self.name), || {
            self.child.try_wait().unwrap().ok_or(self.stderr())
        });
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Cli {
            command: self.name.clone(),
            code: code_of(status),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell has what it starts in the background ignore Ctrl-C, and the tests may be in the background.
fn obeying_ctrl_c(command: &Command) -> Command {
    let mut obeying = Command::new("env");
    obeying
        .arg("--default-signal=INT")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => obeying.env(name, value),
            None => obeying.env_remove(name),
        };
    }
    obeying
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    let killed = status.signal().map(|signal| 128 + signal);
    status.code().or(killed).unwrap_or(-1)
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            into.lock().unwrap().push_str(&text);
            line.clear();
        }
    })
}
