//! Parameters of a resource against the meta-data of its agent.

use std::collections::BTreeMap;

use thiserror::Error;

use super::metadata::{Kind, MetaData, Parameter};
use crate::config::hint;

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamProblem {
    /// The agent does not know it.
    #[error("there is no parameter '{name}'; {hint}")]
    Unknown {
        /// The parameter.
        name: String,
        /// The nearest that the agent knows, or else all of them.
        hint: String,
    },
    /// The agent cannot do without it.
    #[error("the parameter '{name}' is missing ({shortdesc})")]
    Missing {
        /// The parameter.
        name: String,
        /// What it means.
        shortdesc: String,
    },
    /// Its value is of another kind.
    #[error("the parameter '{name}' is '{value}', but must be {expected}")]
    Value {
        /// The parameter.
        name: String,
        /// Its value.
        value: String,
        /// What it should look like.
        expected: String,
    },
}

impl MetaData {
    /// Everything that is wrong with these parameters.
    #[must_use]
    pub fn check(&self, params: &BTreeMap<String, String>) -> Vec<ParamProblem> {
        let missing = self
            .parameters
            .iter()
            .filter(|known| known.required && !params.contains_key(&known.name));
        let missing = missing.map(|known| ParamProblem::Missing {
            name: known.name.clone(),
            shortdesc: known.shortdesc.clone(),
        });
        let given = params.iter().filter_map(|(name, value)| {
            match self.parameters.iter().find(|known| known.name == *name) {
                Some(known) => known.problem_with(value),
                None => {
                    let known = self.parameters.iter().map(|known| known.name.as_str());
                    Some(ParamProblem::Unknown { name: name.clone(), hint: hint(name, known) })
                }
            }
        });
        missing.chain(given).collect()
    }
}

impl Parameter {
    fn problem_with(&self, value: &str) -> Option<ParamProblem> {
        let expected = match &self.kind {
            Kind::String => return None,
            Kind::Integer if value.trim().parse::<i64>().is_ok() => return None,
            Kind::Integer => "a whole number".to_owned(),
            Kind::Boolean if is_boolean(value) => return None,
            Kind::Boolean => "true or false".to_owned(),
            Kind::Select(words) if words.iter().any(|word| word == value) => return None,
            Kind::Select(words) => format!("one of {}", words.join(", ")),
        };
        Some(ParamProblem::Value { name: self.name.clone(), value: value.to_owned(), expected })
    }
}

/// The words of `ocf_is_true` in Debian's `ocf-shellfuncs`, and their opposites.
fn is_boolean(value: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"];
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = r#"<resource-agent name="x"><parameters>
        <parameter name="ip" required="1"><shortdesc>Address</shortdesc><content type="string"/></parameter>
        <parameter name="port"><content type="integer"/></parameter>
        <parameter name="log"><content type="boolean"/></parameter>
        <parameter name="mode"><content type="select"><option value="a"/><option value="b"/></content></parameter>
    </parameters></resource-agent>"#;

    fn problems(params: &[(&str, &str)]) -> Vec<String> {
        let params =
            params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        MetaData::parse(AGENT).unwrap().check(&params).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_parameters_pass() {
        assert!(problems(&[("ip", "x"), ("port", "80"), ("log", "Yes"), ("mode", "b")]).is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(
            problems(&[
                ("log", "maybe"),
                ("mode", "c"),
                ("port", "http"),
                ("prot", "1"),
                ("something", "")
            ]),
            [
                "the parameter 'ip' is missing (Address)",
                "the parameter 'log' is 'maybe', but must be true or false",
                "the parameter 'mode' is 'c', but must be one of a, b",
                "the parameter 'port' is 'http', but must be a whole number",
                "there is no parameter 'prot'; did you mean `port`?",
                "there is no parameter 'something'; known here: ip, port, log, mode",
            ]
        );
    }
}
