//! Just enough of Rust's grammar to find the paths a source file names: comments and literals blanked, `use` trees opened,
//! `super::` resolved, test modules told apart. Not a parser: what it does not understand it passes over.

/// A path named by the source, from the crate root (`crate::` dropped) or from an outside crate (`std::fs::File`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub outside: bool,
    pub segments: Vec<String>,
    /// Inside `#[cfg(test)] mod … { }`.
    pub in_tests: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Word(String),
    PathSep,
    Mark(char),
}

#[derive(Debug, Clone)]
struct Token {
    line: usize,
    kind: Kind,
}

/// The source with comments and the insides of string and character literals turned to spaces, line breaks kept.
pub fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    let hide = |out: &mut String, from: usize, to: usize| {
        out.extend(chars[from..to.min(chars.len())].iter().map(|char| if *char == '\n' { '\n' } else { ' ' }));
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let end = match rest {
            ['/', '/', ..] => at + rest.iter().position(|char| *char == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => at + block_comment(rest),
            ['"', ..] => at + quoted(rest),
            ['b' | 'c', '"', ..] if !after_word => at + 1 + quoted(&rest[1..]),
            ['b', '\'', ..] if !after_word => at + 1 + character(&rest[1..]).unwrap_or(1),
            ['r', '"' | '#', ..] if !after_word => at + raw(rest, 1).unwrap_or(0),
            ['b' | 'c', 'r', '"' | '#', ..] if !after_word => at + raw(rest, 2).unwrap_or(0),
            ['\'', ..] => at + character(rest).unwrap_or(0),
            _ => at,
        };
        if end > at {
            hide(&mut out, at, end);
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of a raw string whose `#`s or quote begin at `start`; `None` for a raw identifier.
fn raw(rest: &[char], start: usize) -> Option<usize> {
    let hashes = rest[start..].iter().take_while(|char| **char == '#').count();
    let mut at = start + hashes;
    if rest.get(at) != Some(&'"') {
        return None;
    }
    loop {
        at += 1;
        match rest.get(at) {
            None => return Some(rest.len()),
            Some('"') if rest[at + 1..].iter().take_while(|char| **char == '#').count() >= hashes => return Some(at + 1 + hashes),
            Some(_) => {}
        }
    }
}

/// Length of a character literal; `None` for a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', _, tail @ ..] => tail.iter().position(|char| *char == '\'').map(|close| close + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

fn tokens(blanked: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (index, text) in blanked.lines().enumerate() {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let start = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            let kind = if at > start {
                Kind::Word(chars[start..at].iter().collect())
            } else if chars[at] == ':' && chars.get(at + 1) == Some(&':') {
                at += 2;
                Kind::PathSep
            } else {
                at += 1;
                Kind::Mark(chars[start])
            };
            if kind != Kind::Mark(' ') {
                found.push(Token { line: index + 1, kind });
            }
        }
    }
    found
}

/// Every path that starts at `crate`, at `super`, at our own crate's name, or at one of the `outside` crates.
/// `module` is the module of the file: `["batch", "layouts"]` for `src/batch/layouts/mod.rs`.
pub fn paths(blanked: &str, module: &[String], outside: &[&str]) -> Vec<Named> {
    let tokens = tokens(blanked);
    let word = |at: usize| match tokens.get(at).map(|token| &token.kind) {
        Some(Kind::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    let is = |at: usize, kind: &Kind| tokens.get(at).is_some_and(|token| token.kind == *kind);
    let mut found = Vec::new();
    // Inline modules that are open: name, brace depth outside them, whether they are tests.
    let mut open: Vec<(String, usize, bool)> = Vec::new();
    let (mut depth, mut test_next) = (0usize, false);
    for at in 0..tokens.len() {
        match &tokens[at].kind {
            Kind::Mark('{') => depth += 1,
            Kind::Mark('}') => {
                depth = depth.saturating_sub(1);
                open.retain(|(_, outer, _)| *outer < depth);
            }
            Kind::Word(cfg) if cfg == "cfg" && word(at + 2) == Some("test") && is(at + 3, &Kind::Mark(')')) => test_next = true,
            Kind::Word(keyword) if keyword == "mod" && is(at + 2, &Kind::Mark('{')) => {
                open.push((word(at + 1).unwrap_or_default().to_owned(), depth, std::mem::take(&mut test_next)));
            }
            Kind::Word(keyword) if ["fn", "use", "struct", "enum", "impl", "mod"].contains(&keyword.as_str()) => test_next = false,
            Kind::Word(root) if is(at + 1, &Kind::PathSep) && !(at > 0 && is(at - 1, &Kind::PathSep)) => {
                let mut prefix = Vec::new();
                let mut from = at + 2;
                match root.as_str() {
                    "crate" | "messo" => {}
                    "super" => {
                        prefix = module.iter().cloned().chain(open.iter().map(|(name, ..)| name.clone())).collect();
                        prefix.pop();
                        while word(from) == Some("super") {
                            prefix.pop();
                            from += 2;
                        }
                    }
                    other if outside.contains(&other) => prefix.push(other.to_owned()),
                    _ => continue,
                }
                let (outside, in_tests) = (outside.contains(&root.as_str()), open.iter().any(|(_, _, tests)| *tests));
                tree(&tokens, from, prefix, &mut |line, segments| found.push(Named { line, outside, segments, in_tests }));
            }
            _ => {}
        }
    }
    found
}

/// Walks one path or `use` tree that starts at `at`; returns where it ends.
fn tree(tokens: &[Token], mut at: usize, mut prefix: Vec<String>, found: &mut dyn FnMut(usize, Vec<String>)) -> usize {
    loop {
        let Some(token) = tokens.get(at) else { return at };
        match &token.kind {
            Kind::Word(word) => {
                prefix.push(word.clone());
                if tokens.get(at + 1).is_some_and(|next| next.kind == Kind::PathSep) {
                    at += 2;
                    continue;
                }
                found(token.line, prefix);
                return at + 1;
            }
            Kind::Mark('{') => {
                at += 1;
                while let Some(inner) = tokens.get(at) {
                    match inner.kind {
                        Kind::Mark('}') => return at + 1,
                        Kind::Word(ref word) if word == "as" => at += 2,
                        Kind::Word(_) | Kind::Mark('{' | '*') => at = tree(tokens, at, prefix.clone(), found),
                        _ => at += 1,
                    }
                }
                return at;
            }
            // `*`, or the `<` of a turbofish: the path ends here.
            _ => {
                found(token.line, prefix);
                return at + 1;
            }
        }
    }
}
