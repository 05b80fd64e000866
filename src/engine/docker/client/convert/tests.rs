use serde_json::{Value, json};

use super::*;
use crate::domain::{MemoryMib, SecretValue, SystemControl, Tmpfs, Ulimit};

fn body(spec: &ContainerSpec) -> Value {
    serde_json::to_value(create_body(spec)).unwrap()
}

#[test]
fn every_container_is_safe_and_docker_leaves_it_alone() {
    let host = &body(&ContainerSpec::default())["HostConfig"];
    assert_eq!(host["Privileged"], json!(false));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["RestartPolicy"], json!({ "Name": "no" }));
    assert_eq!(host["AutoRemove"], json!(false));
    assert_eq!(host["LogConfig"], json!({ "Type": "none" }));
    assert_eq!(host.get("Binds"), None);
    assert_eq!(host.get("Memory"), None);
    assert_eq!(
        body(&ContainerSpec::default())["Healthcheck"],
        json!({ "Test": ["NONE"] })
    );
}

#[test]
fn a_privileged_container_is_what_it_says() {
    let spec = ContainerSpec {
        privileged: true,
        ..ContainerSpec::default()
    };
    let host = &body(&spec)["HostConfig"];
    assert_eq!(host["Privileged"], json!(true));
    assert_eq!(host.get("SecurityOpt"), None);
}

#[test]
fn every_field_arrives() {
    let spec = full_spec();
    let body = body(&spec);
    let host = &body["HostConfig"];
    for (field, expected) in [
        ("Image", json!("i")),
        ("Labels", json!({ "a": "b" })),
        ("Env", json!(["A=1", "B=2"])),
        ("Cmd", json!(["c"])),
        ("Entrypoint", json!(["e"])),
        ("WorkingDir", json!("/w")),
        ("User", json!("1:2")),
        ("Hostname", json!("h")),
        ("Tty", json!(true)),
        ("OpenStdin", json!(true)),
        ("ExposedPorts", json!({ "80/tcp": {}, "53/udp": {} })),
    ] {
        assert_eq!(body[field], expected, "{field}");
    }
    assert_eq!(
        body["Healthcheck"],
        json!({
            "Test": ["CMD", "/ok"], "Interval": 30_000_000_000_i64, "Timeout": 5_000_000_000_i64,
            "Retries": 3, "StartPeriod": 0,
        })
    );
    for (field, expected) in [
        ("NetworkMode", json!("n")),
        ("Runtime", json!("r")),
        ("ExtraHosts", json!(["db:10.0.0.1"])),
        ("NanoCpus", json!(250_000_000)),
        ("CpuShares", json!(256)),
        ("Memory", json!(1024)),
        ("MemorySwap", json!(1024)),
        ("MemoryReservation", json!(512)),
        ("PidsLimit", json!(99)),
        ("CgroupParent", json!("/p")),
        ("ReadonlyRootfs", json!(true)),
        ("Init", json!(true)),
        ("ShmSize", json!(64)),
        ("Tmpfs", json!({ "/t": "size=8m,noexec" })),
        (
            "Ulimits",
            json!([{ "Name": "nofile", "Soft": 1, "Hard": 2 }]),
        ),
        ("Sysctls", json!({ "net.core.somaxconn": "9" })),
        ("CapAdd", json!(["SYS_PTRACE"])),
        ("CapDrop", json!(["CHOWN"])),
        (
            "LogConfig",
            json!({ "Type": "json-file", "Config": { "max-size": "500", "max-file": "2" } }),
        ),
    ] {
        assert_eq!(host[field], expected, "{field}");
    }
    assert_eq!(
        host["PortBindings"],
        json!({
            "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8080" }],
            "53/udp": [{ "HostIp": "127.0.0.1", "HostPort": "" }],
        })
    );
}

