//! Watches tasks until they have stopped: their states and, where wanted, what they write.
//!
//! A task is read again and again, quickly while something happens and slowly while nothing does: that also
//! shows what is no event, such as how far a pull has come, and it needs nothing to be kept open while the
//! server is restarted. Each container's log is a stream of its own, opened when the container has started.
//! A stream that breaks, hangs or ends too early is opened again where it was left: no line is lost and none
//! is shown twice. A log is complete when a stream that was opened after its container had stopped came to
//! its end.

mod log;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::client::{Client, ClientError};
use crate::shapes::{Container, LogLine, Task};

/// How soon a task is read again after something has changed.
const SOON: Duration = Duration::from_millis(50);
/// How late it is read again when nothing changes.
const LATE: Duration = Duration::from_millis(500);
/// How many news wait to be shown before those that bring them have to wait.
const QUEUE: usize = 256;

/// Something to show.
#[derive(Debug)]
pub(super) enum News {
    /// A task has changed. The first news of each task, and the last.
    Task(Box<Task>),
    /// A task's container wrote a line.
    Line {
        /// The task.
        task_id: String,
        /// The line.
        line: LogLine,
    },
    /// The server is lost and looked for.
    Lost(ClientError),
    /// It is back.
    Back,
    /// It will not come back, or says that there is nothing to watch.
    Failed(ClientError),
}

/// Which lines of the containers' logs are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct LogWish {
    /// Of this container only.
    pub(super) container: Option<String>,
    /// Only lines from this time on.
    pub(super) since: Option<String>,
    /// Only so many of those that are there already.
    pub(super) tail: Option<u64>,
}

/// Tasks that are being watched; dropping it ends that.
pub(super) struct Watch {
    news: mpsc::Receiver<News>,
    _watchers: JoinSet<()>,
}

impl Watch {
    /// Watches `tasks`, and what they write if `logs` says so.
    pub(super) fn start(client: &Client, tasks: Vec<Task>, logs: Option<&LogWish>) -> Self {
        let (sender, news) = mpsc::channel(QUEUE);
        let mut watchers = JoinSet::new();
        for task in tasks {
            let watcher = Watcher {
                client: client.clone(),
                id: task.task_id.clone(),
                news: sender.clone(),
                logs: logs.cloned(),
                readers: HashMap::new(),
                reading: JoinSet::new(),
                stream_ended: Arc::new(Notify::new()),
            };
            watchers.spawn(watcher.watch(task));
        }
        Self {
            news,
            _watchers: watchers,
        }
    }

    /// The next news; `None` when every task has stopped and every log is complete.
    pub(super) async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// Whether nothing waits to be shown.
    pub(super) fn is_idle(&self) -> bool {
        self.news.is_empty()
    }
}

/// Watches one task.
struct Watcher {
    client: Client,
    id: String,
    news: mpsc::Sender<News>,
    logs: Option<LogWish>,
    /// By container: tells its reader when the container has stopped.
    readers: HashMap<String, watch::Sender<bool>>,
    reading: JoinSet<()>,
    /// A log came to its end, so the state has probably changed.
    stream_ended: Arc<Notify>,
}

/// Nobody wants news any more.
struct NobodyListens;

impl Watcher {
    async fn watch(mut self, task: Task) {
        // That nobody listens any more is a reason to end, and there is nobody to tell.
        let _ = self.until_stopped(task).await;
    }

    async fn until_stopped(&mut self, mut task: Task) -> Result<(), NobodyListens> {
        let mut delay = SOON;
        self.tell(News::Task(Box::new(task.clone()))).await?;
        loop {
            self.read_logs(&task);
            if task.last_status == "STOPPED" {
                break;
            }
            if timeout(delay, self.stream_ended.notified()).await.is_ok() {
                delay = SOON;
            }
            let Some(seen) = self.read_again().await? else {
                return Ok(());
            };
            delay = if seen == task {
                (delay * 5 / 4).min(LATE)
            } else {
                SOON
            };
            if seen != task {
                task = seen;
                self.tell(News::Task(Box::new(task.clone()))).await?;
            }
        }
        while self.reading.join_next().await.is_some() {}
        Ok(())
    }

    /// The task as it is now, when the server answers again; `None` when it is given up.
    async fn read_again(&self) -> Result<Option<Task>, NobodyListens> {
        let mut backoff = Backoff::default();
        let mut lost = false;
        loop {
            let error = match self.client.task(&self.id).await {
                Ok(answer) => {
                    if lost {
                        self.tell(News::Back).await?;
                    }
                    // How much was used goes up all the time; that is no change.
                    return Ok(Some(Task {
                        usage: None,
                        ..answer.value
                    }));
                }
                Err(error) => error,
            };
            let delay = if error.retryable() {
                backoff.failed()
            } else {
                None
            };
            let Some(delay) = delay else {
                self.tell(News::Failed(error)).await?;
                return Ok(None);
            };
            if !lost {
                self.tell(News::Lost(error)).await?;
                lost = true;
            }
            sleep(delay).await;
        }
    }

    /// Starts to read the logs of containers that have one, and tells the readers which have stopped.
    fn read_logs(&mut self, task: &Task) {
        let Some(wish) = &self.logs else { return };
        let is_wanted = |container: &&Container| {
            has_log(container)
                && wish
                    .container
                    .as_ref()
                    .is_none_or(|name| *name == container.name)
        };
        for container in task.containers.iter().filter(is_wanted) {
            let has_stopped = container.last_status == "STOPPED";
            let stopped = self
                .readers
                .entry(container.name.clone())
                .or_insert_with(|| {
                    let (sender, stopped) = watch::channel(has_stopped);
                    let reader = log::Reader {
                        client: self.client.clone(),
                        task_id: self.id.clone(),
                        container: container.name.clone(),
                        news: self.news.clone(),
                        stopped,
                        stream_ended: Arc::clone(&self.stream_ended),
                    };
                    self.reading.spawn(reader.read(log::Cursor::new(wish)));
                    sender
                });
            stopped.send_if_modified(|known| std::mem::replace(known, has_stopped) != has_stopped);
        }
    }

    async fn tell(&self, news: News) -> Result<(), NobodyListens> {
        self.news.send(news).await.map_err(|_| NobodyListens)
    }
}

/// Whether a container came as far as having written something.
fn has_log(container: &Container) -> bool {
    container.last_status != "PENDING"
        && (container.started_at.is_some() || container.runtime_id.is_some())
}
