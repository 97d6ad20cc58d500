//! The meta-data of an agent: XML as in `ra-api-1.dtd` and `ra-api-1.1.rng` of the OCF resource agent API.

use std::time::Duration;

use roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// More elements than any agent has; bounds what a broken one can make of us.
const NODES_MAX: u32 = 10_000;

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaData {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// What it controls, in a line.
    pub shortdesc: String,
    /// The same at length.
    pub longdesc: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Its actions, with times that suit them.
    pub actions: Vec<ActionAdvice>,
}

/// A parameter of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name, without `OCF_RESKEY_`.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// Whether no two resources may have the same value.
    pub unique: bool,
    /// What it is when it is not given.
    pub default: Option<String>,
    /// What its values look like.
    pub kind: Kind,
    /// What it means, in a line.
    pub shortdesc: String,
    /// The same at length.
    pub longdesc: String,
}

/// What values of a parameter look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Anything; also any kind that the API does not know.
    String,
    /// A whole number.
    Integer,
    /// true, false, on, off, yes, no, 1, 0
    Boolean,
    /// One of these words.
    Select(Vec<String>),
}

/// An action, with the times that the agent's author advises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionAdvice {
    /// The word on the command line.
    pub name: String,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How often to repeat it.
    pub interval: Option<Duration>,
}

/// Why meta-data cannot be used. Only an agent's author can cause it.
#[derive(Debug, Error)]
pub enum MetaDataError {
    /// It is not XML.
    #[error("the agent's meta-data is not well-formed XML: {0}; run it with 'meta-data' and look")]
    Xml(#[from] roxmltree::Error),
    /// It is XML of something else.
    #[error("the agent's meta-data begins with <{0}> instead of <resource-agent>")]
    Root(String),
    /// An element without its name.
    #[error("in the agent's meta-data, line {line}: <{element}> has no name")]
    Nameless {
        /// The element.
        element: String,
        /// Its line.
        line: u32,
    },
}

impl MetaData {
    /// Reads what an agent printed for `meta-data`.
    ///
    /// # Errors
    ///
    /// A [`MetaDataError`]. What is optional in the API may be missing.
    pub fn parse(text: &str) -> Result<Self, MetaDataError> {
        let options =
            ParsingOptions { allow_dtd: true, nodes_limit: NODES_MAX, ..Default::default() };
        let document = Document::parse_with_options(text.trim_start(), options)?;
        let root = document.root_element();
        if !root.has_tag_name("resource-agent") {
            return Err(MetaDataError::Root(root.tag_name().name().to_owned()));
        }
        Ok(Self {
            name: name(root)?,
            version: root.attribute("version").map(str::to_owned),
            shortdesc: text_of(root, "shortdesc"),
            longdesc: text_of(root, "longdesc"),
            parameters: within(root, "parameters", "parameter")
                .map(parameter)
                .collect::<Result<_, _>>()?,
            actions: within(root, "actions", "action").map(action).collect::<Result<_, _>>()?,
        })
    }
}

fn parameter(node: Node<'_, '_>) -> Result<Parameter, MetaDataError> {
    let content = node.children().find(|child| child.has_tag_name("content"));
    Ok(Parameter {
        name: name(node)?,
        required: is_set(node, "required"),
        unique: is_set(node, "unique") || node.has_attribute("unique-group"),
        default: content.and_then(|content| content.attribute("default")).map(str::to_owned),
        kind: content.map_or(Kind::String, kind),
        shortdesc: text_of(node, "shortdesc"),
        longdesc: text_of(node, "longdesc"),
    })
}

fn kind(content: Node<'_, '_>) -> Kind {
    match content.attribute("type") {
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Boolean,
        Some("select") => {
            let options = content.children().filter(|child| child.has_tag_name("option"));
            Kind::Select(
                options.filter_map(|option| option.attribute("value")).map(str::to_owned).collect(),
            )
        }
        Some(_) | None => Kind::String,
    }
}

fn action(node: Node<'_, '_>) -> Result<ActionAdvice, MetaDataError> {
    let time = |attribute| node.attribute(attribute).and_then(duration);
    Ok(ActionAdvice { name: name(node)?, timeout: time("timeout"), interval: time("interval") })
}

/// `<outer><inner/><inner/></outer>` below a node.
fn within<'a, 'input>(
    node: Node<'a, 'input>,
    outer: &'static str,
    inner: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    let outer = node.children().filter(move |child| child.has_tag_name(outer));
    outer.flat_map(move |list| list.children().filter(move |child| child.has_tag_name(inner)))
}

fn name(node: Node<'_, '_>) -> Result<String, MetaDataError> {
    node.attribute("name").map(str::to_owned).ok_or_else(|| MetaDataError::Nameless {
        element: node.tag_name().name().to_owned(),
        line: node.document().text_pos_at(node.range().start).row,
    })
}

/// The text of a child, trimmed; empty where there is none.
fn text_of(node: Node<'_, '_>, child: &str) -> String {
    let child = node.children().find(|node| node.has_tag_name(child));
    child.and_then(|child| child.text()).unwrap_or_default().trim().to_owned()
}

/// Agents write 1, true or yes.
fn is_set(node: Node<'_, '_>, attribute: &str) -> bool {
    matches!(node.attribute(attribute), Some("1" | "true" | "yes"))
}

/// A time as agents write it: a number and a unit (`ms`, `s`, `m`, `h` and their longer forms); seconds without one.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "us" | "usec" => Some(Duration::from_micros(number)),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "" | "s" | "sec" => Some(Duration::from_secs(number)),
        "m" | "min" => number.checked_mul(60).map(Duration::from_secs),
        "h" | "hr" => number.checked_mul(3_600).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="sample" version="2.1">
  <version>1.1</version>
  <longdesc lang="en">
    A long story.
  </longdesc>
  <shortdesc lang="en">A sample</shortdesc>
  <parameters>
    <parameter name="ip" required="1" unique-group="address">
      <longdesc lang="en">Which &amp; where.</longdesc>
      <shortdesc lang="en">Address</shortdesc>
      <content type="string"/>
    </parameter>
    <parameter name="port">
      <content type="integer" default="80"/>
    </parameter>
    <parameter name="mode" unique="1">
      <content type="select" default="a"><option value="a"/><option value="b"/></content>
    </parameter>
  </parameters>
  <actions>
    <action name="start" timeout="20"/>
    <action name="monitor" timeout="1min" interval="500ms" depth="0"/>
  </actions>
</resource-agent>
"#;

