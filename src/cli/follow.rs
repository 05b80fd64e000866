//! Shows how tasks get on until they have stopped: the logs on stdout, everything else on stderr.

use std::future::Future;

use super::Session;
use super::exit;
use super::failure::Failure;
use super::logs::LogPrinter;
use super::progress::Progress;
use super::watch::{LogWish, News, Watch};
use crate::shapes::Task;

/// Follows `tasks` and their logs to their end, and gives them as they ended. The first time that
/// `interrupted` comes back the tasks are asked to stop, the second time they are left.
pub(super) async fn tasks<F>(
    session: &mut Session,
    tasks: Vec<Task>,
    interrupted: impl Fn() -> F,
) -> Result<Vec<Task>, Failure>
where
    F: Future<Output = ()>,
{
    let ids: Vec<String> = tasks.iter().map(|task| task.task_id.clone()).collect();
    let wish = LogWish::default();
    let mut watch = Watch::start(&session.client, tasks.clone(), Some(&wish));
    let printer = LogPrinter::new(&tasks, false);
    let mut shown = Shown::new(tasks, Some(Progress::default()), printer);
    let mut were_asked_to_stop = false;
    let mut interrupt = Box::pin(interrupted());
    loop {
        tokio::select! {
            news = watch.next() => {
                let Some(news) = news else { return Ok(shown.tasks) };
                shown.show(session, news)?;
                if watch.is_idle() {
                    session.console.flush()?;
                }
            }
            () = &mut interrupt => {
                if were_asked_to_stop {
                    let goes_on = "the tasks come to their end by themselves: neargate ps";
                    return Err(Failure::new("interrupted", goes_on).with_code(exit::INTERRUPTED));
                }
                were_asked_to_stop = true;
                interrupt = Box::pin(interrupted());
                stop(session, &ids).await;
            }
        }
    }
}

/// The first Ctrl-C.
async fn stop(session: &mut Session, ids: &[String]) {
    session
        .console
        .talk("asking to stop; press Ctrl-C again to leave it at that");
    for id in ids {
        let reason = Some("Ctrl-C in neargate run --follow".to_owned());
        if let Err(error) = session.client.stop_task(id, reason).await {
            session.console.complain(&error.into());
        }
    }
}

/// Waits until `tasks` have stopped, says on stderr how they get on, and gives them as they ended.
pub(super) async fn until_stopped(
    session: &mut Session,
    tasks: Vec<Task>,
) -> Result<Vec<Task>, Failure> {
    let mut watch = Watch::start(&session.client, tasks.clone(), None);
    let printer = LogPrinter::new(&tasks, false);
    let mut shown = Shown::new(tasks, Some(Progress::default()), printer);
    while let Some(news) = watch.next().await {
        shown.show(session, news)?;
    }
    Ok(shown.tasks)
}

/// Follows the logs of a task to its end, and says nothing about how it gets on.
pub(super) async fn logs(
    session: &mut Session,
    task: Task,
    wish: &LogWish,
    printer: LogPrinter,
) -> Result<(), Failure> {
    let mut watch = Watch::start(&session.client, vec![task.clone()], Some(wish));
    let mut shown = Shown::new(vec![task], None, printer);
    while let Some(news) = watch.next().await {
        shown.show(session, news)?;
        if watch.is_idle() {
            session.console.flush()?;
        }
    }
    Ok(())
}

/// Tasks as they were last seen, and what has been said of them.
struct Shown {
    tasks: Vec<Task>,
    /// Whether it is said how they get on, and what has been.
    progress: Option<Progress>,
    printer: LogPrinter,
    /// Each task notices by itself that the server is lost; it is said once.
    is_lost: bool,
}

impl Shown {
    fn new(tasks: Vec<Task>, progress: Option<Progress>, printer: LogPrinter) -> Self {
        Self {
            tasks,
            progress,
            printer,
            is_lost: false,
        }
    }

    fn show(&mut self, session: &mut Session, news: News) -> Result<(), Failure> {
        let console = &mut session.console;
        match news {
            News::Task(task) => {
                if let Some(progress) = &mut self.progress {
                    progress.update(console, &task);
                }
                let mut known = self.tasks.iter_mut();
                if let Some(known) = known.find(|known| known.task_id == task.task_id) {
                    *known = *task;
                }
            }
            News::Line { task_id, line } => self.printer.print(console, &task_id, &line)?,
            News::Lost(error) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    console.warn(&format!("{error}; it is looked for again"));
                }
            }
            News::Back => {
                if std::mem::replace(&mut self.is_lost, false) {
                    console.talk("it answers again");
                }
            }
            News::Failed(error) => return Err(error.into()),
        }
        Ok(())
    }
}
