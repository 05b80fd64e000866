//! A Docker engine of a test's own, which it may restart: beside the one that all tests share, and without its
//! iptables rules, of which there is one set for the whole machine.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{docker, eventually, require_engine, workload};

/// The engine. When it is dropped, it ends with all that it has.
pub struct OwnEngine {
    folder: TempDir,
    bridge: String,
    live_restore: bool,
    child: Option<Child>,
}

impl OwnEngine {
    /// Starts one that has the workload's image. With `live_restore`, containers outlive it.
    pub fn start(live_restore: bool) -> Self {
        // The bridge is there before the engine: it makes none under a name of one's own. Its addresses are those
        // set aside for documentation, which nobody else has.
        if live_restore {
            Self::start_at(1, "192.0.2.1/25", true)
        } else {
            Self::start_at(0, "192.0.2.129/25", false)
        }
    }

    /// Starts a third one, with live-restore, which may be told otherwise later.
    pub fn start_third() -> Self {
        Self::start_at(2, "198.51.100.1/25", true)
    }

    fn start_at(number: u32, address: &str, live_restore: bool) -> Self {
        require_engine();
        // On the same disk as that of the shared engine, where its storage driver works.
        let folder = tempfile::Builder::new()
            .prefix("neargate-engine-")
            .tempdir_in("/var/lib")
            .expect("root, for an engine of its own");
        let mut engine = Self {
            folder,
            bridge: format!("ngt{}{number}", std::process::id()),
            live_restore,
            child: None,
        };
        run("ip", &["link", "add", &engine.bridge, "type", "bridge"]);
        run("ip", &["address", "add", address, "dev", &engine.bridge]);
        run("ip", &["link", "set", &engine.bridge, "up"]);
        engine.boot();
        let image = engine.path("workload.tar").display().to_string();
        docker(&["save", "--output", &image, workload()]).unwrap();
        engine.docker(&["load", "--input", &image]).unwrap();
        engine
    }

    /// As `DOCKER_HOST` wants it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Runs `docker` against it.
    pub fn docker(&self, args: &[&str]) -> Result<String, String> {
        let host = self.host();
        docker(&[&["--host", host.as_str()], args].concat())
    }

    /// SIGTERM, as a package's upgrade sends it; waits until it has ended.
    pub fn shut_down(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        run("kill", &[&child.id().to_string()]);
        eventually("the engine to end", || {
            let ended = child.try_wait().map_err(|error| error.to_string())?;
            ended.map(drop).ok_or_else(|| self.log())
        });
    }

    /// From now on, containers outlive it or end with it.
    pub fn set_live_restore(&mut self, live_restore: bool) {
        self.live_restore = live_restore;
        self.configure();
        self.signal("HUP");
        eventually("the engine to have read its configuration", || {
            let said = self.docker(&["info", "--format", "{{.LiveRestoreEnabled}}"])?;
            if said == live_restore.to_string() {
                Ok(())
            } else {
                Err(said)
            }
        });
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        run("kill", &["-s", name, &child.id().to_string()]);
    }

    fn configure(&self) {
        let configuration = format!("{{\"live-restore\": {}}}", self.live_restore);
        std::fs::write(self.path("daemon.json"), configuration).unwrap();
    }

    /// Starts it, and waits until it answers.
    pub fn boot(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let folder = |name: &str| self.path(name).display().to_string();
        let mut command = Command::new("dockerd");
        command
            .args(["--host", &self.host(), "--bridge", &self.bridge])
            .args([
                "--data-root",
                &folder("data"),
                "--exec-root",
                &folder("exec"),
            ])
            .args([
                "--pidfile",
                &folder("pid"),
                "--config-file",
                &folder("daemon.json"),
            ])
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false"]);
        self.configure();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        self.child = Some(child);
        eventually("the engine to answer", || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.log());
            }
            self.docker(&["version"])
        });
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // A call of the server that was killed may still be carried out; what runs would outlive the engine.
        for _ in 0..3 {
            let all = self.docker(&["ps", "--all", "--quiet"]);
            for id in all.unwrap_or_default().lines() {
                let _ = self.docker(&["rm", "--force", "--volumes", id]);
            }
            std::thread::park_timeout(Duration::from_millis(300));
        }
        for network in self
            .docker(&["network", "ls", "--quiet", "--filter", "type=custom"])
            .unwrap_or_default()
            .lines()
        {
            let _ = self.docker(&["network", "rm", network]);
        }
        if let Some(mut child) = self.child.take() {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        let _ = Command::new("ip")
            .args(["link", "delete", &self.bridge])
            .status();
        // With live-restore it leaves its folder mounted on itself.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path("data"))
            .stderr(Stdio::null())
            .status();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}
