//! What the standard library does not offer: signals, user ids, the CPU clock.
//!
//! The only module that calls the C library, and the only one with unsafe code.
#![expect(unsafe_code, reason = "the C library has no safe interface")]

use std::mem::MaybeUninit;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Failure;

/// What a shell reports for a process that SIGTERM ended: 128 + 15.
pub const TERMINATED_EXIT_CODE: u8 = 143;

fn termination_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set that the other calls then change.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        set.assume_init()
    }
}

/// Makes SIGTERM and SIGINT wait until somebody asks for them. Must run before any thread is started,
/// because threads inherit the mask. A blocked signal also reaches the first process of a container,
/// where an unhandled one would be dropped.
pub fn block_termination_signals() {
    let set = termination_signals();
    // SAFETY: the set is initialised, and a null pointer says that the old mask is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
}

/// Waits for SIGTERM or SIGINT: true when one came, false when `limit` passed first.
/// Without a limit it waits for ever.
pub fn wait_for_termination(limit: Option<Duration>) -> bool {
    let set = termination_signals();
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let signal = match deadline {
            // SAFETY: the set is initialised, and a null pointer says that no details are wanted.
            None => unsafe { libc::sigwaitinfo(&raw const set, ptr::null_mut()) },
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let left = libc::timespec {
                    tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
                    tv_nsec: libc::c_long::from(left.subsec_nanos().cast_signed()),
                };
                // SAFETY: as above, and the time outlives the call.
                unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const left) }
            }
        };
        if signal > 0 {
            return true;
        }
        // Otherwise another signal interrupted the wait (a container that was paused, say), or time is up.
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
    }
}

/// Starts a thread that ends the process with `code` as soon as SIGTERM or SIGINT comes.
pub fn exit_on_termination(code: u8) -> Result<(), Failure> {
    thread::Builder::new()
        .name("termination".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            wait_for_termination(None);
            std::process::exit(i32::from(code));
        })
        .map(drop)
        .map_err(|error| Failure::at("cannot start a thread", error))
}

/// Columns and rows of the terminal at stdin, if there is one.
pub fn terminal_size() -> Option<(u16, u16)> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the call writes a winsize, for which there is room, or nothing.
    let size = unsafe {
        if libc::ioctl(libc::STDIN_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) != 0 {
            return None;
        }
        size.assume_init()
    };
    Some((size.ws_col, size.ws_row))
}

/// The user and group that the process runs as.
pub fn user_and_group_id() -> (u32, u32) {
    // SAFETY: these calls have no arguments and always succeed.
    unsafe { (libc::getuid(), libc::getgid()) }
}

/// Kernel clock ticks in a second: the unit of the times in `/proc/PID/stat`.
pub fn ticks_per_second() -> u64 {
    // SAFETY: the call takes a plain number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks)
        .ok()
        .filter(|ticks| *ticks > 0)
        .unwrap_or(100)
}

/// The CPU time that the calling thread has used.
pub fn thread_cpu_time() -> Duration {
    cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The CPU time that all threads of this process have used.
pub fn process_cpu_time() -> Duration {
    cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is a valid place to write to.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
