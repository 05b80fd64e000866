//! What is said of a machine: a pure function of what was found on it.
//!
//! A finding is a failure where tasks cannot run, or not as they are told; a warning where they can, and something would
//! be better otherwise. Each of both says what to do.

mod engine;

use serde::Serialize;

use super::{Facts, ServerFacts};
use crate::cli::time;
use crate::cli::top::size;
use crate::domain::{
    ClockFacts, Contents, DataFacts, DatabaseState, EngineFacts, FolderState, FolderUser, Machine,
    PortFacts, Space, TimestampMs, Trouble,
};
use crate::shapes::{EngineState, Readiness};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It would be better otherwise.
    Warn,
    /// Tasks cannot run, or not as they are told.
    Fail,
}

impl Level {
    /// `ok`, `warn` or `fail`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `engine`, `clock`, …
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) level: Level,
    /// What, in one sentence.
    pub(super) text: String,
    /// What to do; always there unless it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// Less than this for the data folder, and nothing can be recorded soon.
const LEAST_DATA_BYTES: u64 = 64 << 20;
const FEW_DATA_BYTES: u64 = 1 << 30;
/// Files that can still be made.
const LEAST_FILES: u64 = 1_000;
const FEW_FILES: u64 = 50_000;
/// Between two clocks, in milliseconds; one question takes some of it.
const MOST_SKEW_MS: i64 = 2_000;
const TOO_MUCH_SKEW_MS: i64 = 60_000;
/// 2025-01-01: no clock that is right shows an earlier time.
const EARLIEST: TimestampMs = TimestampMs::from_millis(1_735_689_600_000);
/// A file that was written later than that in the future was not written by this clock.
const MOST_AHEAD_MS: i64 = 60_000;

/// What is said of `facts`, check by check.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let machine = facts.machine;
    let mut said = Said::default();
    said.settings(machine);
    said.engine(machine);
    said.folder(&machine.data, facts);
    said.data_disk(&machine.data);
    said.port(facts);
    said.clock(machine.clock, machine);
    said.server(facts);
    said.0
}

#[derive(Default)]
struct Said(Vec<Finding>);

