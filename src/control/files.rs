//! Reaching into a task that runs: its files. Under the same rule as commands, for the same data is at stake.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{Control, ControlError, OpenContainer};
use crate::engine::EngineError;

/// The longest path.
const PATH_BYTES: usize = 4_096;

impl Control {
    /// A tar of what is at `path` of a container: a file, or a folder with all that is in it.
    pub async fn read_files(
        &self,
        open: &OpenContainer,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, ControlError> {
        check(path)?;
        let found = self
            .engine
            .read_files(&open.task_id, &open.container, path)
            .await;
        let mut tar = found
            .map_err(|error| not_there(open, path, error))?
            .peekable();
        // Whether there is such a path may only be known with the first piece.
        match Pin::new(&mut tar).next_if(Result::is_err).await {
            Some(Err(error)) => Err(not_there(open, path, error)),
            _ => Ok(tar.boxed()),
        }
    }

    /// Unpacks a tar in a folder of a container. What came before an error stays.
    pub async fn write_files(
        &self,
        open: &OpenContainer,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), ControlError> {
        check(folder)?;
        let written = self
            .engine
            .write_files(&open.task_id, &open.container, folder, tar)
            .await;
        written.map_err(|error| not_there(open, folder, error))
    }
}

fn check(path: &str) -> Result<(), ControlError> {
    if path.starts_with('/') && path.len() <= PATH_BYTES && !path.contains('\0') {
        return Ok(());
    }
    Err(ControlError::invalid(
        "path",
        "is not an absolute path",
        "write it from the container's root on, as /etc/hostname",
    ))
}

/// What the engine says of a path is the user's business.
fn not_there(open: &OpenContainer, path: &str, error: EngineError) -> ControlError {
    match error {
        EngineError::NotFound(_) => ControlError::not_found(
            format!("{path} in container \"{}\"", open.container),
            "a file system in memory (tmpfs) cannot be reached like this, only from within: neargate exec",
        ),
        EngineError::Refused(why) => ControlError::conflict(
            format!(
                "{path} in container \"{}\" cannot be used: {why}",
                open.container
            ),
            "name a folder that is there and can be written",
        ),
        other => other.into(),
    }
}
