//! Why a command did not do what it was asked, and how that is said: the fact first, then what to do.
//!
//! There is always something to do: a failure cannot be made without a hint. Only of the many faults of a document some have
//! none of their own; then the last one says where to read on.

use std::fmt::Write as _;
use std::io;

use super::client::ClientError;
use super::sanitise::one_line;
use super::token::InvalidToken;
use crate::shapes::Problem;

/// A command line that makes no sense.
const USAGE: u8 = 2;

/// Why a command did not do what it was asked. Several things can be wrong at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    complaints: Vec<Complaint>,
    code: u8,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Complaint {
    /// Where, as compilers write it: `web.yaml:12:7`. Such a line begins with the place, so that editors
    /// find it.
    place: Option<String>,
    fact: String,
    hint: Option<String>,
}

impl Failure {
    /// `fact`, without a full stop, and what to do about it.
    pub(super) fn new(fact: impl Into<String>, hint: impl Into<String>) -> Self {
        let complaint = Complaint {
            place: None,
            fact: fact.into(),
            hint: Some(hint.into()),
        };
        Self {
            complaints: vec![complaint],
            code: 1,
        }
    }

    /// What was typed makes no sense.
    pub(super) fn usage(fact: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            ..Self::new(fact, hint)
        }
    }

    /// Nothing is said: it has been said already, or nobody listens any more.
    pub(super) const fn silent(code: u8) -> Self {
        Self {
            complaints: Vec::new(),
            code,
        }
    }

    /// The process cannot even begin.
    pub(super) fn runtime(error: &io::Error) -> Self {
        Self::new(
            format!("the runtime cannot be started: {error}"),
            "this user may have no more threads or files: ulimit -a says how many",
        )
    }

    /// What the server said when it could not go on. A line `hint: …` in it is its hint.
    pub(super) fn from_server(error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        match text.split_once("\nhint: ") {
            Some((fact, hint)) => Self::new(fact, hint),
            None => Self::new(text, "what is wrong with this machine: neargate doctor"),
        }
    }

    /// What the API said about the document in `file`, one complaint for each fault in it.
    pub(super) fn of_document(file: &str, error: ClientError) -> Self {
        let problem = match error {
            ClientError::Refused(problem) if is_about_document(problem.status) => problem,
            // Something else is wrong, and would be with any document.
            other => return other.into(),
        };
        let mut failure = Self::from_problem(&problem);
        for (complaint, fault) in failure.complaints.iter_mut().zip(&problem.errors) {
            complaint.place = Some(match (fault.line, fault.column) {
                (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
                (Some(line), None) => format!("{file}:{line}"),
                _ => file.to_owned(),
            });
        }
        for complaint in failure.complaints.iter_mut().skip(problem.errors.len()) {
            complaint.place = Some(file.to_owned());
        }
        if let Some(last) = failure.complaints.last_mut() {
            // No fault of all of them says what to do, so that this is not said after a better one.
            let says_it = problem.errors.iter().any(|fault| fault.hint.is_some());
            let read_on = || FIELDS.to_owned();
            last.hint = last.hint.take().or_else(|| (!says_it).then(read_on));
        }
        failure
    }

    fn from_problem(problem: &Problem) -> Self {
        let fact = problem.detail.as_ref().unwrap_or(&problem.title);
        if problem.errors.is_empty() {
            return Self::new(fact, what_to_do(problem));
        }
        let complaints = problem.errors.iter().map(|fault| Complaint {
            place: None,
            fact: if fault.path.is_empty() {
                fault.message.clone()
            } else {
                format!("{}: {}", fault.path, fault.message)
            },
            hint: fault.hint.clone(),
        });
        Self {
            complaints: complaints.collect(),
            code: 1,
        }
    }

    /// The same, with another exit code.
    #[must_use]
    pub(super) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What the process returns.
    pub(super) const fn code(&self) -> u8 {
        self.code
    }

    /// What is written to stderr. Names in it come from elsewhere, so it is made harmless.
    pub(super) fn render(&self, colour: bool) -> String {
        let (red, cyan, reset) = if colour {
            ("\x1b[31m", "\x1b[36m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut text = String::new();
        for complaint in &self.complaints {
            let fact = one_line(&complaint.fact);
            // Writing to a string does not fail.
            let _ = match &complaint.place {
                Some(place) => writeln!(text, "{}: {fact}", one_line(place)),
                None => writeln!(text, "{red}error:{reset} {fact}"),
            };
            if let Some(hint) = &complaint.hint {
                let _ = writeln!(text, "{cyan}hint:{reset} {}", one_line(hint));
            }
        }
        text
    }
}

/// Whether an HTTP status says that something is wrong with what was sent.
const fn is_about_document(status: u16) -> bool {
    matches!(status, 400 | 409 | 413 | 415 | 422)
}

/// What to do about a problem: what the server says, else what its kind suggests.
pub(super) fn what_to_do(problem: &Problem) -> String {
    let known = match problem.status {
        401 => "the token goes into NEARGATE_TOKEN",
        403 => "who may do that: neargate keys",
        404 => "what there is: neargate ps --all, neargate service ls, neargate definitions",
        409 => "it may have changed in between: look at it, and try again",
        413 => "send less at once",
        429 => "wait a little, and try again",
        400..=499 => "neargate COMMAND --help says what it takes",
        _ => "how the server is: neargate status; its log says more",
    };
    let said = problem.hint.clone();
    said.unwrap_or_else(|| known.to_owned())
}

/// Where to read on about a document.
const FIELDS: &str = "what it may say: docs/task-definition-fields.md and docs/service-fields.md";

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => Self::from_problem(&problem),
            other => {
                let hint = other.hint();
                Self::new(other.to_string(), hint)
            }
        }
    }
}

