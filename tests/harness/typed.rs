//! A command at a terminal of its own, as a person sees it.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::eventually;

/// A command with a terminal of its own, on which the test types.
pub struct Typed {
    child: Child,
    terminal: std::fs::File,
    shown: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Typed {
    /// Starts it.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        resize(&terminal, columns, rows);
        let name = ptsname(&terminal, Vec::new())
            .unwrap()
            .into_string()
            .unwrap();
        let open = || {
            std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(&name)
                .unwrap()
        };
        let mut child = Command::new("setsid");
        child
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let child = child.stdin(open()).stdout(open()).stderr(open()).spawn();
        let child = child.expect("setsid, of util-linux, is installed");
        let terminal = std::fs::File::from(terminal);
        let mut from = terminal.try_clone().unwrap();
        let shown: Arc<Mutex<String>> = Arc::default();
        let into = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 1_024];
            // Ends with an error when nobody has the other side any more.
            while let Ok(length @ 1..) = from.read(&mut piece) {
                into.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self {
            child,
            terminal,
            shown,
            reader: Some(reader),
        }
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this is shown.
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("`{text}` on the terminal"), || {
            let shown = self.shown.lock().unwrap().clone();
            if shown.contains(text) {
                Ok(())
            } else {
                Err(shown)
            }
        });
    }

    /// All that it has shown so far.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Makes the terminal as large as that.
    pub fn resize(&self, columns: u16, rows: u16) {
        resize(&self.terminal, columns, rows);
    }

    /// Whether keys are echoed and Ctrl-C is a signal, as on a terminal that nobody has changed.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Waits until it has ended: its code, and all that it has shown.
    pub fn end(&mut self) -> (i32, String) {
        let status = eventually("the command to end", || {
            self.child
                .try_wait()
                .unwrap()
                .ok_or(self.shown.lock().unwrap().clone())
        });
        assert!(self.is_cooked(), "the terminal is given back");
        // Nobody has the other side any more: the reader ends when it has read the rest.
        eventually("all that was shown to be read", || {
            let is_read = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
            is_read.then_some(()).ok_or_else(|| self.shown())
        });
        (status.code().unwrap(), self.shown.lock().unwrap().clone())
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // It ends with the last of those who have the terminal open.
        drop(self.reader.take());
    }
}

fn resize(terminal: &impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
