//! `neargate events`: what happened, and what happens.

use clap::Args;

use super::backoff::Backoff;
use super::client::{ClientError, EventQuery, EventStream};
use super::console::Console;
use super::failure::Failure;
use super::{Session, sanitise};
use crate::domain::EventKind;
use crate::shapes::Event;

/// Show what happened
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Each event has a number, counted up from 1. With -f, only what happens from now on is shown, unless --after \
says where to begin.

Example:
  neargate events -f --kind TaskStateChange")]
pub(super) struct EventsArgs {
    /// Go on as things happen
    #[arg(short, long)]
    follow: bool,
    /// Only those with a larger number
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<EventKind>,
    /// Only those about this task, service, FAMILY:REVISION or cluster
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
}

fn kind(text: &str) -> Result<EventKind, String> {
    EventKind::parse(text).ok_or_else(|| {
        "it is TaskStateChange, TaskNotice, Server or another kind that events shows".to_owned()
    })
}

pub(super) async fn execute(session: &mut Session, args: EventsArgs) -> Result<u8, Failure> {
    let query = EventQuery {
        after: args.after,
        kind: args.kind.map(|kind| kind.to_string()),
        subject: args.subject,
        cluster: session.named_cluster.clone(),
    };
    if args.follow {
        follow(session, query).await?;
    } else {
        list(session, &query).await?;
    }
    Ok(0)
}

/// Page after page, each printed as it comes: there can be more than anybody wants to hold.
async fn list(session: &mut Session, query: &EventQuery) -> Result<(), Failure> {
    let mut token: Option<String> = None;
    loop {
        let page = session.client.events(query, token.as_deref()).await?.value;
        for event in &page.items {
            print(&mut session.console, event)?;
        }
        session.console.flush()?;
        if page.next_token.is_none() || page.next_token == token {
            return Ok(());
        }
        token = page.next_token;
    }
}

/// Goes on for ever; after a lost connection, with the event that comes after the last one seen.
async fn follow(session: &mut Session, mut query: EventQuery) -> Result<(), Failure> {
    let mut backoff = Backoff::default();
    let (mut was_connected, mut is_lost) = (false, false);
    loop {
        let error = match session.client.event_stream(&query).await {
            Ok(stream) => {
                if std::mem::replace(&mut is_lost, false) {
                    session.console.talk("it answers again");
                }
                was_connected = true;
                backoff.connected();
                show(session, stream, &mut query.after, &mut backoff).await?
            }
            Err(error) => error,
        };
        // A server that was never there is not waited for.
        let delay = if error.retryable() && was_connected {
            backoff.failed()
        } else {
            None
        };
        let Some(delay) = delay else {
            return Err(error.into());
        };
        if !std::mem::replace(&mut is_lost, true) {
            let text = format!("{error}; it is looked for again");
            session.console.warn(&text);
        }
        tokio::time::sleep(delay).await;
    }
}

/// Prints what comes after the event numbered `last`, until the stream breaks; how, is what is given back.
async fn show(
    session: &mut Session,
    mut stream: EventStream,
    last: &mut Option<u64>,
    backoff: &mut Backoff,
) -> Result<ClientError, Failure> {
    loop {
        let event = match stream.next().await {
            Ok(event) => event,
            Err(error) => return Ok(error),
        };
        backoff.succeeded();
        // The server begins behind Last-Event-ID; if it did not, nothing is shown twice.
        if last.is_none_or(|last| event.seq > last) {
            *last = Some(event.seq);
            print(&mut session.console, &event)?;
            session.console.flush()?;
        }
    }
}

fn print(console: &mut Console, event: &Event) -> Result<(), Failure> {
    if !console.record(event)? {
        let subject = console.id(&event.subject).to_owned();
        console.text(&line(event, &subject))?;
    }
    Ok(())
}

/// `2026-01-31T08:15:00.250Z  12  TaskStateChange    0123456789ab  RUNNING  all containers have started`
fn line(event: &Event, subject: &str) -> String {
    let status = event
        .status
        .as_deref()
        .map(|status| format!("{status}  "))
        .unwrap_or_default();
    let line = format!(
        "{}  {:>5}  {:17}  {subject}  {status}{}",
        event.at, event.seq, event.kind, event.message
    );
    sanitise::one_line(&line) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let mut event = Event {
            seq: 12,
            at: "2026-01-31T08:15:00.250Z".to_owned(),
            kind: "TaskStateChange".to_owned(),
            cluster: Some("default".to_owned()),
            subject: "0123456789abcdef0123456789abcdef".to_owned(),
            status: Some("RUNNING".to_owned()),
            message: "all containers\nhave started".to_owned(),
        };
        assert_eq!(
            line(&event, "0123456789ab"),
            "2026-01-31T08:15:00.250Z     12  TaskStateChange    0123456789ab  RUNNING  all containers\\nhave started\n"
        );
        event.status = None;
        event.kind = "Server".to_owned();
        assert_eq!(
            line(&event, "neargate"),
            "2026-01-31T08:15:00.250Z     12  Server             neargate  all containers\\nhave started\n"
        );
        assert_eq!(kind("TaskNotice"), Ok(EventKind::TaskNotice));
        assert!(kind("tasknotice").is_err());
    }
}
