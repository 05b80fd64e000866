//! The real Docker engine, asked through its own command line.

use std::process::Command;
use std::sync::OnceLock;

/// The sample workload's image.
pub fn workload() -> &'static str {
    "neargate/workload:latest"
}

/// Fails the test, with what to do, where no engine answers or the workload was not built.
pub fn require_engine() {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let answer = ANSWER.get_or_init(|| {
        docker(&["version"])
            .map_err(|error| format!("no Docker engine answers ({error}): docker/engine up"))?;
        docker(&["image", "inspect", workload()])
            .map_err(|error| format!("no sample workload ({error}): docker/workload/build"))?;
        Ok(())
    });
    if let Err(error) = answer {
        panic!("{error}");
    }
}

/// Runs `docker` and gives what it wrote.
pub fn docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(args)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Everything on the engine that carries the label of `instance`: containers, networks and volumes, a line each. Only
/// for an instance that has been shut down: its networks may be removed to see whether they can be.
pub fn leftovers(instance: &str) -> Vec<String> {
    let label = format!("label=neargate.instance={instance}");
    let containers = docker(&[
        "ps",
        "--all",
        "--filter",
        &label,
        "--format",
        "container {{.Names}} {{.Status}}",
    ]);
    let networks = docker(&[
        "network",
        "ls",
        "--filter",
        &label,
        "--format",
        "network {{.Name}}",
    ]);
    let volumes = docker(&[
        "volume",
        "ls",
        "--filter",
        &label,
        "--format",
        "volume {{.Name}}",
    ]);
    let listed = [containers, networks, volumes].into_iter();
    let mut left: Vec<String> = listed
        .flat_map(|lines| {
            let lines = lines.expect("the engine lists");
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    if !left.iter().any(|one| one.starts_with("container ")) {
        left.retain(|one| {
            one.strip_prefix("network ")
                .is_none_or(|name| !was_miscounted(name))
        });
    }
    left
}

/// Whether the engine itself cannot remove a network that nobody is on. Docker 20.10 counts the endpoints of a network,
/// and now and then counts one twice when several are made at once; it puts that right when it is started the next time
/// ("Fixing inconsistent `endpoint_cnt`").
fn was_miscounted(network: &str) -> bool {
    let on_it = ["network", "inspect", "--format", "{{len .Containers}}"];
    let nobody = docker(&[&on_it[..], &[network]].concat());
    if nobody.is_ok_and(|count| count.trim() != "0") {
        return false;
    }
    match docker(&["network", "rm", network]) {
        Err(refusal) if refusal.contains("has active endpoints") => {
            eprintln!("the engine has miscounted who is on {network}: {refusal}");
            true
        }
        _ => false,
    }
}

/// Removes everything on the engine that carries the label of `instance`.
pub fn remove_all(instance: &str) {
    let label = format!("label=neargate.instance={instance}");
    for (list, remove) in [
        (
            vec!["ps", "--all", "--quiet", "--filter", &label],
            vec!["rm", "--force", "--volumes"],
        ),
        (
            vec!["network", "ls", "--quiet", "--filter", &label],
            vec!["network", "rm"],
        ),
        (
            vec!["volume", "ls", "--quiet", "--filter", &label],
            vec!["volume", "rm", "--force"],
        ),
    ] {
        let ids = docker(&list).unwrap_or_default();
        for id in ids.lines() {
            let mut args = remove.clone();
            args.push(id);
            let _ = docker(&args);
        }
    }
    remove_groups(instance);
}

/// Removes the cgroups of `instance` in all hierarchies. The kernel refuses where something still runs.
fn remove_groups(instance: &str) {
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten() {
        let Ok(hierarchy) = hierarchy else { continue };
        let above = hierarchy.path().join("neargate").join(instance);
        for group in std::fs::read_dir(&above).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(group.path());
        }
        let _ = std::fs::remove_dir(&above);
    }
}
