//! The nasty things that can happen to a daemon, as data.
//!
//! Nothing here is random and nothing decides: whoever holds the seed says which fault comes when. A fault
//! either happens at once ([`Fault`]) or lies in wait for the next call of its kind ([`CallFault`]). Faults
//! that last say how to lift them; [`Fault::Calm`] lifts all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Something that happens to the daemon, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is lost and cannot be made. The daemon itself goes on.
    Unreachable {
        /// How long.
        for_ms: u32,
    },
    /// The daemon is stopped in its tracks: nothing is answered, no event comes, containers go on. A call
    /// is answered late if its deadline allows.
    Frozen {
        /// How long.
        for_ms: u32,
    },
    /// The daemon goes down and comes back. Events are forgotten, pulls break off.
    Restart {
        /// Containers go on; otherwise they are stopped.
        live_restore: bool,
        /// How long it is away.
        for_ms: u32,
    },
    /// The machine loses its power and comes back. Nothing runs afterwards, and the time at which
    /// containers ended is said to be the time at which the daemon came back. Its cgroups are gone, and it has
    /// another boot ID.
    HostReboot {
        /// The exit code that the daemon makes up.
        reports: RebootExit,
        /// How long it is away.
        for_ms: u32,
    },
    /// The daemon's clock jumps. What takes its time takes the same time.
    ClockStep {
        /// Forward, or back.
        by_ms: i64,
    },
    /// Event streams end; the daemon is there.
    StreamsCut,
    /// The next events are lost.
    EventsLost {
        /// How many.
        count: u32,
    },
    /// The next events come twice.
    EventsDoubled {
        /// How many.
        count: u32,
    },
    /// The next events come late, and so out of order.
    EventsLate {
        /// How many.
        count: u32,
        /// How late.
        by_ms: u32,
    },
    /// Removals take their time: the container is `removing`, and its name is taken. Until set to 0.
    RemovalsTake {
        /// How long.
        ms: u32,
    },
    /// The next removals fail halfway and leave the container `dead`.
    RemovalsFail {
        /// How many.
        count: u32,
    },
    /// No network has an address left, and none can be made.
    AddressesGone,
    /// Lifts [`Fault::AddressesGone`].
    AddressesBack,
    /// Nothing can be created, pulled or loaded.
    DiskFull,
    /// Lifts [`Fault::DiskFull`].
    DiskFreed,
    /// No pull moves.
    PullsStall,
    /// Lifts [`Fault::PullsStall`].
    PullsResume,
    /// Each further layer takes so long.
    LayersTake {
        /// How long.
        ms: u32,
    },
    /// No registry can be reached: pulls that begin now fail.
    RegistryAway,
    /// Lifts [`Fault::RegistryAway`].
    RegistryBack,
    /// A process of the host listens on a port.
    PortTaken {
        /// Which, on all addresses, TCP and UDP.
        port: u16,
    },
    /// Lifts [`Fault::PortTaken`].
    PortFreed {
        /// Which.
        port: u16,
    },
    /// Somebody else has a running container of that name.
    NameTaken {
        /// Which.
        name: String,
    },
    /// Somebody else sends SIGKILL to a container.
    ContainerKilled {
        /// ID or name.
        container: String,
    },
    /// The kernel kills a container for its memory.
    ContainerOomKilled {
        /// ID or name.
        container: String,
    },
    /// The kernel kills a container for the memory of the cgroup that it is in, and the daemon does not notice
    /// why.
    GroupOomKilled {
        /// ID or name.
        container: String,
    },
    /// Somebody else pauses a container.
    ContainerPaused {
        /// ID or name.
        container: String,
    },
    /// Somebody else lets a paused container go on.
    ContainerUnpaused {
        /// ID or name.
        container: String,
    },
    /// Somebody else removes a container, running or not.
    ContainerRemoved {
        /// ID or name.
        container: String,
    },
    /// Somebody else sends SIGKILL to the container whose namespace this one has joined.
    SandboxKilled {
        /// ID or name of one that has joined.
        of: String,
    },
    /// Somebody else removes an image's name; containers made from it go on.
    ImageRemoved {
        /// As an image is named.
        image: String,
    },
    /// Every fault that lasts or lies in wait is lifted, and the daemon comes back if it is away. What
    /// faults have done (paused containers, taken names) stays done.
    Calm,
}

/// What a daemon says about containers that ran when the host lost its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootExit {
    /// Exit code 255.
    Code255,
    /// Exit code 0, as some versions do.
    Code0,
}

impl RebootExit {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Code255 => 255,
            Self::Code0 => 0,
        }
    }
}