impl Said {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding {
            check,
            level: Level::Ok,
            text: text.into(),
            hint: None,
        });
    }

    fn bad(
        &mut self,
        level: Level,
        check: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Finding {
            check,
            level,
            text: text.into(),
            hint: Some(hint.into()),
        });
    }

    fn warn(&mut self, check: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        self.bad(Level::Warn, check, text, hint);
    }

    fn fail(&mut self, check: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        self.bad(Level::Fail, check, text, hint);
    }

    fn settings(&mut self, machine: &Machine) {
        match (&machine.settings, &machine.config_file) {
            (Ok(()), Some(file)) => self.ok("config", format!("{} is valid", file.display())),
            (Ok(()), None) => self.ok("config", "no file is named, so the defaults count"),
            (Err(trouble), _) => {
                let hint = trouble.hint.as_deref();
                let hint = hint.unwrap_or("correct it; neargate serve --help says what can be set");
                // An error in TOML has a drawing of the line beside its words.
                let words = trouble.fact.lines().filter(|line| !line.contains('|'));
                self.fail("config", words.collect::<Vec<_>>().join(": "), hint);
            }
        }
    }

    fn data_disk(&mut self, data: &DataFacts) {
        let (Some(folder), Some(space)) = (&data.folder, data.space) else {
            return;
        };
        self.disk(
            &format!("the data folder {}", folder.display()),
            space,
            (LEAST_DATA_BYTES, FEW_DATA_BYTES),
            "make room, or keep fewer logs: kept_logs_max_bytes in the configuration",
        );
    }

    fn disk(&mut self, what: &str, space: Space, (least, few): (u64, u64), hint: &str) {
        let (free, total) = (size(space.free_bytes), size(space.total_bytes));
        let text = format!("{what}: {free} of {total} free");
        let is_limited = space.total_files > 0;
        let files = if is_limited && space.free_files < FEW_FILES {
            format!(", and room for {} more files", space.free_files)
        } else {
            String::new()
        };
        if space.free_bytes < least || is_limited && space.free_files < LEAST_FILES {
            self.fail("disk", text + &files, hint);
        } else if space.free_bytes < few || !files.is_empty() {
            self.warn("disk", text + &files, hint);
        } else {
            self.ok("disk", text);
        }
    }

    fn folder(&mut self, data: &DataFacts, facts: &Facts<'_>) {
        let folder = data.folder.as_ref().map_or_else(
            || "the data folder".to_owned(),
            |path| path.display().to_string(),
        );
        let other = "run as the user who runs the server, or name another folder with --data-dir";
        match &data.state {
            FolderState::Missing { can_be_made: true } => {
                self.ok("data", format!("the first start makes {folder}"));
            }
            FolderState::Missing { can_be_made: false } => self.fail(
                "data",
                format!("{folder} is not there, and you may not make it"),
                other,
            ),
            FolderState::Unusable(why) => {
                self.fail("data", format!("{folder} cannot be used: {why}"), other);
            }
            FolderState::There(contents) => {
                if !contents.is_writable {
                    self.fail("data", format!("you may not write to {folder}"), other);
                }
                self.contents(&folder, contents, facts);
            }
        }
    }

    fn contents(&mut self, folder: &str, contents: &Contents, facts: &Facts<'_>) {
        if contents.mode & 0o077 != 0 {
            let mode = contents.mode;
            self.warn(
                "data",
                format!("{folder} can be looked into by others (mode {mode:o})"),
                format!("chmod 700 {folder}"),
            );
        }
        for (name, mode) in &contents.keys {
            if mode & 0o077 != 0 {
                self.fail(
                    "data",
                    format!("{folder}/{name} is a key that others can read (mode {mode:o})"),
                    format!("chmod 600 {folder}/{name}"),
                );
            }
        }
        self.user(folder, contents.user, facts);
        match &contents.database {
            DatabaseState::None => self.ok("database", "the first start makes it"),
            DatabaseState::Good => self.ok("database", "whole"),
            DatabaseState::NotLooked(why) => self.ok("database", format!("not looked into: {why}")),
            DatabaseState::Bad(trouble) => {
                let hint = trouble.hint.as_deref();
                let hint = hint.unwrap_or("neargate serve says more");
                self.fail("database", &trouble.fact, hint);
            }
        }
    }

    fn user(&mut self, folder: &str, user: FolderUser, facts: &Facts<'_>) {
        let answers = !matches!(facts.server, ServerFacts::None);
        let endpoint = &facts.endpoint;
        let who = |pid: Option<u32>| pid.map(|pid| format!(" (process {pid})"));
        match user {
            FolderUser::Server(pid) if answers => {
                let who = who(pid).unwrap_or_default();
                self.ok("data", format!("a Neargate{who} uses {folder}"));
            }
            FolderUser::Server(pid) => {
                let who = who(pid).unwrap_or_default();
                self.warn(
                    "data",
                    format!("a Neargate{who} uses {folder}, and none answers at {endpoint}"),
                    "name the address at which it listens with --endpoint or NEARGATE_ENDPOINT",
                );
            }
            FolderUser::Unknown => self.warn(
                "data",
                format!("whether a Neargate uses {folder} cannot be told: its lock cannot be read"),
                "run as the user who runs the server",
            ),
            FolderUser::Nobody => self.ok("data", format!("no server uses {folder}")),
        }
    }

    fn port(&mut self, facts: &Facts<'_>) {
        let listen = facts.machine.listen;
        match (&facts.machine.port, facts.port_is_ours) {
            (PortFacts::Free, _) => self.ok("port", format!("{listen} is free")),
            (PortFacts::InUse, Some(true)) => {
                self.ok("port", format!("a Neargate listens on {listen}"));
            }
            (PortFacts::InUse, _) => self.fail(
                "port",
                format!("{listen} is in use, and not by a Neargate"),
                format!(
                    "ss -ltnp 'sport = :{}' says by whom; stop that, or choose another with --listen",
                    listen.port()
                ),
            ),
            (PortFacts::Unusable(trouble), _) => self.fail(
                "port",
                format!("{listen} cannot be listened on: {}", trouble.fact),
                "choose an address of this machine with --listen; only root may use ports below 1024",
            ),
        }
    }

    fn clock(&mut self, clock: ClockFacts, machine: &Machine) {
        let now = clock.reading.wall;
        let before = self.0.len();
        if now < EARLIEST {
            self.fail(
                "clock",
                format!("it shows {now}, which cannot be"),
                "set it: timedatectl set-ntp true, or install chrony",
            );
        } else {
            self.set_back(now, machine);
        }
        self.skew(machine);
        match clock.is_synchronised {
            Some(false) => self.warn(
                "clock",
                "nothing keeps it right, and bills are as right as the clock",
                "timedatectl set-ntp true, or install chrony",
            ),
            None => self.warn(
                "clock",
                "nobody says whether something keeps it right, and bills are as right as the clock",
                "see to it that chrony, ntpd or systemd-timesyncd runs, here or on the host of this machine",
            ),
            Some(true) if self.0.len() == before => {
                let up = time::length(clock.reading.running_ms);
                self.ok("clock", format!("synchronised; the host has run for {up}"));
            }
            Some(true) => {}
        }
    }

    /// Whether the clock showed a later time when the database was last written.
    fn set_back(&mut self, now: TimestampMs, machine: &Machine) {
        if let FolderState::There(contents) = &machine.data.state
            && let Some(written) = contents.written_at
            && written.since(now).as_millis() > MOST_AHEAD_MS
        {
            self.fail(
                "clock",
                format!("it shows {now}, and showed {written} when the database was last written"),
                "set it right before a server starts, or what happens next is recorded as older than what was",
            );
        }
    }

    /// Whether the engine has the same time.
    fn skew(&mut self, machine: &Machine) {
        if let EngineFacts::Answers(daemon) = &machine.engine
            && let Some(ahead) = daemon.clock_ahead_ms
            && ahead.abs() > MOST_SKEW_MS
        {
            let level = if ahead.abs() > TOO_MUCH_SKEW_MS {
                Level::Fail
            } else {
                Level::Warn
            };
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            let length = time::length(ahead.abs());
            self.bad(
                level,
                "clock",
                format!("the engine's clock, which starts and ends of tasks go by, is {length} {direction} this one"),
                "have both set by time servers: timedatectl set-ntp true, on each machine",
            );
        }
    }

    fn server(&mut self, facts: &Facts<'_>) {
        let endpoint = &facts.endpoint;
        match &facts.server {
            ServerFacts::None => self.ok(
                "server",
                format!("none answers at {endpoint}; neargate serve starts one"),
            ),
            ServerFacts::Refuses(error) => {
                let text = format!("{endpoint} cannot be asked: {error}");
                self.warn("server", text, error.hint());
            }
            ServerFacts::Answers(readiness) => self.readiness(endpoint, readiness),
        }
    }

    fn readiness(&mut self, endpoint: &str, readiness: &Readiness) {
        let version = &readiness.version.version;
        if readiness.ready {
            self.ok("server", format!("{version} at {endpoint} is ready"));
        } else {
            let why = match (&readiness.engine.state, &readiness.engine.reason) {
                (_, Some(reason)) => Trouble::of(reason),
                (EngineState::Ok, None) => Trouble::of(&readiness.store),
                (_, None) => Trouble::of("it has not asked the engine yet"),
            };
            let hint = why.hint.as_deref();
            let hint = hint.unwrap_or("mend what fails above, if anything does; its log says more");
            self.fail(
                "server",
                format!("{version} at {endpoint} is not ready: {}", why.fact),
                hint,
            );
        }
        if let Some(why) = &readiness.no_metadata {
            let why = Trouble::of(why);
            let hint = why.hint.as_deref();
            self.warn(
                "server",
                format!("tasks cannot ask about themselves: {}", why.fact),
                hint.unwrap_or("choose another port: metadata_port in the configuration"),
            );
        }
    }
}
