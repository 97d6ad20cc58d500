//! Reading Rust, as far as the rules need it.

/// The module of the crate to which a file belongs; `None`: to none, as `src/main.rs`.
pub(crate) fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    match inside.split_once('/') {
        Some((module, _)) => Some(module),
        None => inside.strip_suffix(".rs").filter(|name| !["lib", "main"].contains(name)),
    }
}

/// The modules of ours that a file uses, each with its line: after `crate::`, in a group or not, and after as many
/// `super::` as lead to the crate.
pub(crate) fn uses_of_modules(path: &str, code: &str) -> Vec<(usize, String)> {
    let depth = path.trim_end_matches("/mod.rs").matches('/').count();
    let to_root = "super::".repeat(depth.max(1));
    let mut used = Vec::new();
    for lead in ["crate::", to_root.as_str()] {
        for (at, _) in code.match_indices(lead) {
            let line = code[..at].matches('\n').count() + 1;
            let rest = &code[at + lead.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => heads_of_group(group),
                None => vec![word_at(rest)],
            };
            used.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    used
}

/// The first word of each entry of a `use` group, whose opening brace was taken off.
pub(crate) fn heads_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut head, mut heads) = (0_u32, String::new(), Vec::new());
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(std::mem::take(&mut head)),
            _ if depth == 0 => head.push(character),
            _ => {}
        }
    }
    heads.push(head);
    heads.iter().map(|head| word_at(head.trim())).collect()
}

pub(crate) fn word_at(text: &str) -> String {
    text.chars().take_while(|character| is_word(*character)).collect()
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `word` stands in `text` as a whole: no part of a longer word or path.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let open = word.ends_with("::") || word.ends_with('!');
        let path = word.ends_with("::") && text[..at].ends_with("::");
        !before.is_some_and(is_word) && !path && (open || !after.is_some_and(is_word))
    })
}

/// A Rust source with its comments, strings and characters blanked out; lines stay where they are.
pub(crate) fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = length_of_no_code(rest, code.chars().next_back());
        if skip == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (blank, after) = rest.split_at(skip);
            code.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// How many bytes of comment, string or character literal `text` begins with; `before` is what stood in front.
pub(crate) fn length_of_no_code(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if let Some(raw) = text.strip_prefix('r').filter(|_| !before.is_some_and(is_word)) {
        let hashes = raw.chars().take_while(|character| *character == '#').count();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = 1 + hashes + 1;
            return text[open..].find(&close).map_or(text.len(), |end| open + end + close.len());
        }
    }
    if text.starts_with('"') {
        return end_of_quoted(text, '"').unwrap_or(text.len());
    }
    // A lifetime has no closing quote right after its first character.
    let mut after_quote = text.chars().skip(1);
    match (text.starts_with('\''), after_quote.next(), after_quote.next()) {
        (true, Some('\\'), _) | (true, Some(_), Some('\'')) => {
            end_of_quoted(text, '\'').unwrap_or(0)
        }
        _ => 0,
    }
}

/// The byte after the closing quote of a literal that `text` begins with.
pub(crate) fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
