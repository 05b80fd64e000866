//! The log of the server itself, on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log. What is written is chosen by `NEARGATE_LOG`, in the syntax of tracing's `EnvFilter`;
/// `info` by default. A second call changes nothing.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NEARGATE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let _ = match format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
