//! `neargate secret`: puts, lists and deletes secrets. No command shows a value, since no answer has one.
//!
//! A value comes from a file or from stdin, never from the command line: every user of a machine can read
//! that, and shells remember it.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::table::Table;
use super::{Session, time};
use crate::domain::{SecretValue, TimestampMs};
use crate::shapes::StoredSecret;

/// Put, list and delete secrets
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A container gets a secret as an environment variable (secrets) or as a file in memory (secretFiles); see \
docs/secrets.md.

Example:
  neargate secret put tls/key --from-file key.pem")]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Put a secret, in place of its earlier value if it has one
    #[command(after_help = "\
From stdin, one line end at the end is left out, so that `echo` and `cat` do what is meant. A file is taken byte \
for byte. The value never stands on the command line, which other users can read: printf %s \"$PASSWORD\" | neargate \
secret put db/password

Example:
  neargate secret put tls/key --from-file key.pem")]
    Put {
        /// Its name
        name: String,
        /// The file that holds the value
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// List secrets, without their values
    #[command(after_help = "Example:\n  neargate secret list")]
    List,
    /// Delete a secret
    #[command(after_help = "Example:\n  neargate secret delete db-password")]
    Delete {
        /// Its name
        name: String,
        /// Also when task definitions use it: their tasks will not start any more
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn execute(session: &mut Session, args: SecretArgs) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    match args.action {
        Action::Put { name, from_file } => {
            let value = match from_file {
                Some(path) => from_file_at(&path)?,
                None => from_stdin(&name)?,
            };
            let answer = client.put_secret(&name, value).await?;
            if !console.document(&answer.document)? {
                console.line(&answer.value.name)?;
            }
        }
        Action::List => {
            let answer = client.secrets().await?;
            if !console.document(&answer.document)? {
                let table = table(&answer.value, time::now());
                console.table(
                    &table,
                    "no secrets; put one: neargate secret put NAME < FILE",
                )?;
            }
        }
        Action::Delete { name, force } => {
            let document = client.delete_secret(&name, force).await?;
            if document.is_null() || !console.document(&document)? {
                console.talk(&format!("secret {name} is deleted"));
            }
        }
    }
    Ok(0)
}

fn from_file_at(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        let fact = format!("{} cannot be read: {error}", path.display());
        Failure::new(fact, "name a file that you may read")
    };
    read(&mut std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)
}

fn from_stdin(name: &str) -> Result<Vec<u8>, Failure> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::new(
            "a value that is typed would stay on the screen",
            format!("read -rs VALUE && printf %s \"$VALUE\" | neargate secret put {name}"),
        ));
    }
    let unreadable = |error| {
        let hint = format!("name a file instead: neargate secret put {name} --from-file FILE");
        Failure::new(format!("stdin cannot be read: {error}"), hint)
    };
    Ok(without_line_end(read(&mut stdin).map_err(unreadable)?))
}

/// One byte more than is allowed tells the server that it is too much.
fn read(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut value = Vec::with_capacity(SecretValue::MOST_BYTES + 2);
    let most = u64::try_from(SecretValue::MOST_BYTES).unwrap_or(u64::MAX) + 2;
    from.take(most).read_to_end(&mut value)?;
    Ok(value)
}

fn without_line_end(mut value: Vec<u8>) -> Vec<u8> {
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    value
}

fn table(secrets: &[StoredSecret], now: TimestampMs) -> Table {
    let mut table = Table::new(&["SECRET", "VERSION", "CREATED", "UPDATED"]);
    for secret in secrets {
        table.row([
            (&secret.name).into(),
            secret.version.to_string().into(),
            time::ago(&secret.created_at, now).into(),
            time::ago(&secret.updated_at, now).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_left_out() {
        for (given, kept) in [
            ("pw\n", "pw"),
            ("pw\r\n", "pw"),
            ("pw", "pw"),
            ("a\nb\n\n", "a\nb\n"),
        ] {
            assert_eq!(without_line_end(given.into()), kept.as_bytes(), "{given:?}");
        }
    }
}