#[test]
fn a_volume_in_memory_is_one_also_where_the_daemon_has_to_make_it() {
    let mounts = &body(&full_spec())["HostConfig"]["Mounts"];
    assert_eq!(
        *mounts,
        json!([{
            "Target": "/s", "Source": "v", "Type": "volume", "ReadOnly": true,
            "VolumeOptions": {
                "NoCopy": true,
                "Labels": { "c": "d" },
                "DriverConfig": {
                    "Name": "local",
                    "Options": {
                        "type": "tmpfs", "device": "tmpfs",
                        "o": "size=4096,mode=0755,nosuid,nodev,noexec",
                    },
                },
            },
        }])
    );
    let shown = format!("{:?}", full_spec());
    assert!(shown.contains(r#"("B", SecretValue(..))"#), "{shown}");
}

#[test]
fn a_folder_of_the_host_is_looked_up_and_a_volume_carries_its_labels() {
    let volume = VolumeSpec {
        name: "v".into(),
        labels: BTreeMap::from([("a".into(), "b".into())]),
    };
    let mounts = [
        (MountSource::Volume(volume.clone()), false),
        (MountSource::Folder("/srv/x".into()), true),
    ];
    let spec = ContainerSpec {
        mounts: mounts
            .map(|(source, read_only)| Mount {
                source,
                path: "/in".into(),
                read_only,
            })
            .into(),
        ..ContainerSpec::default()
    };
    assert_eq!(
        body(&spec)["HostConfig"]["Mounts"],
        json!([
            {
                "Target": "/in", "Source": "v", "Type": "volume", "ReadOnly": false,
                "VolumeOptions": { "Labels": { "a": "b" } },
            },
            {
                "Target": "/in", "Source": "/srv/x", "Type": "bind", "ReadOnly": true,
                "BindOptions": { "Propagation": "rprivate", "NonRecursive": true },
            },
        ])
    );
    assert_eq!(
        serde_json::to_value(volume_create(&volume)).unwrap(),
        json!({ "Name": "v", "Driver": "local", "Labels": { "a": "b" } })
    );
}

fn full_spec() -> ContainerSpec {
    let port = |container_port, host_port, protocol| PortMapping {
        container_port,
        host_port,
        protocol,
    };
    ContainerSpec {
        privileged: false,
        runtime: Some("r".into()),
        name: "name".into(),
        image: "i".into(),
        labels: BTreeMap::from([("a".into(), "b".into())]),
        env: vec!["A=1".into()],
        secret_env: vec![("B".into(), SecretValue::new(b"2".to_vec()).unwrap())],
        memory_volumes: vec![MemoryVolume {
            name: "v".into(),
            labels: BTreeMap::from([("c".into(), "d".into())]),
            path: "/s".into(),
            read_only: true,
            size_bytes: 4096,
        }],
        mounts: Vec::new(),
        cmd: Some(vec!["c".into()]),
        entrypoint: Some(vec!["e".into()]),
        working_dir: Some("/w".into()),
        user: Some("1:2".into()),
        hostname: Some("h".into()),
        network_mode: "n".into(),
        published: vec![
            port(80, Some(8080), Protocol::Tcp),
            port(53, Some(0), Protocol::Udp),
        ],
        publish_ip: "127.0.0.1".into(),
        extra_hosts: vec!["db:10.0.0.1".into()],
        nano_cpus: 250_000_000,
        cpu_shares: 256,
        memory_bytes: 1024,
        memory_reservation_bytes: 512,
        pids_limit: Some(99),
        cgroup_parent: Some("/p".into()),
        health_check: Some(HealthCheck {
            command: vec!["CMD".into(), "/ok".into()],
            interval: DurationMs::from_secs(30),
            timeout: DurationMs::from_secs(5),
            retries: 3,
            start_period: DurationMs::from_secs(0),
        }),
        readonly_rootfs: true,
        open_stdin: true,
        tty: true,
        init: true,
        shm_size_bytes: Some(64),
        tmpfs: vec![Tmpfs {
            container_path: "/t".into(),
            size: MemoryMib(8),
            mount_options: vec!["noexec".into()],
        }],
        ulimits: vec![Ulimit {
            name: "nofile".into(),
            soft_limit: 1,
            hard_limit: 2,
        }],
        sysctls: vec![SystemControl {
            namespace: "net.core.somaxconn".into(),
            value: "9".into(),
        }],
        cap_add: vec!["SYS_PTRACE".into()],
        cap_drop: vec!["CHOWN".into()],
        log_max_bytes: Some(1000),
    }
}

fn inspect(value: Value) -> ContainerInspect {
    container(serde_json::from_value(value).unwrap()).unwrap()
}

#[test]
fn a_container_that_never_started_has_no_times() {
    let found = inspect(json!({
        "Id": "1", "Name": "/web",
        "State": {
            "Status": "created", "ExitCode": 127, "Error": "exec: no",
            "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z",
        },
    }));
    assert_eq!(found.name, "web");
    assert_eq!(found.status, "created");
    assert_eq!((found.started_at, found.finished_at), (None, None));
    assert_eq!(found.error.as_deref(), Some("exec: no"));
    assert_eq!(found.stop_signal, "SIGTERM");
    assert_eq!(found.health, None);
}

#[test]
fn what_runs_has_an_address_ports_and_no_end() {
    let found = inspect(json!({
        "Id": "1", "Name": "/web", "Image": "sha256:2",
        "Config": { "Labels": { "a": "b" }, "StopSignal": "SIGKILL" },
        "HostConfig": { "NetworkMode": "tasks" },
        "State": {
            "Status": "running", "Running": true, "OOMKilled": false,
            "StartedAt": "2026-01-31T08:15:00.123456789Z",
            "FinishedAt": "2026-01-31T08:14:00Z",
            "Health": {
                "Status": "unhealthy",
                "Log": [{ "ExitCode": 0, "Output": "old" }, { "ExitCode": 1, "Output": "new\n" }],
            },
        },
        "NetworkSettings": {
            "Networks": { "other": { "IPAddress": "10.0.0.9" }, "tasks": { "IPAddress": "10.1.0.2" } },
            "Ports": {
                "80/tcp": [
                    { "HostIp": "::", "HostPort": "32769" }, { "HostIp": "0.0.0.0", "HostPort": "32768" },
                ],
                "53/udp": [{ "HostIp": "::1", "HostPort": "53" }],
                "9/sctp": [{ "HostIp": "0.0.0.0", "HostPort": "9" }],
                "81/tcp": null,
            },
        },
    }));
    assert_eq!(
        found.started_at.map(TimestampMs::as_millis),
        Some(1_769_847_300_123)
    );
    assert_eq!(found.finished_at, None);
    assert_eq!(found.health, Some(HealthStatus::Unhealthy));
    assert_eq!(found.health_output.as_deref(), Some("new"));
    assert_eq!(found.ip_address.as_deref(), Some("10.1.0.2"));
    assert_eq!(found.stop_signal, "SIGKILL");
    let bound: Vec<_> = found
        .bindings
        .iter()
        .map(|b| {
            (
                b.bind_ip.as_str(),
                b.host_port,
                b.container_port,
                b.protocol.as_str(),
            )
        })
        .collect();
    assert_eq!(
        bound,
        [("::1", 53, 53, "udp"), ("0.0.0.0", 32768, 80, "tcp")]
    );
}

#[test]
fn only_a_check_that_failed_has_something_to_say() {
    for (result, expected) in [
        (json!({ "ExitCode": 0, "Output": "fine" }), None),
        (json!({ "ExitCode": 1, "Output": "bad\n" }), Some("bad")),
        (
            json!({ "ExitCode": 7, "Output": "" }),
            Some("it exited with code 7 and said nothing"),
        ),
        (
            json!({ "ExitCode": -1, "Output": "Health check exceeded timeout (2s)" }),
            Some("Health check exceeded timeout (2s)"),
        ),
    ] {
        let found = inspect(json!({
            "Id": "1", "State": { "Health": { "Status": "unhealthy", "Log": [result] } },
        }));
        assert_eq!(found.health_output.as_deref(), expected);
    }
}

#[test]
fn a_check_that_has_said_nothing_is_unknown() {
    for (word, expected) in [
        ("starting", Some(HealthStatus::Unknown)),
        ("healthy", Some(HealthStatus::Healthy)),
        ("none", None),
        ("", None),
    ] {
        let state = json!({ "Status": "running", "Health": { "Status": word, "Log": null } });
        assert_eq!(
            inspect(json!({ "Id": "1", "State": state })).health,
            expected,
            "{word}"
        );
    }
}

#[test]
fn an_event_is_the_labels_and_the_name() {
    let message = json!({
        "Type": "container", "Action": "die", "time": 1_769_847_300, "timeNano": 1_769_847_300_123_456_789_i64,
        "Actor": { "ID": "1", "Attributes": { "name": "web", "image": "i", "a": "b", "exitCode": "137" } },
    });
    let event = event(serde_json::from_value(message).unwrap()).unwrap();
    assert_eq!(
        event,
        ContainerEvent {
            id: "1".into(),
            name: "web".into(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            action: "die".into(),
            exit_code: Some(137),
            at: TimestampMs::from_millis(1_769_847_300_123),
        }
    );
}

#[test]
fn a_row_of_a_list_has_its_own_name() {
    let row = json!({ "Id": "1", "Names": ["/other/alias", "/web"], "State": "exited" });
    let row = summary(serde_json::from_value(row).unwrap()).unwrap();
    assert_eq!((row.name.as_str(), row.status.as_str()), ("web", "exited"));
}

#[test]
fn routes_are_read_but_for_the_default_one() {
    let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
    let line = |destination, mask| {
        format!(
            "eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n",
            hex(destination),
            hex(mask)
        )
    };
    let table = [
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
            .to_owned(),
        line([0, 0, 0, 0], [0, 0, 0, 0]),
        line([10, 213, 4, 0], [255, 255, 252, 0]),
        "broken\n".to_owned(),
    ]
    .concat();
    let expected: Subnet = "10.213.4.0/22".parse().unwrap();
    assert_eq!(routes(&table), [expected]);
}
