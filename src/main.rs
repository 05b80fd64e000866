//! The thin binary: the command line, with the server behind `serve`.

use std::process::ExitCode;

fn main() -> ExitCode {
    neargate::cli::run(std::env::args_os(), neargate::serve::start)
}
