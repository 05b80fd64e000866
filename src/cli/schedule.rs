//! `neargate schedule`: tasks that are run at the times that an expression means.

mod show;

use clap::{Args, Subcommand, ValueEnum};

use super::client::Answer;
use super::failure::Failure;
use super::parse::{self, Source};
use super::{Session, time};
use crate::shapes::{
    ConcurrencyPolicy, CreateScheduleRequest, MissedRuns, Schedule, ScheduleState, Tag,
};

/// Run tasks at certain times: create, change, list and delete schedules
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
An EXPRESSION is rate(5 minutes), cron(0 12 * * ? *) (minutes hours day-of-month month day-of-week year) or \
at(2026-11-20T13:00:00), as in Amazon EventBridge Scheduler.

Example:
  neargate schedule create nightly --expression 'cron(0 3 * * ? *)' --timezone Europe/Zurich --task-definition hello
  neargate schedule describe nightly")]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Create schedules, from documents or from what is named
    #[command(
        after_help = "Example:\n  neargate schedule create beat --expression 'rate(5 minutes)' --task-definition hello\n  \
                      neargate schedule create -f schedules/hello.yaml"
    )]
    Create(Box<CreateArgs>),
    /// Change a schedule; what is not named stays
    #[command(
        after_help = "Example:\n  neargate schedule update nightly --expression 'cron(0 4 * * ? *)'"
    )]
    Update(Box<UpdateArgs>),
    /// Let a schedule run again; what passed while it was disabled is not made up for
    #[command(after_help = "Example:\n  neargate schedule enable nightly")]
    Enable {
        /// The schedule
        name: String,
    },
    /// Keep a schedule from running; tasks that run go on
    #[command(after_help = "Example:\n  neargate schedule disable nightly")]
    Disable {
        /// The schedule
        name: String,
    },
    /// List schedules
    #[command(after_help = "Example:\n  neargate schedule ls")]
    Ls,
    /// Show all that is known of a schedule: its next times, its last runs
    #[command(after_help = "Example:\n  neargate schedule describe nightly")]
    Describe {
        /// The schedule
        name: String,
    },
    /// Delete schedules; their tasks go on
    #[command(after_help = "Example:\n  neargate schedule delete nightly")]
    Delete {
        /// The schedules
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Run what a schedule runs, now
    #[command(after_help = "Example:\n  neargate schedule run nightly")]
    Run {
        /// The schedule
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
struct CreateArgs {
    /// Its name, unless a document says it
    #[arg(required_unless_present = "files")]
    name: Option<String>,
    /// Schedules in YAML or JSON; `-` is stdin
    #[arg(short, long = "file", value_name = "FILE", value_parser = parse::source, conflicts_with_all = ["name", "expression", "timezone", "start_date", "end_date", "task_definition", "count", "concurrency_policy", "missed_runs", "starting_deadline", "description", "tags"])]
    files: Vec<Source>,
    #[command(flatten)]
    wanted: Wanted,
    /// Do not run it yet
    #[arg(long, conflicts_with = "files")]
    disabled: bool,
}

#[derive(Clone, Debug, Args)]
struct UpdateArgs {
    /// The schedule
    name: String,
    #[command(flatten)]
    wanted: Wanted,
}

/// What can be said of a schedule.
#[derive(Clone, Debug, Default, Args)]
struct Wanted {
    /// When it runs: rate(…), cron(…) or at(…)
    #[arg(short, long, value_name = "EXPRESSION")]
    expression: Option<String>,
    /// Where these times are read, such as Europe/Zurich; UTC unless said otherwise
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// It does not run before that, as 2026-11-20T13:00:00Z
    #[arg(long, value_name = "TIME")]
    start_date: Option<String>,
    /// It does not run after that
    #[arg(long, value_name = "TIME")]
    end_date: Option<String>,
    /// What its tasks run: FAMILY for its newest active revision each time, or FAMILY:REVISION
    #[arg(short, long, value_name = "FAMILY[:REV]")]
    task_definition: Option<String>,
    /// How many tasks a run has
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u32>,
    /// What happens when tasks of an earlier run still go on
    #[arg(
        long,
        value_enum,
        value_name = "allow|forbid|replace",
        hide_possible_values = true
    )]
    concurrency_policy: Option<Policy>,
    /// What happens with runs whose time passed while Neargate was not there
    #[arg(
        long,
        value_enum,
        value_name = "run-once|skip",
        hide_possible_values = true
    )]
    missed_runs: Option<Missed>,
    /// A run that could not begin so many seconds after its time does not begin at all
    #[arg(long, value_name = "SECONDS")]
    starting_deadline: Option<u32>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag to find its tasks by
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse::tag)]
    tags: Vec<Tag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Policy {
    Allow,
    Forbid,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Missed {
    #[value(alias = "runOnce")]
    RunOnce,
    Skip,
}

impl Wanted {
    /// Says in `request` what is said here.
    fn apply(self, request: &mut CreateScheduleRequest) {
        fn set<T>(field: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *field = value;
            }
        }
        if let Some(expression) = self.expression {
            request.schedule_expression = expression;
        }
        if let Some(definition) = self.task_definition {
            request.target.task_definition = definition;
        }
        set(&mut request.schedule_expression_timezone, self.timezone);
        set(&mut request.start_date, self.start_date);
        set(&mut request.end_date, self.end_date);
        set(&mut request.description, self.description);
        set(&mut request.target.count, self.count);
        set(
            &mut request.starting_deadline_seconds,
            self.starting_deadline,
        );
        let tags = (!self.tags.is_empty()).then_some(self.tags);
        set(&mut request.target.tags, tags);
        let policy = self.concurrency_policy.map(|policy| match policy {
            Policy::Allow => ConcurrencyPolicy::Allow,
            Policy::Forbid => ConcurrencyPolicy::Forbid,
            Policy::Replace => ConcurrencyPolicy::Replace,
        });
        set(&mut request.concurrency_policy, policy);
        let missed = self.missed_runs.map(|missed| match missed {
            Missed::RunOnce => MissedRuns::RunOnce,
            Missed::Skip => MissedRuns::Skip,
        });
        set(&mut request.missed_runs, missed);
    }
}

