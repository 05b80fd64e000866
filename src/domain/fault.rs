//! What is wrong with a document, all of it at once.

use std::fmt;

/// One thing that is wrong, at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as `containerDefinitions[1].portMappings[0].hostPort`; empty for the document as a whole.
    pub path: String,
    /// Line and column, both from 1, when the document is a text that has them.
    pub position: Option<(u64, u64)>,
    /// What is wrong, fact first, without a full stop.
    pub message: String,
    /// What to do about it, if there is something to say.
    pub hint: Option<String>,
}

/// Everything that is wrong with a document, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes that what lies at `path` is wrong.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault {
            path: path.into(),
            position: None,
            message: message.into(),
            hint: None,
        });
    }

    /// Notes that what lies at `path` is wrong, and what to do about it.
    pub fn add_with_hint(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Fault {
            path: path.into(),
            position: None,
            message: message.into(),
            hint: Some(hint.into()),
        });
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// Gives each fault its line and column through `locate`, which knows the text, and sorts by them.
    pub fn locate(&mut self, locate: impl Fn(&str) -> Option<(u64, u64)>) {
        for fault in &mut self.0 {
            fault.position = locate(&fault.path);
        }
        self.0.sort_by_key(|fault| fault.position);
    }

    /// `value` if nothing is wrong, the faults otherwise.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl Extend<Fault> for Faults {
    fn extend<I: IntoIterator<Item = Fault>>(&mut self, faults: I) {
        self.0.extend(faults);
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

/// `12:7: containerDefinitions[0].image: is missing`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
