//! Many machines, and what is said of each.

use std::path::PathBuf;

use super::findings::{Finding, Level, findings};
use super::*;
use crate::cli::table::Look;
use crate::domain::{
    ClockFacts, ClockReading, Contents, DaemonFacts, DataFacts, DatabaseState, EngineFacts,
    FolderState, FolderUser, Space, TimestampMs, Trouble,
};
use crate::shapes::{EngineState, EngineStatus, Version};

const GIB: u64 = 1 << 30;

fn space(free_bytes: u64, free_files: u64) -> Space {
    Space {
        free_bytes,
        total_bytes: 100 * GIB,
        free_files,
        total_files: 1_000_000,
    }
}

fn daemon() -> DaemonFacts {
    DaemonFacts {
        version: "28.0.0".to_owned(),
        api_version: "1.48".to_owned(),
        os: "linux".to_owned(),
        storage_driver: "overlay2".to_owned(),
        live_restore: true,
        cgroup_version: "2".to_owned(),
        cgroup_driver: "systemd".to_owned(),
        cgroups: Ok(()),
        runtimes: ["runc".to_owned()].into(),
        cpus: 8,
        memory_bytes: 32 * GIB,
        clock_ahead_ms: Some(12),
        root: Some(PathBuf::from("/var/lib/docker")),
        root_space: Some(space(50 * GIB, 900_000)),
        free_networks: 63,
        cluster_networks: 1,
        foreign_routes: Vec::new(),
    }
}

fn contents() -> Contents {
    Contents {
        mode: 0o700,
        is_writable: true,
        user: FolderUser::Nobody,
        database: DatabaseState::Good,
        keys: [("secret.key".to_owned(), 0o600)].into(),
        written_at: Some(NOW),
    }
}

/// 2026-06-01.
const NOW: TimestampMs = TimestampMs::from_millis(1_780_272_000_000);

/// A machine of which nothing is to be said.
fn good() -> Machine {
    Machine {
        config_file: None,
        settings: Ok(()),
        cluster_runtimes: std::collections::BTreeMap::new(),
        address_pool: "10.213.0.0/16".parse().unwrap(),
        engine: EngineFacts::Answers(Box::new(daemon())),
        listen: "127.0.0.1:6327".parse().unwrap(),
        port: PortFacts::Free,
        data: DataFacts {
            folder: Some(PathBuf::from("/var/lib/neargate")),
            state: FolderState::There(Box::new(contents())),
            space: Some(space(50 * GIB, 900_000)),
        },
        clock: ClockFacts {
            reading: ClockReading {
                wall: NOW,
                running_ms: 3_600_000,
            },
            is_synchronised: Some(true),
        },
    }
}

fn with_server(machine: &Machine, server: ServerFacts, port_is_ours: Option<bool>) -> Vec<Finding> {
    findings(&Facts {
        machine,
        endpoint: "http://127.0.0.1:6327".to_owned(),
        server,
        port_is_ours,
    })
}

/// What is not as it should be: `warn engine: …`.
fn bad(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|one| one.level != Level::Ok);
    bad.map(|one| format!("{} {}: {}", one.level.as_str(), one.check, one.text))
        .collect()
}

/// The one thing that is wrong with the machine that `spoil` leaves, and its hint.
fn one(spoil: impl FnOnce(&mut Machine)) -> (String, String) {
    let mut machine = good();
    spoil(&mut machine);
    let found = with_server(&machine, ServerFacts::None, None);
    let wrong = bad(&found);
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    let hint = found.into_iter().find_map(|one| one.hint).unwrap();
    (wrong[0].clone(), hint)
}

fn spoilt_engine(spoil: impl FnOnce(&mut DaemonFacts)) -> (String, String) {
    one(|machine| {
        let mut facts = daemon();
        spoil(&mut facts);
        machine.engine = EngineFacts::Answers(Box::new(facts));
    })
}

fn spoilt_folder(spoil: impl FnOnce(&mut Contents)) -> (String, String) {
    one(|machine| {
        let mut facts = contents();
        spoil(&mut facts);
        machine.data.state = FolderState::There(Box::new(facts));
    })
}

