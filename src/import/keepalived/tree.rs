//! From lines to statements with their blocks. A statement ends with its line; `{` opens the block of the statement before
//! it, on the same line or alone on the next one.

use super::lines::Line;
use crate::import::report::{Place, Report};

/// Blocks in blocks; Keepalived itself has five.
const MAX_DEPTH: usize = 16;

/// Words, and perhaps a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its first line; with a block its last one, too.
    pub(super) at: Place,
    pub(super) words: Vec<String>,
    pub(super) block: Option<Vec<Self>>,
}

impl Statement {
    /// A word, or nothing.
    pub(super) fn word(&self, at: usize) -> &str {
        self.words.get(at).map(String::as_str).unwrap_or_default()
    }

    /// The words, with single blanks.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }

    /// The statements in its block.
    pub(super) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The first line alone: what is told of a block's head.
    pub(super) fn head(&self) -> Place {
        Place { last: self.at.line, ..self.at }
    }
}

/// The statements of a file. What is unbalanced is a fault.
pub(super) fn read(lines: &[Line], report: &mut Report) -> Vec<Statement> {
    // The blocks that are open, from the outermost on; the last statement of each is the one whose block comes next.
    let mut open: Vec<Vec<Statement>> = vec![Vec::new()];
    for line in lines {
        let mut fresh = true;
        for token in tokens(&line.text) {
            match token {
                Token::Word(word) | Token::Quoted(word) => {
                    add(&mut open, line.at, word, fresh);
                    fresh = false;
                }
                Token::Semicolon => report.fault(
                    line.at,
                    "keepalived ends a statement with its line and knows no `;`; take it out, one statement a line",
                ),
                Token::Open => {
                    begin(&mut open, line.at, report);
                    fresh = true;
                }
                Token::Close => {
                    end(&mut open, line.at, report);
                    fresh = true;
                }
            }
        }
    }
    while open.len() > 1 {
        let inner = open.pop().unwrap_or_default();
        if let Some(statement) = open.last_mut().and_then(|block| block.last_mut()) {
            let text = format!("the block of `{}` is never closed; add a `}}`", statement.word(0));
            report.fault(statement.head(), text);
            statement.block = Some(inner);
        }
    }
    open.pop().unwrap_or_default()
}

fn add(open: &mut [Vec<Statement>], at: Place, word: String, fresh: bool) {
    let Some(block) = open.last_mut() else { return };
    match block.last_mut() {
        Some(statement) if !fresh => statement.words.push(word),
        Some(_) | None => block.push(Statement { at, words: vec![word], block: None }),
    }
}

fn begin(open: &mut Vec<Vec<Statement>>, at: Place, report: &mut Report) {
    let head = open.last().and_then(|block| block.last());
    if head.is_none_or(|statement| statement.block.is_some()) {
        report.fault(at, "this `{` belongs to no statement; take it and its `}` out");
        // So that its `}` is not taken for another's.
        if let Some(block) = open.last_mut() {
            block.push(Statement { at, words: vec!["{".to_owned()], block: None });
        }
    }
    if open.len() > MAX_DEPTH {
        report.fault(at, "the blocks are nested too deep; is it the right file?");
    }
    open.push(Vec::new());
}

fn end(open: &mut Vec<Vec<Statement>>, at: Place, report: &mut Report) {
    if open.len() < 2 {
        report.fault(at, "this `}` closes nothing; take it out, or add the `{` that it belongs to");
        return;
    }
    let inner = open.pop().unwrap_or_default();
    if let Some(statement) = open.last_mut().and_then(|block| block.last_mut()) {
        statement.block = Some(inner);
        // A block may go on in an included file: then its last line is not told.
        if statement.at.file == at.file {
            statement.at.last = at.line;
        }
    }
}

enum Token {
    Word(String),
    Quoted(String),
    /// At the end of a word that is not quoted.
    Semicolon,
    Open,
    Close,
}

/// Words are separated by white space; a quoted one may hold it. `${NAME}` that was not replaced is part of a word.
fn tokens(line: &str) -> Vec<Token> {
    let mut lexer = Lexer::default();
    let mut in_quotes = false;
    let mut in_variable = false;
    for character in line.chars() {
        match character {
            '"' => {
                in_quotes = !in_quotes;
                lexer.quoted = true;
            }
            _ if in_quotes => lexer.word.push(character),
            '{' if lexer.word.ends_with('$') => {
                in_variable = true;
                lexer.word.push(character);
            }
            '}' if in_variable => {
                in_variable = false;
                lexer.word.push(character);
            }
            '{' | '}' => {
                lexer.finish_word();
                lexer.tokens.push(if character == '{' { Token::Open } else { Token::Close });
            }
            _ if character.is_whitespace() => lexer.finish_word(),
            _ => lexer.word.push(character),
        }
    }
    lexer.finish_word();
    lexer.tokens
}

#[derive(Default)]
struct Lexer {
    tokens: Vec<Token>,
    /// What was read of the present word, and whether some of it was quoted.
    word: String,
    quoted: bool,
}

impl Lexer {
    fn finish_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        match (std::mem::take(&mut self.quoted), word.strip_suffix(';')) {
            (true, _) => self.tokens.push(Token::Quoted(word)),
            (false, None) if word.is_empty() => {}
            (false, None) => self.tokens.push(Token::Word(word)),
            (false, Some(_)) => self.tokens.push(Token::Semicolon),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Statement>, String> {
        let mut report = Report::default();
        let file = report.file("k.conf");
        let lines: Vec<Line> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| Line { at: Place::new(file, index + 1), text: line.to_owned() })
            .collect();
        let statements = read(&lines, &mut report);
        report.finish(Some(statements)).map(|(made, _)| made).map_err(|errors| errors.to_string())
    }

    /// `a b{c;d{e}}` for `a b { c` and so on.
    fn shape(statements: &[Statement]) -> String {
        let each = statements.iter().map(|statement| match &statement.block {
            Some(block) => format!("{}{{{}}}", statement.text(), shape(block)),
            None => statement.text(),
        });
        each.collect::<Vec<_>>().join(";")
    }

    #[test]
    fn blocks_open_on_the_same_line_or_the_next() {
        for (text, wanted) in [
            ("a b {\n c\n d {\n e\n }\n}\nf", "a b{c;d{e}};f"),
            ("a\n{\n c\n}\n", "a{c}"),
            ("a { c }\nb { d e }", "a{c};b{d e}"),
            ("a {\n} b\n", "a{};b"),
            ("script \"x { y }\" z", "script x { y } z"),
            ("a ${B}c", "a ${B}c"),
            ("track { chk", ""),
        ] {
            let read = read_text(text);
            match wanted {
                "" => assert!(read.is_err(), "{text}"),
                _ => assert_eq!(shape(&read.unwrap()), wanted, "{text}"),
            }
        }
        let read = read_text("a {\n b\n}\n").unwrap();
        assert_eq!((read[0].at.line, read[0].at.last), (1, 3));
    }

    #[test]
    fn what_is_unbalanced_is_told_with_its_line() {
        for (text, wanted) in [
            ("a {\n b {\n c\n}\n", "k.conf:1: the block of `a` is never closed"),
            ("a\n}\n", "k.conf:2: this `}` closes nothing"),
            ("{\n a\n}\n", "k.conf:1: this `{` belongs to no statement"),
            ("a {\n}\n{\n b\n}\n", "k.conf:3: this `{` belongs to no statement"),
            ("a \"b;\" PASS;\n", "k.conf:1: keepalived ends a statement with its line"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(read_text(&"a {\n".repeat(40)).unwrap_err().contains("too deep"));
    }
}
