//! Which folders of the engine's host a task may have: those below the operator's, and nothing that would give
//! it the host, the engine or Neargate itself.
//!
//! A path is judged by what it leads to, with symlinks and `..` resolved, and what it leads to is what is
//! mounted. It is judged when a task is run and again when a container is created. What remains: between that
//! and the container's start, somebody who can rename what lies *in* an allowed folder can put a symlink in the
//! place of a folder. Mounting `/srv/data` in one task and `/srv/data/sub` in another gives the first that
//! power over the second's; `docs/volumes.md` tells the operator.

use std::path::{Component, Path, PathBuf};

use super::DockerEngine;
use super::host::Host;
use crate::engine::EngineError;

/// What the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPaths {
    /// Folders that tasks may have, with everything below.
    pub allowed: Vec<PathBuf>,
    /// What no task may have, even if it lies in one of those: Neargate's own data.
    pub forbidden: Vec<PathBuf>,
}

impl DockerEngine {
    /// What the folder `wanted` of the engine's host leads to, if a task may have it. Otherwise
    /// [`EngineError::Refused`].
    pub(super) async fn host_path(&self, wanted: &str) -> Result<PathBuf, EngineError> {
        let host = self.daemon.host().await?;
        admit(host.as_deref(), &self.settings.host_paths, wanted)
            .await
            .map_err(EngineError::Refused)
    }
}

/// What `wanted` leads to on `host`, or why a task may not have it.
async fn admit(
    host: Option<&dyn Host>,
    rules: &HostPaths,
    wanted: &str,
) -> Result<PathBuf, String> {
    let Some(host) = host else {
        return Err(format!(
            "{wanted} cannot be had: the engine is not on this machine, so nobody can look where the path leads \
             to; hint: use a volume with dockerVolumeConfiguration"
        ));
    };
    let mut allowed = Vec::new();
    for folder in &rules.allowed {
        // One that is not there yet allows nothing yet.
        allowed.extend(host.resolve(folder).await.ok());
    }
    let path = match host.resolve(Path::new(wanted)).await {
        Ok(path) => path,
        Err(why) if is_below(&lexical(wanted), allowed.iter().chain(&rules.allowed)) => {
            return Err(why);
        }
        Err(_) => return Err(not_allowed(wanted)),
    };
    if path == Path::new("/") || !is_below(&path, &allowed) {
        return Err(not_allowed(wanted));
    }
    let mut kept = host.engine_files();
    for folder in &rules.forbidden {
        kept.push(host.resolve(folder).await?);
    }
    for kept in kept {
        if path.starts_with(&kept) || kept.starts_with(&path) {
            return Err(format!(
                "{wanted} cannot be had: it holds, or lies in, what belongs to the engine or to Neargate itself; \
                 hint: use a folder beside it"
            ));
        }
    }
    Ok(path)
}

fn not_allowed(wanted: &str) -> String {
    format!(
        "{wanted} does not lead into a folder that the operator allows; hint: add its folder to \
         allowed_host_paths in the server's configuration, or use a volume without host.sourcePath"
    )
}

fn is_below<'a>(path: &Path, folders: impl IntoIterator<Item = &'a PathBuf>) -> bool {
    let mut folders = folders.into_iter();
    folders.any(|folder| folder != Path::new("/") && path.starts_with(folder))
}

/// `path` without `.` and `..`, as it is written: for a path that leads nowhere.
pub(crate) fn lexical(path: &str) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::super::cgroup::LocalHost;
    use super::*;

    /// A machine with an allowed folder, a data folder in it, and a socket in it.
    struct Machine {
        folder: tempfile::TempDir,
        host: LocalHost,
        rules: HostPaths,
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().canonicalize().unwrap();
            for below in ["open/here", "open/neargate/deep", "open/run", "closed"] {
                fs::create_dir_all(root.join(below)).unwrap();
            }
            let _listener = UnixListener::bind(root.join("open/run/docker.sock")).unwrap();
            symlink(root.join("open/run"), root.join("var")).unwrap();
            symlink(root.join("open"), root.join("door")).unwrap();
            symlink(root.join("closed"), root.join("open/escape")).unwrap();
            symlink(root.join("open/here"), root.join("closed/back")).unwrap();
            symlink("/", root.join("open/slash")).unwrap();
            let host =
                LocalHost::new("1", "cgroupfs").with_files(Ok(vec![root.join("var/docker.sock")]));
            let rules = HostPaths {
                allowed: vec![root.join("door"), root.join("not-there-yet")],
                forbidden: vec![root.join("open/neargate")],
            };
            Self {
                folder,
                host,
                rules,
            }
        }

        fn path(&self, below: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(below)
        }

        async fn admit(&self, wanted: &str) -> Result<PathBuf, String> {
            let wanted = self.path(wanted);
            admit(Some(&self.host), &self.rules, wanted.to_str().unwrap()).await
        }
    }

    #[tokio::test]
    async fn what_a_path_leads_to_is_what_counts() {
        let machine = Machine::new();
        let here = Ok(machine.path("open/here"));
        for wanted in [
            "open/here",
            "door/here",
            "closed/back",
            "open/../open/./here",
        ] {
            assert_eq!(machine.admit(wanted).await, here, "{wanted}");
        }
        for wanted in [
            "closed",
            "open/escape",
            "open/escape/back/../../closed",
            "open/../closed",
            "open/here/../..",
            "open/slash",
            "open/slash/etc",
            "closed/not-there",
            "opening",
        ] {
            let refused = machine.admit(wanted).await.unwrap_err();
            assert!(
                refused.contains("does not lead into a folder that the operator allows"),
                "{wanted}: {refused}"
            );
        }
        let missing = machine.admit("open/missing").await.unwrap_err();
        assert!(missing.contains("does not exist"), "{missing}");
    }

    #[tokio::test]
    async fn neargate_s_folder_and_the_engine_s_socket_are_in_no_container() {
        let machine = Machine::new();
        for wanted in ["open", "open/neargate", "open/neargate/deep", "open/run"] {
            let refused = machine.admit(wanted).await.unwrap_err();
            assert!(
                refused.contains("belongs to the engine"),
                "{wanted}: {refused}"
            );
        }
    }

    #[tokio::test]
    async fn where_nobody_can_look_nothing_is_allowed() {
        let machine = Machine::new();
        let remote = admit(None, &machine.rules, "/srv").await.unwrap_err();
        assert!(remote.contains("not on this machine"), "{remote}");
        let apart = LocalHost::new("1", "cgroupfs").with_files(Err("it is in a box".to_owned()));
        let wanted = machine.path("open/here");
        let refused = admit(Some(&apart), &machine.rules, wanted.to_str().unwrap()).await;
        assert!(refused.is_err(), "{refused:?}");
        let everything = HostPaths {
            allowed: vec![PathBuf::from("/")],
            forbidden: Vec::new(),
        };
        for wanted in ["/", "/usr"] {
            let refused = admit(Some(&machine.host), &everything, wanted).await;
            assert!(refused.is_err(), "{wanted}: {refused:?}");
        }
    }
}
