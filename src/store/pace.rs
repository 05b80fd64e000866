//! Waiting for other threads. SQLite and files are worked on by threads of their own, and how fast these are decides who
//! goes on first. That is as it should be, except in a simulation, which is to be the same each time.
//!
//! There, whoever waits for another thread waits with all of its own: nothing else happens meanwhile. The answer is then held
//! back for a number of turns that the simulation chooses, so that what others do still comes in between. Threads no
//! longer decide about the order of anything.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::in_flight::InFlight;

/// How many turns others have before the next answer is there.
pub(super) type Turns = Arc<dyn Fn() -> u32 + Send + Sync>;

/// How is waited. Clones are the same; the usual way is that others go on meanwhile.
#[derive(Clone, Default)]
pub(super) struct Pace(Option<InStep>);

#[derive(Clone)]
struct InStep {
    turns: Turns,
    held_back: InFlight,
}

impl Pace {
    /// Everything waits.
    pub(super) fn in_step(turns: Turns) -> Self {
        Self(Some(InStep {
            turns,
            held_back: InFlight::default(),
        }))
    }

    /// Does `work`, which waits for nothing but other threads and what they give.
    pub(super) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(step) = &self.0 else {
            return work.await;
        };
        let done = on_the_spot(work);
        let _ticket = step.held_back.begin();
        for _ in 0..(step.turns)() {
            tokio::task::yield_now().await;
        }
        done
    }

    /// Answers that are held back.
    pub(super) fn in_flight(&self) -> usize {
        self.0.as_ref().map_or(0, |step| step.held_back.count())
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pace").field(&self.0.is_some()).finish()
    }
}

/// Wakes a thread.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Does `work` without giving this thread away in between.
fn on_the_spot<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Sleeper(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    // A budget that is used up would be waited for here for ever: it is only given anew when this thread is given away.
    let mut work = pin!(tokio::task::unconstrained(work));
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    async fn slowly(log: &Mutex<Vec<&'static str>>) {
        let slow = tokio::task::spawn_blocking(|| {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        });
        slow.await.unwrap();
        log.lock().unwrap().push("the other thread is done");
    }

    #[tokio::test]
    async fn in_step_nothing_happens_while_another_thread_works_and_others_have_their_turns_after_it()
     {
        for (turns, expected) in [
            (0, ["the other thread is done", "answer", "somebody else"]),
            (1, ["the other thread is done", "somebody else", "answer"]),
        ] {
            let log = Mutex::new(Vec::new());
            let pace = Pace::in_step(Arc::new(move || turns));
            let answered = async {
                pace.of(slowly(&log)).await;
                log.lock().unwrap().push("answer");
            };
            let other = async { log.lock().unwrap().push("somebody else") };
            // In the order in which they stand here.
            futures_util::future::join(answered, other).await;
            assert_eq!(*log.lock().unwrap(), expected);
            assert_eq!(pace.in_flight(), 0);
        }
    }

    #[tokio::test]
    async fn usually_others_go_on_meanwhile() {
        let log = Mutex::new(Vec::new());
        let pace = Pace::default();
        let other = async { log.lock().unwrap().push("somebody else") };
        futures_util::future::join(pace.of(slowly(&log)), other).await;
        assert_eq!(
            *log.lock().unwrap(),
            ["somebody else", "the other thread is done"]
        );
    }
}
