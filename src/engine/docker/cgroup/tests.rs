//! What is written where, on machines made of plain files. That the kernel takes it, tests/limits.rs shows.

use super::*;
use crate::domain::{CpuUnits, MemoryMib};

const LIMITS: GroupLimits = GroupLimits {
    cpu: CpuUnits(512),
    memory: MemoryMib(1_024),
    pids: 4_096,
};

fn group() -> Group {
    Group {
        instance: "0123abcd".parse().unwrap(),
        name: "t1".to_owned(),
    }
}

/// A machine with these hierarchies, each given by its folder, type and options.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(mounts: &[(&str, &str, &str)]) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut lines = "22 1 0:21 / /proc rw,nosuid shared:12 - proc proc rw\n".to_owned();
        for (name, kind, options) in mounts {
            let root = machine.path(name);
            fs::create_dir_all(&root).unwrap();
            let line = format!(
                "31 23 0:28 / {} rw,relatime shared:9 - {kind} {kind} rw,{options}\n",
                root.display()
            );
            lines.push_str(&line);
        }
        machine.file("proc/self/mountinfo", &lines);
        machine.file("proc/sys/kernel/random/boot_id", "a-boot\n");
        machine
    }

    fn v1() -> Self {
        let machine = Self::new(&[
            ("memory", "cgroup", "memory"),
            ("cpu", "cgroup", "cpu,cpuacct"),
            ("pids", "cgroup", "pids"),
            ("systemd", "cgroup", "xattr,name=systemd"),
            ("unified", "cgroup2", "nsdelegate"),
        ]);
        for file in [
            "memory/neargate/memory.use_hierarchy",
            "memory/neargate/0123abcd/t1/memory.limit_in_bytes",
            "memory/neargate/0123abcd/t1/memory.memsw.limit_in_bytes",
            "cpu/neargate/0123abcd/t1/cpu.cfs_period_us",
            "cpu/neargate/0123abcd/t1/cpu.cfs_quota_us",
            "cpu/neargate/0123abcd/t1/cpu.shares",
            "pids/neargate/0123abcd/t1/pids.max",
        ] {
            machine.file(file, "");
        }
        machine
    }

    fn v2(place: &str) -> Self {
        let machine = Self::new(&[("unified", "cgroup2", "nsdelegate,memory_recursiveprot")]);
        machine.file("unified/cgroup.subtree_control", "cpuset memory\n");
        let mut above = PathBuf::from("unified");
        for part in Path::new(place) {
            above.push(part);
            let file = above.join("cgroup.subtree_control");
            machine.file(file.to_str().unwrap(), "");
        }
        for name in [
            "memory.max",
            "memory.swap.max",
            "cpu.max",
            "cpu.weight",
            "pids.max",
        ] {
            machine.file(&format!("unified/{place}/{name}"), "");
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn says(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn host(&self, version: &str, driver: &str) -> LocalHost {
        LocalHost::below(&self.path("proc"), version, driver)
    }
}

#[tokio::test]
async fn cgroup_v1_has_each_limit_in_its_own_hierarchy() {
    let machine = Machine::v1();
    machine.file("memory/neargate/memory.use_hierarchy", "0");
    let host = machine.host("1", "cgroupfs");
    host.hold(&group(), LIMITS).await.unwrap();
    assert_eq!(host.parent(&group()), "/neargate/0123abcd/t1");
    for (file, value) in [
        ("memory/neargate/memory.use_hierarchy", "1"),
        (
            "memory/neargate/0123abcd/t1/memory.limit_in_bytes",
            "1073741824",
        ),
        (
            "memory/neargate/0123abcd/t1/memory.memsw.limit_in_bytes",
            "1073741824",
        ),
        ("cpu/neargate/0123abcd/t1/cpu.cfs_period_us", "100000"),
        ("cpu/neargate/0123abcd/t1/cpu.cfs_quota_us", "50000"),
        ("cpu/neargate/0123abcd/t1/cpu.shares", "512"),
        ("pids/neargate/0123abcd/t1/pids.max", "4096"),
    ] {
        assert_eq!(machine.says(file), value, "{file}");
    }
}

#[tokio::test]
async fn cgroup_v2_turns_controllers_on_all_the_way_down() {
    let place = "neargate/0123abcd/t1";
    let machine = Machine::v2(place);
    let host = machine.host("2", "cgroupfs");
    host.hold(&group(), LIMITS).await.unwrap();
    for (name, value) in [
        ("memory.max", "1073741824"),
        ("memory.swap.max", "0"),
        ("cpu.max", "50000 100000"),
        ("cpu.weight", "20"),
        ("pids.max", "4096"),
    ] {
        assert_eq!(machine.says(&format!("unified/{place}/{name}")), value);
    }
    for folder in ["", "neargate", "neargate/0123abcd", place] {
        let on = machine.says(&format!("unified/{folder}/cgroup.subtree_control"));
        assert!(on.starts_with("+pids"), "{folder}: the last one: {on}");
    }
}

#[tokio::test]
async fn with_systemd_the_limits_are_written_once_its_slice_is_there() {
    let place = "neargate.slice/neargate-0123abcd.slice/neargate-0123abcd-t1.slice";
    let machine = Machine::v2("elsewhere");
    let host = machine.host("2", "systemd");
    assert_eq!(host.parent(&group()), "neargate-0123abcd-t1.slice");
    host.hold(&group(), LIMITS).await.unwrap();
    assert!(!machine.path("unified/neargate.slice").exists());
    let error = host.settle(&group(), LIMITS).await.unwrap_err();
    assert!(error.contains(place), "{error}");
    for name in ["memory.max", "cpu.max"] {
        machine.file(&format!("unified/{place}/{name}"), "");
    }
    host.settle(&group(), LIMITS).await.unwrap();
    assert_eq!(
        machine.says(&format!("unified/{place}/memory.max")),
        "1073741824"
    );
    assert_eq!(
        host.groups(&"0123abcd".parse().unwrap()).await,
        [group()],
        "it is found again by its name"
    );
    assert!(host.groups(&"ffffffff".parse().unwrap()).await.is_empty());
}

#[tokio::test]
async fn a_process_is_in_a_group_or_below_it_and_not_beside_it() {
    let machine = Machine::v1();
    let host = machine.host("1", "cgroupfs");
    for (pid, place) in [(1, "t1/abc"), (2, "t10/abc"), (3, "t1")] {
        let text = format!(
            "4:memory:/neargate/0123abcd/{place}\n3:cpu,cpuacct:/elsewhere\n0::/neargate/0123abcd/t1\n"
        );
        machine.file(&format!("proc/{pid}/cgroup"), &text);
    }
    let found = [
        host.is_in(&group(), 1).await,
        host.is_in(&group(), 2).await,
        host.is_in(&group(), 3).await,
        host.is_in(&group(), 4).await,
    ];
    assert_eq!(found, [Some(true), Some(false), Some(true), None]);
}

#[tokio::test]
async fn what_the_kernel_has_killed_is_counted() {
    let place = "neargate/0123abcd/t1";
    let machine = Machine::v2(place);
    let host = machine.host("2", "cgroupfs");
    assert_eq!(host.oom_kills(&group()).await, 0);
    let events = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 0\n";
    machine.file(&format!("unified/{place}/memory.events"), events);
    assert_eq!(host.oom_kills(&group()).await, 3);
}

#[tokio::test]
async fn a_machine_that_cannot_be_used_says_why() {
    let nothing = Machine::new(&[("tmp", "tmpfs", "size=1m")]);
    for (version, driver, why) in [
        (
            "1",
            "cgroupfs",
            "the cgroups of memory are not mounted here",
        ),
        (
            "2",
            "none",
            "the engine's cgroup driver `none` makes no groups",
        ),
        (
            "",
            "cgroupfs",
            "the engine's cgroup version `` is not known",
        ),
    ] {
        let host = nothing.host(version, driver);
        assert_eq!(host.hold(&group(), LIMITS).await.unwrap_err(), why);
        assert_eq!(host.remove(&group()).await, Ok(()), "there is nothing");
        assert_eq!(host.boot_id().as_deref(), Some("a-boot"));
    }
}

#[test]
fn a_hierarchy_that_is_only_seen_in_part_does_not_count() {
    let mounts = "31 23 0:28 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    assert_eq!(hierarchies(mounts), []);
}

#[test]
fn another_machine_has_another_kernel_or_other_memory() {
    let machine = Machine::v1();
    machine.file("proc/sys/kernel/osrelease", "6.1.0-9\n");
    machine.file(
        "proc/meminfo",
        "MemTotal:       24684084 kB\nMemFree: 1 kB\n",
    );
    let proc = machine.path("proc");
    assert!(runs_here(&proc, "6.1.0-9", 24_684_084 * 1_024));
    assert!(!runs_here(&proc, "6.1.0-9", 1_024));
    assert!(!runs_here(&proc, "6.6.12-linuxkit", 24_684_084 * 1_024));
    assert!(!runs_here(&proc, "", 24_684_084 * 1_024));
}

#[test]
fn weights_span_the_same_range_as_shares() {
    assert_eq!([weight(0), weight(2), weight(262_144)], [1, 1, 10_000]);
}

#[tokio::test]
async fn what_a_group_used_is_read_from_cgroup_v1() {
    let machine = Machine::v1();
    let place = "neargate/0123abcd/t1";
    for (file, text) in [
        ("memory/PLACE/memory.usage_in_bytes", "9000\n"),
        (
            "memory/PLACE/memory.stat",
            "cache 5\ntotal_cache 7000\ntotal_inactive_file 2000\n",
        ),
        ("memory/PLACE/memory.max_usage_in_bytes", "12000\n"),
        ("cpu/PLACE/cpuacct.usage", "50123456\n"),
    ] {
        machine.file(&file.replace("PLACE", place), text);
    }
    let other = Group {
        name: "t2".to_owned(),
        ..group()
    };
    let host = machine.host("1", "cgroupfs");
    let found = host.uses(vec![group(), other], Look::All).await;
    let [Some(used), None] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(used.memory_bytes, 7_000);
    let counts = used.counts.unwrap();
    assert_eq!(
        (counts.cpu_ns, counts.memory_peak_bytes),
        (50_123_456, 12_000)
    );
    let quick = host.uses(vec![group()], Look::Memory).await;
    assert_eq!(
        quick[0].map(|one| (one.memory_bytes, one.counts)),
        Some((7_000, None))
    );
}

#[tokio::test]
async fn what_a_group_used_is_read_from_cgroup_v2() {
    let place = "neargate/0123abcd/t1";
    let machine = Machine::v2(place);
    for (file, text) in [
        ("memory.current", "9000\n"),
        ("memory.stat", "anon 1\ninactive_file 2000\n"),
        ("memory.peak", "12000\n"),
        ("cpu.stat", "usage_usec 50123\nuser_usec 1\n"),
        (
            "io.stat",
            "8:0 rbytes=100 wbytes=20 rios=1\n8:16 rbytes=3 wbytes=0\n",
        ),
    ] {
        machine.file(&format!("unified/{place}/{file}"), text);
    }
    let host = machine.host("2", "cgroupfs");
    let found = host.uses(vec![group()], Look::All).await;
    let used = found[0].unwrap();
    let counts = used.counts.unwrap();
    assert_eq!((used.memory_bytes, counts.cpu_ns), (7_000, 50_123_000));
    assert_eq!(
        (counts.block_read_bytes, counts.block_write_bytes),
        (103, 20)
    );
}

#[tokio::test]
async fn traffic_is_that_of_all_interfaces_but_the_loopback_and_of_that_very_container() {
    let machine = Machine::v1();
    machine.file(
        "proc/7/net/dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
         lo:  999       1    0    0    0     0          0         0      999       1    0    0    0     0       0          0\n  \
         eth0: 1536      12    0    0    0     0          0         0       90       1    0    0    0     0       0          0\n",
    );
    machine.file("proc/7/cgroup", "4:memory:/docker/abc\n");
    let host = machine.host("1", "cgroupfs");
    let traffic = host.traffic("abc", 7).await.unwrap();
    assert_eq!((traffic.rx_bytes, traffic.tx_bytes), (1_536, 90));
    assert_eq!(host.traffic("other", 7).await, None);
    assert_eq!(host.traffic("abc", 8).await, None);
}
