//! A registry of a test's own, on a port of its own: Debian's docker-registry.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;

use super::{docker, eventually};

/// The name that a private registry lets in.
pub const USER: &str = "ann";
/// Its password.
pub const PASSWORD: &str = "open sesame";
/// The same, as bcrypt has it.
const HASH: &str = "$2b$12$sx3thVc.jCr6ihV7d/6gQuZzGP.5u00FEAkE8Vt439NEiLS0l3Mta";

/// A registry. When it is dropped, it ends, and what the engine has of it is removed.
pub struct Registry {
    folder: TempDir,
    child: Child,
    port: u16,
    /// What the engine may have of it.
    pushed: Mutex<Vec<String>>,
}

/// Where the program is; prints why there is none.
fn program() -> Option<&'static str> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/registry");
        let output = Command::new(script)
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    });
    match found {
        Ok(path) => Some(path),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

impl Registry {
    /// Starts one; with `private`, only [`USER`] may do anything. `None` where there is no program for it.
    pub fn start(private: bool) -> Option<Self> {
        let program = program()?;
        super::require_engine();
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Somebody else may take the port in between; then the registry ends and the test says so.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: false}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            path("data")
        );
        if private {
            fs::write(path("htpasswd"), format!("{USER}:{HASH}\n")).unwrap();
            let htpasswd = path("htpasswd");
            config = format!("{config}auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}\n");
        }
        fs::write(path("config.yml"), config).unwrap();
        let child = Command::new(program)
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(fs::File::create(path("access.log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut registry = Self {
            folder,
            child,
            port,
            pushed: Mutex::default(),
        };
        eventually("the registry to listen", || {
            if let Some(status) = registry.child.try_wait().unwrap() {
                return Err(format!("it ended with {status}"));
            }
            TcpStream::connect(("127.0.0.1", port))
                .map(drop)
                .map_err(|error| error.to_string())
        });
        Some(registry)
    }

    /// As images are named by it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an image with `layer_bytes` of noise that no other image has and that runs the workload, and pushes
    /// it; the engine has nothing of it after that. Gives its digest.
    pub fn push(&self, name: &str, layer_bytes: usize) -> String {
        let context = self.folder.path().join("context");
        fs::create_dir_all(&context).unwrap();
        let noise: Vec<u8> = (0..layer_bytes.max(16)).map(|_| rand::random()).collect();
        fs::write(context.join("noise"), noise).unwrap();
        let workload = super::workload();
        fs::write(
            context.join("Dockerfile"),
            format!("FROM {workload}\nCOPY noise /noise\n"),
        )
        .unwrap();
        let image = format!("{}/{name}", self.host());
        docker(&[
            "build",
            "--quiet",
            "--tag",
            &image,
            &context.display().to_string(),
        ])
        .unwrap();
        let config = self.folder.path().join("docker-config");
        let config = config.display().to_string();
        let mut login = Command::new("docker")
            .args([
                "--config",
                &config,
                "login",
                "--username",
                USER,
                "--password-stdin",
                &self.host(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        login
            .stdin
            .take()
            .unwrap()
            .write_all(PASSWORD.as_bytes())
            .unwrap();
        // A public registry takes any name.
        login.wait().unwrap();
        docker(&["--config", &config, "push", "--quiet", &image]).unwrap();
        let digest = docker(&[
            "image",
            "inspect",
            "--format",
            "{{index .RepoDigests 0}}",
            &image,
        ])
        .unwrap();
        docker(&["image", "rm", "--force", &image]).unwrap();
        self.pushed.lock().unwrap().push(digest.clone());
        digest.split_once('@').unwrap().1.to_owned()
    }

    /// How often somebody has asked what a tag is.
    pub fn asked_for(&self, name: &str, tag: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        let path = format!("/v2/{name}/manifests/{tag} ");
        let asks = |line: &&str| line.contains(&path) && !line.contains("\"PUT ");
        log.lines().filter(asks).count()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for digest in self.pushed.lock().unwrap().iter() {
            let _ = docker(&["image", "rm", "--force", digest]);
        }
        let filter = format!("reference={}/*", self.host());
        let images = docker(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]);
        for image in images.unwrap_or_default().lines() {
            let _ = docker(&["image", "rm", "--force", image]);
        }
    }
}

/// A port that passes everything on to another one, and stalls when it is told to.
pub struct Relay {
    port: u16,
    /// How many bytes of answers still come through.
    left: Arc<AtomicU64>,
}

impl Relay {
    /// In front of `port`, with everything coming through.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            left: Arc::new(AtomicU64::new(u64::MAX)),
        };
        let left = Arc::clone(&relay.left);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    return;
                };
                let (mut up_from, mut up_to) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up_from, &mut up_to);
                    let _ = up_to.shutdown(Shutdown::Write);
                });
                let left = Arc::clone(&left);
                std::thread::spawn(move || pass_on(server, client, &left));
            }
        });
        relay
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Lets so many more bytes of answers through, then nothing, and keeps the connections open.
    pub fn stall_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::SeqCst);
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64) {
    let mut buffer = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let bytes = u64::try_from(read).unwrap();
        let take = |left: u64| left.checked_sub(bytes);
        // Nothing comes, and nobody is told, until the relay is told to go on. A daemon that gives a pull up
        // goes on reading: the next pull of the same layer waits for that.
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_err()
        {
            if std::time::Instant::now() > deadline {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
