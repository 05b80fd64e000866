//! Files into containers that run, and out of them.

use std::fs;
use std::path::Path;

use crate::cli::fails;
use crate::harness::Server;

fn open_task(server: &Server) -> String {
    server.register_workload("open", &["sleep"]);
    let id = server
        .cli(&["run", "open", "--enable-execute-command"])
        .ok()
        .to_owned();
    server.wait_for(&id, "RUNNING");
    id
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn files_go_in_and_come_out(server: &Server) {
    let id = open_task(server);
    let here = server.folder();
    let local = |name: &str| here.join(name).display().to_string();
    let inside = |path: &str| format!("{id}:{path}");
    let cp = |from: &str, to: &str| server.cli(&["cp", from, to]);
    fs::write(local("note"), "one").unwrap();
    fs::create_dir_all(local("tree/deep")).unwrap();
    fs::write(local("tree/deep/leaf"), "leaf").unwrap();
    // Larger than any body, and than what is held in memory.
    let large: Vec<u8> = (0..5_000_000_u32)
        .map(|number| (number % 253) as u8)
        .collect();
    fs::write(local("tree/large"), &large).unwrap();

    cp(&local("note"), &inside("/renamed")).ok();
    cp(&local("tree"), &inside("/tree")).ok();
    cp(&inside("/renamed"), &local("back")).ok();
    assert_eq!(text(local("back")), "one");
    // What is there is replaced.
    fs::write(local("note"), "two").unwrap();
    cp(&local("note"), &inside("/renamed")).ok();
    cp(&inside("/renamed"), &local("back")).ok();
    assert_eq!(text(local("back")), "two");
    // Into a folder that is there, and under a new name.
    fs::create_dir(local("into")).unwrap();
    cp(&inside("/tree"), &local("into")).ok();
    assert_eq!(text(local("into/tree/deep/leaf")), "leaf");
    cp(&inside("/tree"), &local("anew")).ok();
    assert_eq!(text(local("anew/deep/leaf")), "leaf");
    assert!(fs::read(local("anew/large")).unwrap() == large);

    fails(
        &cp(&inside("/nothing"), &local("x")),
        1,
        &["/nothing", "does not exist"],
    );
    fails(
        &cp(&inside("/renamed"), &local("no/such/folder")),
        1,
        &["is not a folder here", "hint:"],
    );
    fails(
        &cp(&local("absent"), &inside("/x")),
        1,
        &["absent", "cannot be read"],
    );
    fails(&cp(&local("note"), &local("x")), 2, &["one of the two"]);
    fails(
        &cp(&format!("{id}:relative"), &local("x")),
        2,
        &["begin with /"],
    );
    assert!(!Path::new(&local("x")).exists());
}

#[test]
fn files_and_folders_go_in_and_come_out() {
    let server = Server::start();
    files_go_in_and_come_out(&server);
    let id = server.cli(&["ps", "--quiet"]).ok().to_owned();
    let read = server.cli(&["exec", &id, "--", "/workload", "read-file", "/renamed"]);
    assert_eq!(read.ok(), "two", "a command in the container sees it");
    // Into a folder of the container, and a file in the place of one.
    let note = server.folder().join("note").display().to_string();
    server.cli(&["cp", &note, &format!("{id}:/tree/deep")]).ok();
    let read = server.cli(&[
        "exec",
        &id,
        "--",
        "/workload",
        "read-file",
        "/tree/deep/note",
    ]);
    assert_eq!(read.ok(), "two");
    let tree = server.folder().join("tree").display().to_string();
    fails(
        &server.cli(&["cp", &tree, &format!("{id}:/renamed")]),
        1,
        &["is a file", "a folder"],
    );
    fails(
        &server.cli(&["cp", &note, &format!("{id}:/no/such/x")]),
        1,
        &["/no/such"],
    );
}

#[test]
fn files_and_folders_go_in_and_come_out_on_the_simulated_engine() {
    files_go_in_and_come_out(&Server::start_sim());
}

#[test]
fn files_are_reached_only_where_commands_may_be_run() {
    let server = Server::start_sim();
    server.register_workload("closed", &["sleep"]);
    let id = server.run("closed");
    server.wait_for(&id, "RUNNING");
    let note = server.folder().join("note");
    fs::write(&note, "one").unwrap();
    let note = note.display().to_string();
    for (from, to) in [
        (note.as_str(), format!("{id}:/x").as_str()),
        (&format!("{id}:/x"), &note),
    ] {
        fails(
            &server.cli(&["cp", from, to]),
            1,
            &["execute command was not enabled"],
        );
    }
    assert_eq!(text(&note), "one");
}

#[test]
fn a_link_in_a_container_leads_nowhere_here() {
    let server = Server::start();
    let id = open_task(&server);
    let room = server.folder().join("room");
    fs::create_dir(&room).unwrap();
    // The container's program is free to make links; here, tar puts them in.
    let made = room.join("made");
    fs::create_dir(&made).unwrap();
    std::os::unix::fs::symlink("/etc", made.join("etc")).unwrap();
    server
        .cli(&["cp", &made.display().to_string(), &format!("{id}:/links")])
        .ok();
    let out = room.join("out");
    server
        .cli(&["cp", &format!("{id}:/links"), &out.display().to_string()])
        .ok();
    assert_eq!(
        fs::read_link(out.join("etc")).unwrap(),
        Path::new("/etc"),
        "a link stays a link"
    );
}
