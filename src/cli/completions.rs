//! `neargate completions`: a script that teaches a shell the commands.

use clap::Args;
use clap_complete::Shell;

use super::console::Console;
use super::failure::Failure;

/// Print a completion script for a shell
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate completions bash > /etc/bash_completion.d/neargate")]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn execute(
    console: &mut Console,
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "neargate", &mut script);
    console.bytes(&script)?;
    Ok(())
}