/// A call of the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    /// `info`.
    Info,
    /// `create_container`.
    Create,
    /// `start_container`.
    Start,
    /// `signal_container`.
    Signal,
    /// `rename_container`.
    Rename,
    /// `remove_container`.
    Remove,
    /// `discard_container`.
    Discard,
    /// `inspect_container`.
    Inspect,
    /// `list_containers`.
    List,
    /// `container_logs`.
    Logs,
    /// `container_stats`.
    Stats,
    /// `inspect_image`.
    InspectImage,
    /// `list_images`.
    ListImages,
    /// `remove_image`.
    RemoveImage,
    /// `pull_image`.
    Pull,
    /// `load_image`.
    Load,
    /// `ensure_network`.
    EnsureNetwork,
    /// `list_networks`.
    ListNetworks,
    /// `remove_network`.
    RemoveNetwork,
    /// `events`.
    Events,
    /// `upload`.
    Upload,
    /// `list_volumes`.
    ListVolumes,
    /// `ensure_volume`.
    EnsureVolume,
    /// `inspect_volume`.
    InspectVolume,
    /// `remove_volume`.
    RemoveVolume,
    /// `download`.
    Download,
    /// `exec`.
    Exec,
    /// `inspect_exec`.
    InspectExec,
    /// `resize_exec`.
    ResizeExec,
}

impl CallKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Info,
        Self::Create,
        Self::Start,
        Self::Signal,
        Self::Rename,
        Self::Remove,
        Self::Discard,
        Self::Inspect,
        Self::List,
        Self::Logs,
        Self::Stats,
        Self::InspectImage,
        Self::ListImages,
        Self::RemoveImage,
        Self::Pull,
        Self::Load,
        Self::EnsureNetwork,
        Self::ListNetworks,
        Self::RemoveNetwork,
        Self::Events,
        Self::Upload,
        Self::ListVolumes,
        Self::EnsureVolume,
        Self::InspectVolume,
        Self::RemoveVolume,
        Self::Download,
        Self::Exec,
        Self::InspectExec,
        Self::ResizeExec,
    ];

    /// Whether it may change anything.
    pub const fn changes(self) -> bool {
        match self {
            Self::Create
            | Self::Start
            | Self::Signal
            | Self::Rename
            | Self::Remove
            | Self::Discard
            | Self::RemoveImage
            | Self::Pull
            | Self::Load
            | Self::EnsureNetwork
            | Self::RemoveNetwork
            | Self::Upload
            | Self::EnsureVolume
            | Self::Exec
            | Self::ResizeExec
            | Self::RemoveVolume => true,
            Self::Info
            | Self::Inspect
            | Self::List
            | Self::Logs
            | Self::Stats
            | Self::ListNetworks
            | Self::InspectImage
            | Self::ListImages
            | Self::ListVolumes
            | Self::InspectVolume
            | Self::InspectExec
            | Self::Download
            | Self::Events => false,
        }
    }
}

/// Its name: `Create`.
impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something that happens to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// The connection breaks before the request arrives.
    AwayBefore,
    /// It is carried out, and the connection breaks before the answer arrives.
    AwayAfter,
    /// It hangs until its deadline and is never carried out. What a list that hangs does.
    TimesOutBefore,
    /// It is carried out at once, and the answer hangs until the deadline.
    TimesOutAfter,
    /// It hangs until its deadline, and is carried out some time after it arrived all the same, whatever
    /// has happened since. For a call that only looks, the same as [`CallFault::TimesOutBefore`].
    TimesOutThenHappens {
        /// How long after it arrived.
        after_ms: u32,
    },
    /// It is carried out and answered later; if that is past the deadline, never before.
    Slow {
        /// How much later.
        by_ms: u32,
    },
    /// It fails without effect, with this message and status 500.
    Fails {
        /// In the daemon's words.
        message: String,
    },
}

/// A fault that lasts until it is lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    AddressesGone,
    DiskFull,
    PullsStall,
    RegistryAway,
}

/// Faults that last or lie in wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan {
    calls: BTreeMap<CallKind, VecDeque<CallFault>>,
    pub(crate) events_lost: u32,
    pub(crate) events_doubled: u32,
    pub(crate) events_late: u32,
    pub(crate) events_late_by_ms: u32,
    pub(crate) removals_take_ms: u32,
    pub(crate) removals_fail: u32,
    pub(crate) layers_take_ms: Option<u32>,
    troubles: BTreeSet<Trouble>,
    pub(crate) ports_taken: BTreeSet<u16>,
}

impl FaultPlan {
    /// Lets `fault` lie in wait for the next call of `kind`, behind those that already do.
    pub(crate) fn fail_next(&mut self, kind: CallKind, fault: CallFault) {
        self.calls.entry(kind).or_default().push_back(fault);
    }

    /// What lies in wait for a call of `kind`; each only happens once.
    pub(crate) fn take(&mut self, kind: CallKind) -> Option<CallFault> {
        self.calls.get_mut(&kind)?.pop_front()
    }

    /// Begins or lifts a trouble.
    pub(crate) fn set(&mut self, trouble: Trouble, on: bool) {
        if on {
            self.troubles.insert(trouble);
        } else {
            self.troubles.remove(&trouble);
        }
    }

    /// Whether a trouble lasts.
    pub(crate) fn is_on(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// How many faults still lie in wait for calls.
    pub(crate) fn waiting(&self) -> usize {
        self.calls.values().map(VecDeque::len).sum()
    }
}

/// Takes one from `count`, if there is one.
pub(crate) fn take_one(count: &mut u32) -> bool {
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}
