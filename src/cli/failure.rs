//! Why a command did not do what it was asked, and how that is said: the fact first, then what to do.

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
    /// `fact`, without a full stop.
    pub(super) fn new(fact: impl Into<String>) -> Self {
        let complaint = Complaint {
            fact: fact.into(),
            ..Complaint::default()
        };
        Self {
            complaints: vec![complaint],
            code: 1,
        }
    }

    /// What was typed makes no sense.
    pub(super) fn usage(fact: impl Into<String>, hint: impl Into<String>) -> Self {
        let failure = Self::new(fact).hint(hint);
        Self {
            code: USAGE,
            ..failure
        }
    }

    /// Nothing is said: it has been said already, or nobody listens any more.
    pub(super) const fn silent(code: u8) -> Self {
        Self {
            complaints: Vec::new(),
            code,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(last) = self.complaints.last_mut() {
            last.hint = Some(hint.into());
        }
        self
    }

    /// The process cannot even begin.
    pub(super) fn runtime(error: &io::Error) -> Self {
        Self::new(format!("the runtime cannot be started: {error}"))
    }

    /// What the server said when it could not go on. A line `hint: …` in it is its hint.
    pub(super) fn from_server(error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        match text.split_once("\nhint: ") {
            Some((fact, hint)) => Self::new(fact).hint(hint),
            None => Self::new(text),
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
        failure
    }

    fn from_problem(problem: &Problem) -> Self {
        let fact = problem.detail.as_ref().unwrap_or(&problem.title);
        if problem.errors.is_empty() {
            let token =
                (problem.status == 401).then(|| "the token goes into NEARGATE_TOKEN".to_owned());
            let hint = problem.hint.clone().or(token);
            let complaint = Complaint {
                place: None,
                fact: fact.clone(),
                hint,
            };
            return Self {
                complaints: vec![complaint],
                code: 1,
            };
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

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(problem) => Self::from_problem(&problem),
            other => {
                let hint = other.hint();
                let failure = Self::new(other.to_string());
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
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
        Self::new(format!("standard output cannot be written to: {error}"))
    }
}

impl From<InvalidToken> for Failure {
    fn from(error: InvalidToken) -> Self {
        Self::new(error.to_string()).hint("look at NEARGATE_TOKEN")
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
        let text = Failure::new("no container `\x1b[2Jx\n`").render(false);
        assert_eq!(text, "error: no container `\\x1b[2Jx\\n`\n");
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
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.render(false)), (0, String::new()));
    }
}
