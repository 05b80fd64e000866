//! The machine that Neargate is to run on, as `neargate doctor` finds it: facts, and no opinion of them.
//!
//! They are gathered by whoever may look (the engine's adapter, the store, `serve`), and judged in one pure function
//! (`cli/doctor/findings`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ClockReading, RuntimeName, Subnet, TimestampMs};

/// Something that is not as it should be, as whoever ran into it says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In one sentence, without a full stop.
    pub fact: String,
    /// What to do about it, where whoever ran into it knows.
    pub hint: Option<String>,
}

impl Trouble {
    /// Reads an error's text: what follows `hint: `, on a line of its own or behind a semicolon, is its hint.
    pub fn of(text: &str) -> Self {
        let parts = ["\nhint: ", "; hint: "];
        let split = parts.iter().find_map(|mark| text.split_once(mark));
        let (fact, hint) = split.map_or((text, None), |(fact, hint)| (fact, Some(hint)));
        Self {
            fact: fact.to_owned(),
            hint: hint.map(str::to_owned),
        }
    }
}

/// What was found on the machine, without asking a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The file with the settings, if one was named.
    pub config_file: Option<PathBuf>,
    /// What stands against the settings. The other facts are then those of the defaults.
    pub settings: Result<(), Trouble>,
    /// The runtimes that clusters were given, by cluster.
    pub cluster_runtimes: BTreeMap<String, RuntimeName>,
    /// Where the networks of clusters get their addresses from.
    pub address_pool: Subnet,
    /// What runs the containers.
    pub engine: EngineFacts,
    /// Where a server would listen.
    pub listen: SocketAddr,
    /// Whether it could.
    pub port: PortFacts,
    /// Where it keeps everything.
    pub data: DataFacts,
    /// The host's clock.
    pub clock: ClockFacts,
}

/// What runs the containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineFacts {
    /// A model of an engine: there is nothing to look at.
    Simulated,
    /// It does not answer, or may not be asked.
    Away(Trouble),
    /// It answers.
    Answers(Box<DaemonFacts>),
}

/// What a Docker daemon says of itself and of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonFacts {
    /// `20.10.24`, say.
    pub version: String,
    /// Of its API, as negotiated: `1.41`.
    pub api_version: String,
    /// `linux`.
    pub os: String,
    /// `overlay2`, say.
    pub storage_driver: String,
    /// Whether containers go on while the daemon is restarted.
    pub live_restore: bool,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
    /// Whether Neargate may hold a task as a whole to its size, tried with a group of its own; why not, in one sentence.
    pub cgroups: Result<(), String>,
    /// The runtimes that it has.
    pub runtimes: BTreeSet<String>,
    /// Processors.
    pub cpus: u32,
    /// Bytes.
    pub memory_bytes: u64,
    /// How far its clock is ahead of this machine's, in milliseconds. Half the time of the question is the error.
    pub clock_ahead_ms: Option<i64>,
    /// Where it keeps images and containers, if that is a folder of this machine.
    pub root: Option<PathBuf>,
    /// The room there, if that is a folder of this machine.
    pub root_space: Option<Space>,
    /// Networks of clusters that the pool has room for, beside those that there are.
    pub free_networks: u64,
    /// Networks of clusters, of any Neargate.
    pub cluster_networks: u64,
    /// Routes of this machine into the pool that lead to no network of the daemon's.
    pub foreign_routes: Vec<Subnet>,
}

/// Whether a server could listen where it is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortFacts {
    /// Nobody does.
    Free,
    /// Somebody does.
    InUse,
    /// It is refused.
    Unusable(Trouble),
}

/// The room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are left for those who are not root.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Files that can still be made.
    pub free_files: u64,
    /// Files in all; 0 where the file system has no such limit.
    pub total_files: u64,
}

/// The data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFacts {
    /// Which; `None` where there is no home folder and none is named.
    pub folder: Option<PathBuf>,
    /// What is there.
    pub state: FolderState,
    /// The room on its disk; of the folder above where it is not made yet.
    pub space: Option<Space>,
}

/// What there is of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderState {
    /// Nothing: the first start makes it.
    Missing {
        /// Whether this user may make it.
        can_be_made: bool,
    },
    /// Something else is there, or it cannot be looked into; why, in one sentence.
    Unusable(String),
    /// It is there.
    There(Box<Contents>),
}

/// What is in a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Permission bits.
    pub mode: u32,
    /// Whether this user may write to it.
    pub is_writable: bool,
    /// Who uses it.
    pub user: FolderUser,
    /// The database.
    pub database: DatabaseState,
    /// The files with keys, and their permission bits.
    pub keys: BTreeMap<String, u32>,
    /// When the database was last written, by the file system.
    pub written_at: Option<TimestampMs>,
}

/// Who uses a data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderUser {
    /// Nobody.
    Nobody,
    /// A server, with this process ID if that could be read.
    Server(Option<u32>),
    /// This user may not ask.
    Unknown,
}

/// How the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// There is none yet.
    None,
    /// It is whole.
    Good,
    /// It was not looked at, because of this.
    NotLooked(&'static str),
    /// It cannot be used.
    Bad(Trouble),
}

/// The host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockFacts {
    /// What it shows, and how long the host has been running.
    pub reading: ClockReading,
    /// Whether something keeps it right; `None` where nobody says.
    pub is_synchronised: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_told_from_the_fact() {
        for (text, fact, hint) in [
            ("no such socket", "no such socket", None),
            ("it is 0\nhint: write 1", "it is 0", Some("write 1")),
            ("refused; hint: be root", "refused", Some("be root")),
        ] {
            let expected = Trouble {
                fact: fact.to_owned(),
                hint: hint.map(str::to_owned),
            };
            assert_eq!(Trouble::of(text), expected);
        }
    }
}
