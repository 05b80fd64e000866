//! `neargate restore`: puts a backup in the place of the database of a data folder that no server uses.

use anyhow::{Result, anyhow};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use crate::cli::{self, RestoreArgs};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ConfigFile;
use crate::store::{Restored, Store, StoreError};

/// Restores, and returns what there is to say about it.
pub fn restore(args: RestoreArgs) -> LocalBoxFuture<'static, Result<Vec<String>>> {
    carry_out(args).boxed_local()
}

async fn carry_out(args: RestoreArgs) -> Result<Vec<String>> {
    let file = args.config.as_deref().map(ConfigFile::read).transpose()?;
    let data_dir = args
        .data_dir
        .clone()
        .or(file.and_then(|file| file.data_dir))
        .or_else(cli::default_data_dir)
        .ok_or_else(|| {
            anyhow!("there is no home folder to keep data in\nhint: name one with --data-dir")
        })?;
    let restored = Store::restore(&data_dir, &args.file, args.force, SystemClock.now())
        .await
        .map_err(|error| refused(error, &args))?;
    Ok(talk(&restored, &data_dir.display().to_string()))
}

fn refused(error: StoreError, args: &RestoreArgs) -> anyhow::Error {
    let hint = match &error {
        StoreError::Locked { .. } => "stop it first; its tasks go on without it".to_owned(),
        StoreError::AlreadyExists { .. } => format!(
            "neargate restore {} --force moves it aside, where it is kept",
            args.file.display()
        ),
        StoreError::NewerDatabase { .. } => {
            "restore it with the Neargate that made it, or a newer one".to_owned()
        }
        StoreError::Unreadable { .. } => {
            "name a file that neargate backup has made; nothing was changed".to_owned()
        }
        _ => "nothing was changed; make sure that the file can be read and the data folder be written".to_owned(),
    };
    anyhow::Error::new(error).context(format!("the backup was not restored\nhint: {hint}"))
}

fn talk(restored: &Restored, data_dir: &str) -> Vec<String> {
    let Restored {
        instance_id,
        until,
        unfinished_tasks,
        lacks_key,
        replaced,
    } = restored;
    let mut lines = vec![
        format!("restored: Neargate {instance_id} as of {until}, in {data_dir}"),
        format!(
            "{unfinished_tasks} task{} had not stopped then; the next start takes up those that still run, records the \
             end of those that do not, and removes what was begun since",
            if *unfinished_tasks == 1 { "" } else { "s" }
        ),
    ];
    if let Some(replaced) = replaced {
        lines.push(format!(
            "the database that was there is {} now",
            replaced.display()
        ));
    }
    if *lacks_key {
        lines.push(format!(
            "its secrets are sealed, and {data_dir}/secret.key is not there: put your copy of it in its place"
        ));
    }
    lines.push(format!("start it: neargate serve --data-dir {data_dir}"));
    lines
}