    #[test]
    fn all_of_it_is_read() {
        let data = MetaData::parse(SAMPLE).unwrap();
        assert_eq!((data.name.as_str(), data.version.as_deref()), ("sample", Some("2.1")));
        assert_eq!(
            (data.shortdesc.as_str(), data.longdesc.as_str()),
            ("A sample", "A long story.")
        );
        let [ip, port, mode] = data.parameters.as_slice() else { panic!("{:?}", data.parameters) };
        assert!(ip.required && ip.unique && ip.default.is_none() && ip.kind == Kind::String);
        assert_eq!(ip.longdesc, "Which & where.");
        assert!(!port.required && !port.unique && port.kind == Kind::Integer);
        assert_eq!(port.default.as_deref(), Some("80"));
        assert!(mode.unique);
        assert_eq!(mode.kind, Kind::Select(vec!["a".to_owned(), "b".to_owned()]));
        let expected = ActionAdvice {
            name: "monitor".to_owned(),
            timeout: Some(Duration::from_secs(60)),
            interval: Some(Duration::from_millis(500)),
        };
        assert_eq!(data.actions.get(1), Some(&expected));
    }

    #[test]
    fn what_is_not_meta_data_is_refused() {
        assert!(matches!(MetaData::parse("Usage: nginx start|stop"), Err(MetaDataError::Xml(_))));
        assert!(
            matches!(MetaData::parse("<html/>"), Err(MetaDataError::Root(root)) if root == "html")
        );
        assert!(matches!(
            MetaData::parse("<resource-agent/>"),
            Err(MetaDataError::Nameless { line: 1, .. })
        ));
        let bomb = format!("<resource-agent name='x'>{}</resource-agent>", "<a/>".repeat(20_000));
        assert!(matches!(MetaData::parse(&bomb), Err(MetaDataError::Xml(_))));
    }

    #[test]
    fn times_have_units() {
        let table = [
            ("20", 20_000),
            ("20s", 20_000),
            ("5 sec", 5_000),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ];
        for (text, millis) in table {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1.5s", "1 fortnight", "99999999999999999999"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
