//! What is wrong with a configuration file, and where.

use std::fmt;

/// Something about one place of a configuration file: an error, or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// What is wrong; what to do about it.
    pub text: String,
}

/// Everything that is wrong with a configuration file, by line.
///
/// Printed one problem a line, as compilers do: `cluster.toml:12: message; hint`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The file, as it was named to us.
    pub file: String,
    /// At least one, in the order of the file.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// One error about the file as a whole.
    pub(super) fn whole(file: &str, text: String) -> Self {
        Self { file: file.to_owned(), problems: vec![Problem { line: None, text }] }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.line {
                Some(line) => write!(f, "{}:{line}: {}", self.file, problem.text)?,
                None => write!(f, "{}: {}", self.file, problem.text)?,
            }
        }
        Ok(())
    }
}
