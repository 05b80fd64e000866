//! `neargate stop`: asks tasks to stop. All of them are asked, whatever is wrong with some.

use clap::Args;

use super::Session;
use super::failure::Failure;
use super::follow::until_stopped;

/// Stop tasks
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate stop 4f0c 91ab --reason 'no longer needed' --wait")]
pub(super) struct StopArgs {
    /// The tasks: their IDs, or the first digits of them
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// Why; becomes part of the task's stoppedReason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait until they have stopped
    #[arg(short, long)]
    wait: bool,
}

pub(super) async fn execute(session: &mut Session, args: StopArgs) -> Result<u8, Failure> {
    let mut code = 0;
    let mut asked = Vec::new();
    for task in &args.tasks {
        match session.client.stop_task(task, args.reason.clone()).await {
            Ok(answer) => asked.push(answer),
            Err(error) => {
                let failure = Failure::from(error);
                session.console.complain(&failure);
                code = failure.code();
            }
        }
    }
    if !args.wait {
        for answer in asked {
            if !session.console.document(&answer.document)? {
                session.console.line(&answer.value.task_id)?;
            }
        }
        return Ok(code);
    }
    let tasks = asked.into_iter().map(|answer| answer.value).collect();
    for task in until_stopped(session, tasks).await? {
        if !session.console.document(&task)? {
            session.console.line(&task.task_id)?;
        }
    }
    Ok(code)
}