/// stdout cannot be written to. A reader that went away, as `head` does, is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(0);
        }
        Self::new(
            format!("standard output cannot be written to: {error}"),
            "is there room where it goes?",
        )
    }
}

impl From<InvalidToken> for Failure {
    fn from(error: InvalidToken) -> Self {
        Self::new(error.to_string(), "look at NEARGATE_TOKEN")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::ProblemError;

    fn fault(
        path: &str,
        at: Option<(u64, u64)>,
        message: &str,
        hint: Option<&str>,
    ) -> ProblemError {
        ProblemError {
            path: path.to_owned(),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn faults_of_a_file_look_like_a_compilers() {
        let problem = Problem {
            status: 400,
            title: "Invalid document".to_owned(),
            detail: Some("2 things are wrong".to_owned()),
            errors: vec![
                fault(
                    "containerDefinitions[0].image",
                    Some((12, 7)),
                    "is missing",
                    None,
                ),
                fault(
                    "memry",
                    Some((4, 1)),
                    "is not a known field",
                    Some("did you mean `memory`?"),
                ),
                fault("", None, "holds nothing", None),
            ],
            ..Problem::default()
        };
        let failure = Failure::of_document(
            "task-definitions/web.yaml",
            ClientError::Refused(Box::new(problem)),
        );
        assert_eq!(failure.code(), 1);
        assert_eq!(
            failure.render(false),
            "task-definitions/web.yaml:12:7: containerDefinitions[0].image: is missing\n\
             task-definitions/web.yaml:4:1: memry: is not a known field\n\
             hint: did you mean `memory`?\n\
             task-definitions/web.yaml: holds nothing\n"
        );
    }

    #[test]
    fn a_problem_without_faults_says_its_detail_and_its_hint() {
        let problem = Problem {
            title: "Payload Too Large".to_owned(),
            status: 413,
            detail: Some("the document has more than 1 MiB".to_owned()),
            hint: Some("split it".to_owned()),
            ..Problem::default()
        };
        let refused = || ClientError::Refused(Box::new(problem.clone()));
        assert_eq!(
            Failure::from(refused()).render(false),
            "error: the document has more than 1 MiB\nhint: split it\n"
        );
        assert_eq!(
            Failure::of_document("-", refused()).render(false),
            "-: the document has more than 1 MiB\nhint: split it\n"
        );
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_move_the_cursor() {
        let text = Failure::new("no container `\x1b[2Jx\n`", "\x07").render(false);
        assert_eq!(text, "error: no container `\\x1b[2Jx\\n`\nhint: \\x07\n");
    }

    #[test]
    fn the_servers_own_words_keep_their_hint() {
        let error =
            anyhow::anyhow!("another Neargate (pid 7) uses this folder\nhint: stop it: kill 7");
        assert_eq!(
            Failure::from_server(&error).render(false),
            "error: another Neargate (pid 7) uses this folder\nhint: stop it: kill 7\n"
        );
    }

    #[test]
    fn whatever_goes_wrong_there_is_a_hint() {
        let endpoint = || "http://127.0.0.1:6327".to_owned();
        let reason = || "reset".to_owned();
        let mut errors = vec![
            ClientError::NoAnswer {
                endpoint: endpoint(),
                reason: String::new(),
                is_here: true,
            },
            ClientError::NoAnswer {
                endpoint: endpoint(),
                reason: reason(),
                is_here: false,
            },
            ClientError::Lost {
                endpoint: endpoint(),
                reason: reason(),
            },
            ClientError::TooSlow {
                endpoint: endpoint(),
                seconds: 30,
            },
            ClientError::Status {
                endpoint: endpoint(),
                status: 502,
            },
            ClientError::Foreign {
                endpoint: endpoint(),
                what: reason(),
            },
            ClientError::Endpoint {
                endpoint: endpoint(),
                rule: "x",
            },
            ClientError::Name { name: reason() },
        ];
        errors.extend((400..600).map(|status| {
            ClientError::Refused(Box::new(Problem {
                status,
                title: "No".to_owned(),
                ..Problem::default()
            }))
        }));
        let mut failures: Vec<Failure> = errors.iter().cloned().map(Failure::from).collect();
        let of_document = |error| Failure::of_document("web.yaml", error);
        failures.extend(errors.into_iter().map(of_document));
        failures.push(Failure::of_document(
            "web.yaml",
            ClientError::Refused(Box::new(Problem {
                status: 400,
                errors: vec![fault("cpu", None, "is missing", None)],
                ..Problem::default()
            })),
        ));
        failures.push(Failure::runtime(&io::Error::from(io::ErrorKind::Other)));
        failures.push(Failure::from_server(&anyhow::anyhow!("no")));
        failures.push(io::Error::from(io::ErrorKind::StorageFull).into());
        failures.push("".parse::<crate::cli::Token>().unwrap_err().into());
        for failure in failures {
            let text = failure.render(false);
            let hint = text.lines().last().unwrap_or_default();
            assert!(
                hint.len() > "hint: ".len() && hint.starts_with("hint: "),
                "{text}"
            );
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.render(false)), (0, String::new()));
    }
}
