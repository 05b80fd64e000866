//! Reads the log of one container to its end, over as many streams as that takes.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::{LATE, LogWish, News};
use crate::cli::backoff::Backoff;
use crate::cli::client::{Client, ClientError, LogQuery};
use crate::shapes::LogLine;

/// Reads one container's log.
pub(super) struct Reader {
    pub(super) client: Client,
    pub(super) task_id: String,
    pub(super) container: String,
    pub(super) news: mpsc::Sender<News>,
    /// Whether the container has stopped.
    pub(super) stopped: watch::Receiver<bool>,
    /// Whom to tell that a stream came to its end.
    pub(super) stream_ended: Arc<Notify>,
}

/// How a stream ended.
enum End {
    /// As it should.
    Whole,
    /// It was silent for so long that it may hang; it is opened again.
    Silent,
    /// Nobody wants lines any more.
    NobodyListens,
}

impl Reader {
    /// Reads from `cursor` to the end.
    pub(super) async fn read(mut self, mut cursor: Cursor) {
        let mut backoff = Backoff::default();
        loop {
            let had_stopped = *self.stopped.borrow_and_update();
            match self.one_stream(&mut cursor, &mut backoff).await {
                Ok(End::NobodyListens) => return,
                Ok(End::Whole) if had_stopped => return,
                Ok(End::Silent) => {}
                Ok(End::Whole) => {
                    self.stream_ended.notify_one();
                    // Whether the container stopped or the server is about to is seen soon.
                    let _ = timeout(LATE, self.stopped.wait_for(|stopped| *stopped)).await;
                }
                Err(error) => {
                    let delay = if error.retryable() {
                        backoff.failed()
                    } else {
                        None
                    };
                    let Some(delay) = delay else {
                        let _ = self.news.send(News::Failed(error)).await;
                        return;
                    };
                    // The watcher of the task says that the server is lost, if it is.
                    tracing::debug!("the log of {} is opened again: {error}", self.container);
                    sleep(delay).await;
                }
            }
        }
    }

    async fn one_stream(
        &self,
        cursor: &mut Cursor,
        backoff: &mut Backoff,
    ) -> Result<End, ClientError> {
        let mut stream = self
            .client
            .logs(&self.task_id, &cursor.query(&self.container))
            .await?;
        backoff.connected();
        loop {
            let line = match stream.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(End::Whole),
                Err(ClientError::TooSlow { .. }) => return Ok(End::Silent),
                Err(error) => return Err(error),
            };
            backoff.succeeded();
            if cursor.is_news(&line) {
                let news = News::Line {
                    task_id: self.task_id.clone(),
                    line,
                };
                if self.news.send(news).await.is_err() {
                    return Ok(End::NobodyListens);
                }
            }
        }
    }
}

/// How far a log has been read.
///
/// The API can go on from a time, and several lines can have the same: so those that have been seen of the
/// last time are counted, and skipped when the log is opened again.
#[derive(Debug)]
pub(super) struct Cursor {
    wish: LogWish,
    /// The time of the last line, and how many lines with that time have been seen.
    last: Option<(String, u32)>,
    /// How many of those are still to come again.
    to_skip: u32,
}

impl Cursor {
    /// Nothing has been read.
    pub(super) fn new(wish: &LogWish) -> Self {
        Self {
            wish: wish.clone(),
            last: None,
            to_skip: 0,
        }
    }

    /// What to ask for to go on.
    fn query(&mut self, container: &str) -> LogQuery {
        let (since, tail) = match &self.last {
            Some((at, seen)) => {
                self.to_skip = *seen;
                (Some(at.clone()), None)
            }
            None => (self.wish.since.clone(), self.wish.tail),
        };
        LogQuery {
            container: Some(container.to_owned()),
            follow: true,
            since,
            tail,
        }
    }

    /// Whether `line` has not been seen; from now on it has.
    fn is_news(&mut self, line: &LogLine) -> bool {
        match &mut self.last {
            Some((at, _)) if *at == line.at && self.to_skip > 0 => {
                self.to_skip -= 1;
                return false;
            }
            Some((at, seen)) if *at == line.at => *seen += 1,
            // A server that goes on from a coarser time than it was asked for gives some lines again.
            Some((at, _)) if *at > line.at && self.to_skip > 0 => return false,
            // The clock of the engine went back: the later time stays the one to go on from.
            Some((at, _)) if *at > line.at => {}
            last => *last = Some((line.at.clone(), 1)),
        }
        self.to_skip = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: &str) -> LogLine {
        LogLine {
            at: format!("2026-01-31T08:15:00.{at}Z"),
            container: "web".to_owned(),
            stream: "stdout".to_owned(),
            text: String::new(),
            bytes_base64: None,
        }
    }

    #[test]
    fn a_log_goes_on_where_it_was_left() {
        let wish = LogWish {
            since: Some("s".to_owned()),
            tail: Some(5),
            ..LogWish::default()
        };
        let mut cursor = Cursor::new(&wish);
        let first = cursor.query("web");
        assert_eq!((first.since.as_deref(), first.tail), (Some("s"), Some(5)));
        for at in ["001", "002", "002"] {
            assert!(cursor.is_news(&line(at)));
        }

        let again = cursor.query("web");
        assert_eq!((again.since, again.tail), (Some(line("002").at), None));
        assert!(!cursor.is_news(&line("002")));
        assert!(!cursor.is_news(&line("002")));
        // A third line of the same millisecond, written while nobody listened.
        assert!(cursor.is_news(&line("002")));
        assert!(cursor.is_news(&line("003")));

        let query = cursor.query("web");
        assert_eq!(query.since, Some(line("003").at));
        // The server goes on from a little earlier than it was asked to.
        assert!(!cursor.is_news(&line("002")));
        assert!(!cursor.is_news(&line("003")));
        assert!(cursor.is_news(&line("003")));
    }
}