#[track_caller]
fn says((text, hint): (String, String), start: &str, parts: &[&str], to_do: &str) {
    assert!(text.starts_with(start), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(hint.contains(to_do), "{to_do} is not in: {hint}");
}

#[test]
fn of_a_good_machine_there_is_nothing_bad_to_say_and_every_check_is_named() {
    let found = with_server(&good(), ServerFacts::None, None);
    assert_eq!(bad(&found), [""; 0]);
    let checks: Vec<&str> = found.iter().map(|one| one.check).collect();
    assert_eq!(
        checks,
        [
            "config",
            "engine",
            "storage",
            "live-restore",
            "cgroups",
            "runtimes",
            "addresses",
            "disk",
            "data",
            "database",
            "disk",
            "port",
            "clock",
            "server"
        ]
    );
}

#[test]
fn whatever_is_wrong_there_is_something_to_do() {
    let mut machine = good();
    machine.settings = Err(Trouble::of("x"));
    machine.port = PortFacts::InUse;
    machine.clock.is_synchronised = None;
    machine.data.state = FolderState::Missing { can_be_made: false };
    for engine in [
        EngineFacts::Away(Trouble::of("x")),
        EngineFacts::Answers(Box::new(DaemonFacts {
            os: "windows".to_owned(),
            storage_driver: "vfs".to_owned(),
            live_restore: false,
            cgroups: Err("x".to_owned()),
            clock_ahead_ms: Some(-5_000),
            root_space: Some(space(0, 0)),
            free_networks: 0,
            ..daemon()
        })),
    ] {
        machine.engine = engine;
        for finding in with_server(&machine, ServerFacts::None, Some(false)) {
            let has_hint = finding.hint.is_some_and(|hint| !hint.is_empty());
            assert_eq!(has_hint, finding.level != Level::Ok, "{}", finding.text);
        }
    }
}

#[test]
fn an_engine_that_is_away_or_old_or_another_is_said() {
    let away = one(|machine| {
        machine.engine = EngineFacts::Away(Trouble::of("the engine is away: no such socket"));
    });
    says(
        away,
        "fail engine: the engine is away",
        &[],
        "systemctl start docker",
    );
    let denied = one(|machine| {
        machine.engine = EngineFacts::Away(Trouble::of("denied; hint: join the group docker"));
    });
    says(denied, "fail engine: denied", &[], "join the group docker");
    says(
        spoilt_engine(|engine| engine.api_version = "1.40".to_owned()),
        "warn engine",
        &["API 1.40", "older"],
        "20.10",
    );
    says(
        spoilt_engine(|engine| engine.os = "windows".to_owned()),
        "fail engine",
        &["windows"],
        "Linux containers",
    );
    says(
        spoilt_engine(|engine| engine.storage_driver = "vfs".to_owned()),
        "warn storage: vfs",
        &[],
        "overlay2",
    );
    says(
        spoilt_engine(|engine| engine.live_restore = false),
        "warn live-restore: off",
        &[],
        "\"live-restore\": true",
    );
    let machine = Machine {
        engine: EngineFacts::Simulated,
        ..good()
    };
    assert_eq!(
        bad(&with_server(&machine, ServerFacts::None, None)),
        [""; 0]
    );
}

#[test]
fn cgroups_runtimes_and_addresses_are_judged() {
    says(
        spoilt_engine(|engine| engine.cgroups = Err("it is rootless".to_owned())),
        "warn cgroups: v2, driver systemd",
        &["because it is rootless"],
        "as root",
    );
    let runtime = one(|machine| {
        let runtime = "runsc".parse().unwrap();
        machine.cluster_runtimes = [("secure".to_owned(), runtime)].into();
    });
    says(
        runtime,
        "fail runtimes: cluster \"secure\"",
        &["runsc", "only runc"],
        "install runsc",
    );
    says(
        spoilt_engine(|engine| (engine.free_networks, engine.cluster_networks) = (0, 0)),
        "fail addresses: 10.213.0.0/16",
        &["room for 0"],
        "address_pool",
    );
    says(
        spoilt_engine(|engine| engine.free_networks = 0),
        "warn addresses",
        &["there are 1"],
        "address_pool",
    );
    says(
        spoilt_engine(|engine| engine.foreign_routes = vec!["10.213.8.0/24".parse().unwrap()]),
        "warn addresses",
        &["10.213.8.0/24"],
        "address_pool",
    );
}

#[test]
fn disks_without_room_are_said() {
    says(
        spoilt_engine(|engine| engine.root_space = Some(space(GIB, 900_000))),
        "warn disk: the engine's folder /var/lib/docker: 1.0 GiB of 100.0 GiB free",
        &[],
        "prune",
    );
    says(
        spoilt_engine(|engine| engine.root_space = Some(space(100 << 20, 900_000))),
        "fail disk: the engine's folder /var/lib/docker: 100.0 MiB",
        &[],
        "prune",
    );
    let files = one(|machine| machine.data.space = Some(space(50 * GIB, 12)));
    says(
        files,
        "fail disk: the data folder /var/lib/neargate",
        &["12 more files"],
        "kept_logs_max_bytes",
    );
    // Some file systems have no limit of files, and say 0 of 0.
    let mut machine = good();
    machine.data.space = Some(Space {
        total_files: 0,
        ..space(50 * GIB, 0)
    });
    assert_eq!(
        bad(&with_server(&machine, ServerFacts::None, None)),
        [""; 0]
    );
}

#[test]
fn what_is_wrong_with_the_data_folder_is_said() {
    let missing = one(|machine| machine.data.state = FolderState::Missing { can_be_made: false });
    says(
        missing,
        "fail data: /var/lib/neargate is not there",
        &[],
        "--data-dir",
    );
    let file = one(|machine| machine.data.state = FolderState::Unusable("it is a file".to_owned()));
    says(file, "fail data", &["it is a file"], "--data-dir");
    says(
        spoilt_folder(|folder| folder.mode = 0o755),
        "warn data",
        &["mode 755"],
        "chmod 700 /var/lib/neargate",
    );
    says(
        spoilt_folder(|folder| folder.is_writable = false),
        "fail data: you may not write",
        &[],
        "the user who runs the server",
    );
    says(
        spoilt_folder(|folder| folder.keys = [("secret.key".to_owned(), 0o640)].into()),
        "fail data",
        &["secret.key", "mode 640"],
        "chmod 600 /var/lib/neargate/secret.key",
    );
    says(
        spoilt_folder(|folder| folder.user = FolderUser::Server(Some(42))),
        "warn data: a Neargate (process 42)",
        &["none answers"],
        "--endpoint",
    );
    says(
        spoilt_folder(|folder| folder.user = FolderUser::Unknown),
        "warn data",
        &["cannot be told"],
        "the user who runs the server",
    );
    let damaged = Trouble::of("the database is damaged: x; hint: neargate restore FILE");
    says(
        spoilt_folder(|folder| folder.database = DatabaseState::Bad(damaged)),
        "fail database: the database is damaged: x",
        &[],
        "neargate restore",
    );
}

#[test]
fn settings_and_the_port_are_judged() {
    let trouble = Trouble::of("x.toml is not valid: line 1\n  |\n1 | x = 3\nunknown field `x`");
    let settings = one(|machine| machine.settings = Err(trouble));
    says(
        settings,
        "fail config",
        &["x.toml is not valid: line 1: unknown field `x`"],
        "serve --help",
    );

    let mut machine = good();
    machine.port = PortFacts::InUse;
    let ours = with_server(&machine, ServerFacts::None, Some(true));
    assert_eq!(bad(&ours), [""; 0]);
    let others = with_server(&machine, ServerFacts::None, Some(false));
    assert_eq!(
        bad(&others),
        ["fail port: 127.0.0.1:6327 is in use, and not by a Neargate"]
    );
    let refused = Trouble::of("Permission denied");
    let refused = one(|machine| machine.port = PortFacts::Unusable(refused));
    says(refused, "fail port", &["Permission denied"], "--listen");
}

#[test]
fn a_clock_that_is_wrong_is_said() {
    let epoch = one(|machine| {
        machine.clock.reading.wall = TimestampMs::from_millis(3_600_000);
        machine.data.state = FolderState::Missing { can_be_made: true };
    });
    says(epoch, "fail clock: it shows 1970-01-01", &[], "timedatectl");
    says(
        spoilt_folder(|folder| {
            folder.written_at = Some(TimestampMs::from_millis(NOW.as_millis() + 3_600_000));
        }),
        "fail clock",
        &["when the database was last written"],
        "set it right",
    );
    says(
        spoilt_engine(|engine| engine.clock_ahead_ms = Some(5_000)),
        "warn clock",
        &["5.0 s ahead of"],
        "time servers",
    );
    says(
        spoilt_engine(|engine| engine.clock_ahead_ms = Some(-120_000)),
        "fail clock",
        &["2 min 00 s behind"],
        "time servers",
    );
    for (said, part) in [
        (Some(false), "nothing keeps it right"),
        (None, "nobody says"),
    ] {
        let found = one(|machine| machine.clock.is_synchronised = said);
        says(found, "warn clock", &[part], "chrony");
    }
}

fn readiness(ready: bool, reason: Option<&str>) -> Readiness {
    Readiness {
        ready,
        engine: EngineStatus {
            kind: "docker".to_owned(),
            version: None,
            api_version: None,
            boot_id: None,
            state: if ready {
                EngineState::Ok
            } else {
                EngineState::Away
            },
            reason: reason.map(str::to_owned),
            since: None,
        },
        store: "ok".to_owned(),
        no_metadata: None,
        version: Version {
            version: "0.1.0".to_owned(),
            ..Version::default()
        },
    }
}

#[test]
fn a_server_that_answers_is_heard() {
    let ask = |readiness| {
        let server = ServerFacts::Answers(Box::new(readiness));
        bad(&with_server(&good(), server, None))
    };
    assert_eq!(ask(readiness(true, None)), [""; 0]);
    assert_eq!(
        ask(readiness(false, Some("no such socket; hint: start it"))),
        ["fail server: 0.1.0 at http://127.0.0.1:6327 is not ready: no such socket"]
    );
    let deaf = Readiness {
        no_metadata: Some("port 6328 is in use".to_owned()),
        ..readiness(true, None)
    };
    assert_eq!(
        ask(deaf),
        ["warn server: tasks cannot ask about themselves: port 6328 is in use"]
    );
    let silent = ClientError::TooSlow {
        endpoint: "http://127.0.0.1:6327".to_owned(),
        seconds: 30,
    };
    let refused = with_server(&good(), ServerFacts::Refuses(silent), None);
    assert!(bad(&refused)[0].starts_with("warn server"), "{refused:?}");

    // Who uses the folder is then no riddle.
    let mut machine = good();
    machine.data.state = FolderState::There(Box::new(Contents {
        user: FolderUser::Server(None),
        ..contents()
    }));
    let server = ServerFacts::Answers(Box::new(readiness(true, None)));
    assert_eq!(bad(&with_server(&machine, server, None)), [""; 0]);
}

#[test]
fn lines_are_aligned_fit_the_terminal_and_have_colours_only_on_one() {
    let mut machine = good();
    machine.clock.is_synchronised = Some(false);
    let found = with_server(&machine, ServerFacts::None, None);
    let plain = table(&found).render(Look::default());
    assert!(
        plain.contains("\nwarn    clock         nothing keeps it right"),
        "{plain}"
    );
    assert!(
        plain.contains("\n                      hint: timedatectl"),
        "{plain}"
    );
    assert!(!plain.contains('\x1b'), "{plain:?}");
    let narrow = Look {
        width: Some(60),
        colour: true,
    };
    let narrow = table(&found).render(narrow);
    assert!(narrow.contains("\x1b["), "{narrow:?}");
    let escape = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let text = escape.replace_all(&narrow, "");
    assert!(
        text.lines().all(|line| line.chars().count() <= 60),
        "{text}"
    );

    assert_eq!(summary(0, 0), "everything is as it should be");
    assert_eq!(summary(0, 1), "tasks can run; 1 warning");
    assert_eq!(
        summary(1, 2),
        "1 failure and 2 warnings: tasks cannot run as they should"
    );
}
