//! The thin binary: the command line, with the server behind `serve`, and the data folder behind `restore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let local = neargate::cli::Local {
        serve: neargate::serve::start,
        restore: neargate::serve::restore,
        examine: neargate::serve::examine,
    };
    neargate::cli::run(std::env::args_os(), &local)
}
