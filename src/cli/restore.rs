//! The arguments of `neargate restore`, which is carried out without a server. Like those of `serve`, a setting comes from
//! a flag, the environment or the file, in this order.

use std::path::PathBuf;

use clap::Args;

/// Put a backup in the place of a data folder's database, while no server uses it
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The server must not run; tasks go on without it. What it did since the backup was made is not recorded any more: the \
next start takes up the tasks of the backup that still run, records the end of those that do not, and removes what was \
begun since. See docs/backup.md.

Example:
  neargate restore neargate-backup.db --data-dir /srv/neargate --force")]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where everything is kept [default: as for serve]
    #[arg(long, env = "NEARGATE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The TOML file of the server, which may say where that is
    #[arg(long, env = "NEARGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Also when there is a database: it is moved aside and kept
    #[arg(long)]
    pub force: bool,
}
