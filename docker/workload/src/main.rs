//! The sample workload of Neargate: one small static program that behaves, or misbehaves, on request.
//!
//! It is the only file of its image, so everything that a test or a demonstration wants to see inside a
//! container is a sub-command here: a web server, a health check client, a process that ignores SIGTERM,
//! one that eats CPU or memory, one that writes awkward logs. `workload help` lists them.
//!
//! As the first process of a container it has no default signal handlers, and nobody but itself would end
//! it on SIGTERM. So SIGTERM and SIGINT are blocked here, before any thread exists, and are then taken by
//! the one place that waits for them: see [`command::OnTermination`].
//!
//! Exit codes: 0 when it went well, 1 when it did not, 2 when the arguments were wrong, 143 when SIGTERM
//! ended a command that says nothing else. stdout is data, stderr is talk.

mod check;
mod command;
mod files;
mod http;
mod identity;
mod interactive;
mod lifetime;
mod load;
mod logs;
mod server;
mod system;

use std::process::ExitCode;

use command::{Arguments, Command, Failure, OnTermination};

/// Every sub-command, in the order of the help text.
const COMMANDS: [&Command; 17] = [
    &server::SERVE,
    &check::HEALTH,
    &check::FAIL_HEALTH,
    &check::GET,
    &lifetime::EXIT,
    &lifetime::SLEEP,
    &lifetime::IGNORE_SIGTERM,
    &load::BURN_CPU,
    &load::ALLOCATE,
    &logs::LOG,
    &files::ENV,
    &files::ID,
    &files::WRITE_FILE,
    &files::READ_FILE,
    &interactive::CAT,
    &interactive::TERMINAL,
    &HELP,
];

const HELP: Command = Command {
    name: "help",
    about: "lists the commands, or describes one",
    flags: &[],
    positionals: &["[COMMAND]"],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        match arguments.positional(0) {
            None => print!("{}", overview()),
            Some(name) => print!("{}", find(name)?.help()),
        }
        Ok(0)
    },
};

fn main() -> ExitCode {
    system::block_termination_signals();
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Usage(message)) => {
            eprintln!("workload: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("workload: {message}");
            ExitCode::from(1)
        }
    }
}

fn run() -> Result<u8, Failure> {
    let mut words = Vec::new();
    for word in std::env::args_os().skip(1) {
        words.push(word.into_string().map_err(|word| {
            Failure::Usage(format!("the argument {} is not UTF-8", word.display()))
        })?);
    }
    let Some((name, rest)) = words.split_first() else {
        return Err(Failure::Usage(format!("no command given\n{}", overview())));
    };
    if matches!(name.as_str(), "--help" | "-h") {
        print!("{}", overview());
        return Ok(0);
    }
    let command = find(name)?;
    if rest.iter().any(|word| word == "--help") {
        print!("{}", command.help());
        return Ok(0);
    }
    let arguments = Arguments::parse(rest, command)
        .map_err(|message| Failure::Usage(format!("{message}\nusage: {}", command.usage())))?;
    if command.on_termination == OnTermination::Exit143 {
        system::exit_on_termination(system::TERMINATED_EXIT_CODE)?;
    }
    (command.run)(&arguments)
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    COMMANDS
        .into_iter()
        .find(|command| command.name == name)
        .ok_or_else(|| {
            Failure::Usage(format!(
                "there is no command `{name}`\nhint: workload help lists them"
            ))
        })
}

fn overview() -> String {
    let mut text = String::from("usage: workload COMMAND [FLAG ...]\n\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<15} {}\n", command.name, command.about));
    }
    text.push_str("\n`workload help COMMAND` describes one\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_flag_is_described() {
        for (index, command) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..index]
                    .iter()
                    .all(|earlier| earlier.name != command.name)
            );
            assert!(command.flags.iter().all(|flag| !flag.about.is_empty()));
        }
    }
}
