//! A backup is made while the server runs and put back when its database is lost; what happened in between is taken
//! from the engine, and said.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::{Cli, Server, docker, eventually, neargate};

fn restore(file: &Path, folder: &Path, more: &[&str]) -> Cli {
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    let args = [&["restore", file, "--data-dir", folder], more].concat();
    Cli::new(&args, &neargate().args(&args).output().unwrap())
}

fn refused(cli: &Cli, words: &[&str]) {
    assert_ne!(cli.code, 0, "{cli:#?}");
    for word in words {
        assert!(cli.stderr.contains(word), "{word}: {cli:#?}");
    }
}

/// Overwrites the second half of the database, which is all in one file when the server has stopped in order.
fn damage(folder: &Path) {
    let database = folder.join("neargate.db");
    let mut bytes = fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x55);
    fs::write(&database, &bytes).unwrap();
}

fn messages(server: &Server) -> Vec<String> {
    let page = server.get("/v1/events?limit=1000").1;
    let told = page["items"].as_array().unwrap().iter();
    told.map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_damaged_database_is_named_and_a_backup_takes_its_place() {
    let mut server = Server::start();
    server.register_workload("sleep", &["sleep"]);
    let (stays, ends) = (server.run("sleep"), server.run("sleep"));
    let before = server.wait_for(&stays, "RUNNING");
    server.wait_for(&ends, "RUNNING");
    let file = server.folder().join("neargate-backup.db");
    let name = file.to_str().unwrap();
    assert_eq!(server.cli(&["backup", name]).ok(), name);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    refused(&server.cli(&["backup", name]), &["--force"]);
    server.cli(&["backup", name, "--force"]).ok();

    // What the backup does not know of: a task that begins, and one that ends.
    let later = server.run("sleep");
    server.wait_for(&later, "RUNNING");
    server.stop(&ends);
    server.wait_for(&ends, "STOPPED");
    eventually("nothing to be left of it", || {
        match docker(&["inspect", &format!("neargate-{ends}-main")]) {
            Err(_) => Ok(()),
            Ok(_) => Err("it is there".to_owned()),
        }
    });
    let pid = server.pid().to_string();
    let folder = server.data_dir();
    refused(&restore(&file, &folder, &["--force"]), &["in use", &pid]);

    server.shut_down();
    damage(&folder);
    let started = server.command().output().unwrap();
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(
        !started.status.success() && said.contains("damaged") && said.contains("neargate restore"),
        "{said}"
    );
    refused(
        &restore(&file, &folder, &[]),
        &["exists already", "--force"],
    );
    let restored = restore(&file, &folder, &["--force"]);
    restored.ok();
    let aside = folder.join("neargate.db.replaced-1");
    assert!(
        aside.exists() && restored.stderr.contains("replaced-1"),
        "{restored:#?}"
    );

    server.boot();
    let ended = server.wait_for(&ends, "STOPPED");
    assert_eq!(ended["usage"]["endEvidence"], "estimated", "{ended:#}");
    let after = server.task(&stays);
    assert_eq!(after["lastStatus"], "RUNNING", "{after:#}");
    assert_eq!(
        before["containers"][0], after["containers"][0],
        "it went on"
    );
    eventually("what is not recorded to be removed, and said", || {
        let told = messages(&server);
        let is_said = told
            .iter()
            .any(|text| text.contains(&later) && text.contains("removed"));
        match docker(&["inspect", &format!("neargate-{later}-main")]) {
            Err(_) if is_said => Ok(()),
            left => Err(format!("{left:?} {told:#?}")),
        }
    });
    assert_eq!(server.get(&format!("/v1/tasks/{later}")).0, 404);
    let told = messages(&server);
    assert!(
        told.iter()
            .any(|text| text.contains("was restored from a backup")),
        "{told:#?}"
    );
    server.stop(&stays);
    let stopped = server.wait_for(&stays, "STOPPED");
    assert_eq!(stopped["usage"]["endEvidence"], "engine", "{stopped:#}");
    server.wait_until_clean();
}

#[test]
fn a_backup_goes_to_another_folder_without_the_key_of_its_secrets() {
    let server = Server::start_sim();
    let (status, answer) = server.send(
        "PUT",
        "/v1/secrets/db",
        Some("hunter2".to_owned()),
        "application/octet-stream",
    );
    assert!(status < 300, "{status} {answer:#}");
    let file = server.folder().join("copy.db");
    let made = server.cli(&["backup", file.to_str().unwrap(), "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(made.ok()).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert_eq!(document["bytes"], bytes.len());
    assert!(made.stderr.contains("secret.key"), "{made:#?}");
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));

    let other = server.folder().join("other");
    let restored = restore(&file, &other, &[]);
    restored.ok();
    assert!(restored.stderr.contains("secret.key"), "{restored:#?}");
    let garbage = server.folder().join("garbage");
    fs::write(&garbage, "no backup").unwrap();
    let third = server.folder().join("third");
    refused(
        &restore(&garbage, &third, &[]),
        &["garbage", "neargate backup"],
    );
}
