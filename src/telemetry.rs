//! The log of the server itself, on standard error.

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// The finer notes of these crates show what is sent and answered, and with that the values of secrets. They are
/// never written, whatever the operator asks for.
const CARRIERS: [&str; 6] = ["bollard", "hyper", "hyper_util", "h2", "reqwest", "sqlx"];

/// Starts the log. What is written is chosen by `NEARGATE_LOG`, in the syntax of tracing's `EnvFilter`;
/// `info` by default. A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NEARGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let safe = filter_fn(|metadata| may_be_written(metadata.target(), *metadata.level()));
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(safe)
        .with(lines)
        .try_init();
}

/// Whether a note of that origin and level can have no secret in it.
fn may_be_written(target: &str, level: Level) -> bool {
    let origin = target.split("::").next().unwrap_or_default();
    level <= Level::INFO || !CARRIERS.contains(&origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_carry_a_secret_is_never_written() {
        assert!(!may_be_written("bollard::docker", Level::DEBUG));
        assert!(!may_be_written("hyper", Level::TRACE));
        assert!(may_be_written("bollard::docker", Level::INFO));
        assert!(may_be_written("neargate::engine", Level::TRACE));
    }
}
