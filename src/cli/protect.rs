//! `neargate protect`: keeps tasks of services from being ended by scaling in or a deployment.

use clap::Args;

use super::Session;
use super::failure::Failure;

/// Protect tasks of services from scaling in and from deployments
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate protect 4f0c --minutes 60")]
pub(super) struct ProtectArgs {
    /// The tasks: their IDs, or the first digits of them
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// For how long; 120 unless said otherwise, 2880 at most
    #[arg(long, value_name = "N")]
    minutes: Option<u32>,
    /// Take the protection back
    #[arg(long, conflicts_with = "minutes")]
    off: bool,
}

pub(super) async fn execute(session: &mut Session, args: ProtectArgs) -> Result<u8, Failure> {
    let mut code = 0;
    for task in &args.tasks {
        match session
            .client
            .protect_task(task, !args.off, args.minutes)
            .await
        {
            Ok(answer) => {
                if !session.console.document(&answer.document)? {
                    session.console.line(&answer.value.task_id)?;
                }
            }
            Err(error) => {
                let failure = Failure::from(error);
                session.console.complain(&failure);
                code = failure.code();
            }
        }
    }
    Ok(code)
}
