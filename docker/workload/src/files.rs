//! Commands that show or change what a container sees: its environment, its user, its files.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{env, fs};

use crate::command::{Arguments, Command, Failure, OnTermination};
use crate::system;

/// Shows the environment.
pub const ENV: Command = Command {
    name: "env",
    about: "writes the environment, sorted, or the value of one variable (exit 1 when it is not set)",
    flags: &[],
    positionals: &["[NAME]"],
    on_termination: OnTermination::Exit143,
    run: |arguments| match arguments.positional(0) {
        None => print(&environment_lines()),
        Some(name) => match env::var_os(name) {
            Some(value) => print(&[value.as_bytes(), b"\n"].concat()),
            None => Err(Failure::Failed(format!("the variable {name} is not set"))),
        },
    },
};

/// Shows who and where the process is.
pub const ID: Command = Command {
    name: "id",
    about: "writes the user, the group and the working directory: `uid=0 gid=0 cwd=/`",
    flags: &[],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |_| {
        let (user, group) = system::user_and_group_id();
        let directory = env::current_dir()
            .map_err(|error| Failure::at("cannot tell the working directory", error))?;
        print(format!("uid={user} gid={group} cwd={}\n", directory.display()).as_bytes())
    },
};

/// Writes a file.
pub const WRITE_FILE: Command = Command {
    name: "write-file",
    about: "writes TEXT, and nothing after it, to PATH; makes the folders above it",
    flags: &[],
    positionals: &["PATH", "TEXT"],
    on_termination: OnTermination::Exit143,
    run: write_file,
};

/// Shows a file.
pub const READ_FILE: Command = Command {
    name: "read-file",
    about: "writes the file at PATH to stdout",
    flags: &[],
    positionals: &["PATH"],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        let path = arguments.positional(0).unwrap_or_default();
        let mut file = fs::File::open(path)
            .map_err(|error| Failure::at(format!("cannot open {path}"), error))?;
        io::copy(&mut file, &mut io::stdout())
            .map_err(|error| Failure::at(format!("cannot copy {path}"), error))?;
        Ok(0)
    },
};

fn write_file(arguments: &Arguments) -> Result<u8, Failure> {
    let path = arguments.positional(0).unwrap_or_default();
    let text = arguments.positional(1).unwrap_or_default();
    if let Some(folder) = Path::new(path).parent() {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::at(format!("cannot make {}", folder.display()), error))?;
    }
    fs::write(path, text).map_err(|error| Failure::at(format!("cannot write {path}"), error))?;
    Ok(0)
}

/// The environment as `NAME=value` lines, sorted by name.
pub fn environment_lines() -> Vec<u8> {
    let mut variables: Vec<(OsString, OsString)> = env::vars_os().collect();
    variables.sort();
    let mut lines = Vec::new();
    for (name, value) in variables {
        lines.extend_from_slice(name.as_bytes());
        lines.push(b'=');
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Writes `data` to stdout; the exit code is 0.
pub fn print(data: &[u8]) -> Result<u8, Failure> {
    let mut stdout = io::stdout();
    stdout
        .write_all(data)
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::at("cannot write to stdout", error))?;
    Ok(0)
}