/// Runs on a page.
const RUNS: u32 = 10;

pub(super) async fn execute(session: &mut Session, args: ScheduleArgs) -> Result<u8, Failure> {
    match args.action {
        Action::Create(args) if args.files.is_empty() => create(session, *args).await,
        Action::Create(args) => create_from_files(session, &args.files).await,
        Action::Update(args) => {
            let UpdateArgs { name, wanted } = *args;
            change(session, &name, |request| wanted.apply(request)).await
        }
        Action::Enable { name } => set_state(session, &name, ScheduleState::Enabled).await,
        Action::Disable { name } => set_state(session, &name, ScheduleState::Disabled).await,
        Action::Ls => list(session).await,
        Action::Describe { name } => {
            let answer = session.client.schedule(&name).await?;
            let runs = session.client.schedule_runs(&name, RUNS).await?;
            let console = &mut session.console;
            if !console.document(&answer.document)? {
                let (now, look) = (time::now(), console.look());
                let text = show::render(&answer.value, &runs.value.items, now, look);
                console.text(&text)?;
            }
            Ok(0)
        }
        Action::Delete { names } => {
            for name in &names {
                session.client.delete_schedule(name).await?;
                session
                    .console
                    .talk(&format!("schedule {name} is deleted; its tasks go on"));
            }
            Ok(0)
        }
        Action::Run { name } => {
            let answer = session.client.run_schedule(&name).await?;
            if !session.console.document(&answer.document)? {
                for task in &answer.value.tasks {
                    session.console.line(&task.task_id)?;
                }
            }
            Ok(0)
        }
    }
}

async fn create(session: &mut Session, args: CreateArgs) -> Result<u8, Failure> {
    let mut request = CreateScheduleRequest {
        name: args.name,
        state: args.disabled.then_some(ScheduleState::Disabled),
        ..CreateScheduleRequest::default()
    };
    request.target.cluster = Some(session.cluster());
    args.wanted.apply(&mut request);
    for (value, flag) in [
        (
            &request.schedule_expression,
            "--expression 'rate(5 minutes)'",
        ),
        (&request.target.task_definition, "--task-definition FAMILY"),
    ] {
        if value.is_empty() {
            let fact = "a schedule needs an expression and a task definition";
            return Err(Failure::usage(fact, format!("add {flag}")));
        }
    }
    let answer = session.client.create_schedule(&request).await?;
    conclude(session, &answer)
}

/// Makes the schedule of each file; all are tried, whatever is wrong with some.
async fn create_from_files(session: &mut Session, files: &[Source]) -> Result<u8, Failure> {
    let mut code = 0;
    for file in files {
        let document = file.read()?;
        let answer = session
            .client
            .create_schedule_of(file.syntax(), document)
            .await;
        match answer {
            Ok(answer) => {
                conclude(session, &answer)?;
            }
            Err(error) => {
                let failure = Failure::of_document(&file.name(), error);
                session.console.complain(&failure);
                code = failure.code();
            }
        }
    }
    Ok(code)
}

fn conclude(session: &mut Session, answer: &Answer<Schedule>) -> Result<u8, Failure> {
    if !session.console.document(&answer.document)? {
        session.console.line(&answer.value.name)?;
        let next = answer.value.next_runs.first();
        let next = next.map_or("it will not run".to_owned(), |at| format!("next run: {at}"));
        session.console.talk(&next);
    }
    Ok(0)
}

/// Reads a schedule, changes what is wanted of it, and writes it back.
async fn change(
    session: &mut Session,
    name: &str,
    change: impl FnOnce(&mut CreateScheduleRequest),
) -> Result<u8, Failure> {
    let current = session.client.schedule(name).await?.value.request();
    let mut wanted = current.clone();
    change(&mut wanted);
    if wanted == current {
        session
            .console
            .talk(&format!("schedule {name} is so already"));
    }
    let answer = session.client.update_schedule(name, &wanted).await?;
    conclude(session, &answer)
}

async fn set_state(session: &mut Session, name: &str, state: ScheduleState) -> Result<u8, Failure> {
    change(session, name, |request| request.state = Some(state)).await
}

async fn list(session: &mut Session) -> Result<u8, Failure> {
    let cluster = session.named_cluster.clone();
    let answer = session.client.schedules(cluster.as_deref()).await?;
    if let (true, Some(name)) = (answer.value.is_empty(), &cluster) {
        // A name that is mistyped has no schedules either, and is no answer.
        session.client.cluster(name).await?;
    }
    let console = &mut session.console;
    if !console.document(&answer.document)? {
        let table = show::table(&answer.value, time::now());
        console.table(
            &table,
            "no schedules; make one: neargate schedule create NAME --expression 'rate(5 minutes)' --task-definition FAMILY",
        )?;
    }
    Ok(0)
}
