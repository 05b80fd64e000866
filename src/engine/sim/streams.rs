//! What goes on after a call was answered: events, log lines and the progress of a pull.
//!
//! A stream keeps its place and looks at the model whenever something has changed or is due; it holds
//! nothing of the model. It ends with the connection that it began on, and is silent while the daemon is
//! frozen.

use std::collections::VecDeque;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;

use super::SimDaemon;
use super::model::{LogNews, Model, PullNews, Reach};
use crate::engine::docker::daemon::ContainerEvent;
use crate::engine::{EngineError, LogLine, PullProgress};

/// What a stream finds when it looks.
pub(super) enum Look<T> {
    /// These came.
    Items(Vec<T>),
    /// Nothing yet.
    Wait,
    /// These came, and no more will.
    Last(Vec<T>),
}

impl SimDaemon {
    /// A stream of whatever `look` finds, until it says that no more will come.
    pub(super) fn stream_of<T: Send + 'static>(
        &self,
        look: impl FnMut(&mut Model) -> Look<T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        let reader = Reader {
            daemon: self.clone(),
            changes: self.changes(),
            queue: VecDeque::new(),
            over: false,
            look,
        };
        stream::unfold(reader, Reader::next).fuse().boxed()
    }

    pub(super) fn event_stream(
        &self,
        label: String,
        mut place: u64,
        connection: u64,
    ) -> BoxStream<'static, ContainerEvent> {
        self.stream_of(move |model| {
            if model.connection() != connection {
                return Look::Last(Vec::new());
            }
            let events = model.events().since(place, &label);
            place = model.events().so_far();
            Look::Items(events)
        })
    }

    pub(super) fn log_stream(
        &self,
        id: String,
        news: LogNews,
        connection: u64,
        follow: bool,
    ) -> BoxStream<'static, Result<LogLine, EngineError>> {
        let first = stream::iter(news.lines.into_iter().map(Ok));
        if !follow || news.over {
            return first.boxed();
        }
        let mut place = news.place;
        let rest = self.stream_of(move |model| {
            if model.connection() != connection {
                return Look::Last(vec![Err(lost())]);
            }
            let news = model.follow_log(&id, place);
            place = news.place;
            let lines = news.lines.into_iter().map(Ok).collect();
            if news.over {
                Look::Last(lines)
            } else {
                Look::Items(lines)
            }
        });
        first.chain(rest).fuse().boxed()
    }

    /// Stands for a caller who waits for a pull.
    pub(super) fn ticket(&self, number: u64) -> PullTicket {
        PullTicket {
            daemon: self.clone(),
            number,
        }
    }

    pub(super) fn pull_stream(
        &self,
        ticket: PullTicket,
        connection: u64,
    ) -> BoxStream<'static, Result<PullProgress, EngineError>> {
        let mut told = None;
        self.stream_of(move |model| {
            let news = ticket.news(model);
            let Some(news) = news.filter(|_| model.connection() == connection) else {
                return Look::Last(vec![Err(lost())]);
            };
            let mut items = Vec::new();
            if told != Some(news.progress) {
                told = Some(news.progress);
                items.push(Ok(news.progress));
            }
            match news.outcome {
                None => Look::Items(items),
                Some(Ok(())) => Look::Last(items),
                Some(Err(refusal)) => {
                    items.push(Err(refusal.into()));
                    Look::Last(items)
                }
            }
        })
    }
}

/// A caller who waits for a pull, and gives it up when dropped.
pub(super) struct PullTicket {
    daemon: SimDaemon,
    number: u64,
}

impl PullTicket {
    fn news(&self, model: &Model) -> Option<PullNews> {
        model.pull_news(self.number)
    }
}

impl Drop for PullTicket {
    fn drop(&mut self) {
        self.daemon.with(|model| model.leave_pull(self.number));
    }
}

pub(super) fn lost() -> EngineError {
    EngineError::Away("the connection to the simulated Docker daemon was lost".to_owned())
}

struct Reader<T, L> {
    daemon: SimDaemon,
    changes: watch::Receiver<u64>,
    queue: VecDeque<T>,
    over: bool,
    look: L,
}

impl<T, L: FnMut(&mut Model) -> Look<T>> Reader<T, L> {
    async fn next(mut self) -> Option<(T, Self)> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some((item, self));
            }
            if self.over {
                return None;
            }
            self.changes.mark_unchanged();
            let look = &mut self.look;
            let found = self.daemon.with(|model| match model.reach() {
                Reach::FrozenUntil(_) => Look::Wait,
                Reach::Up | Reach::Away => look(model),
            });
            match found {
                Look::Items(items) if !items.is_empty() => self.queue.extend(items),
                Look::Items(_) | Look::Wait => self.daemon.wait_for_change(&mut self.changes).await,
                Look::Last(items) => {
                    self.queue.extend(items);
                    self.over = true;
                }
            }
        }
    }
}
