//! `neargate serve`: only its arguments. What they start is handed in by `main`.
//!
//! A setting comes from its flag, else from the environment, else from the file that `--config` names, else
//! it has a default. So nothing has a default here: `None` means that neither the flag nor the environment
//! said anything, and the file is to be asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{InvalidToken, Token};
use crate::config::{EngineKind, LogFormat};
use crate::domain::{AccountId, Region};

/// Where the server listens unless it is told otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6327);

/// Start a server here
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Beyond loopback, a token is required. It comes from NEARGATE_TOKEN or a file, never from a flag, because \
every user of a machine can read its command lines.

Example:
  neargate serve --data-dir /srv/neargate --listen 127.0.0.1:6327")]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:6327]
    #[arg(long, env = "NEARGATE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where everything is kept [default: ~/.local/share/neargate; /var/lib/neargate for root]
    #[arg(long, env = "NEARGATE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// What runs the containers [default: docker]
    #[arg(
        long,
        env = "NEARGATE_ENGINE",
        value_enum,
        value_name = "docker|sim",
        hide_possible_values = true
    )]
    pub engine: Option<EngineKind>,
    /// Where the Docker engine answers [default: the socket of this machine's engine]
    #[arg(long, env = "DOCKER_HOST", value_name = "URL")]
    pub docker_host: Option<String>,
    /// The file that holds the token which clients must show
    #[arg(long, env = "NEARGATE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The region in all ARNs [default: us-east-1]
    #[arg(long, env = "NEARGATE_REGION", value_name = "REGION")]
    pub region: Option<Region>,
    /// The account in all ARNs [default: 000000000000]
    #[arg(long, env = "NEARGATE_ACCOUNT", value_name = "TWELVE DIGITS")]
    pub account: Option<AccountId>,
    /// How many network sandboxes are kept ready, so that tasks start faster
    #[arg(long, env = "NEARGATE_WARM_SANDBOXES", value_name = "N")]
    pub warm_sandboxes: Option<u32>,
    /// A TOML file with the same settings
    #[arg(long, env = "NEARGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the log is written [default: text]
    #[arg(
        long,
        env = "NEARGATE_LOG_FORMAT",
        value_enum,
        value_name = "text|json",
        hide_possible_values = true
    )]
    pub log_format: Option<LogFormat>,
}

/// Why there is no token to be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was found is no token.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

impl ServeArgs {
    /// The same, where an empty `DOCKER_HOST` counts as none, as it does for Docker's own client.
    pub(super) fn normalised(mut self) -> Self {
        self.docker_host = self.docker_host.filter(|host| !host.is_empty());
        self
    }

    /// The token that clients must show, if there is one: what `--token-file` holds, else `NEARGATE_TOKEN`, else what the file
    /// holds that the configuration names.
    pub fn token(&self, configured: Option<&Path>) -> Result<Option<Token>, TokenError> {
        if let Some(path) = &self.token_file {
            return Ok(Some(token_in(path)?));
        }
        if let Some(token) = Token::from_environment()? {
            return Ok(Some(token));
        }
        configured.map(token_in).transpose()
    }
}

fn token_in(path: &Path) -> Result<Token, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(text.parse()?)
}

/// Where everything is kept unless the server is told otherwise: `/var/lib/neargate` for root, else
/// `$XDG_DATA_HOME/neargate`, else `~/.local/share/neargate`. `None` when there is no home either.
pub fn default_data_dir() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    data_dir(runs_as_root(), folder("XDG_DATA_HOME"), folder("HOME"))
}

fn data_dir(is_root: bool, data_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if is_root {
        return Some(PathBuf::from("/var/lib/neargate"));
    }
    // The XDG specification says that a relative path is to be ignored.
    let data_home = data_home.filter(|path| path.is_absolute());
    let home = home.filter(|path| path.is_absolute());
    data_home
        .or_else(|| home.map(|home| home.join(".local/share")))
        .map(|base| base.join("neargate"))
}

/// Whether this process is root's, by the owner that the kernel gives its folder in /proc. Where there is no
/// /proc, nobody is taken for root.
fn runs_as_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_kept_where_the_platform_keeps_data() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            data_dir(true, path("/x"), path("/root")),
            path("/var/lib/neargate")
        );
        assert_eq!(
            data_dir(false, path("/x"), path("/home/ann")),
            path("/x/neargate")
        );
        assert_eq!(
            data_dir(false, path("relative"), path("/home/ann")),
            path("/home/ann/.local/share/neargate")
        );
        assert_eq!(data_dir(false, None, None), None);
    }

    #[test]
    fn a_token_file_stands_above_the_environment_and_is_named_when_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let args = ServeArgs {
            token_file: Some(file.clone()),
            ..ServeArgs::default()
        };
        assert!(
            args.token(None)
                .unwrap_err()
                .to_string()
                .contains("token file")
        );
        std::fs::write(&file, "abc\n").unwrap();
        assert_eq!(args.token(None).unwrap().unwrap().expose(), "abc");
    }
}
