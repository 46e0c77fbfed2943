//! The words of a PDF: white space, names, numbers, and where a value ends. Nothing recurses and nothing is built.

/// Nested arrays and dictionaries.
const DEPTH: usize = 128;

/// A value, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Ref(u32),
    Null,
    /// Offset of a name, array, dictionary or string.
    At(usize),
}

pub(super) fn is_white(byte: u8) -> bool {
    matches!(byte, 0 | 9 | 10 | 12 | 13 | 32)
}

/// Whether a byte may continue a name or a number.
pub(super) fn is_regular(byte: u8) -> bool {
    !is_white(byte) && !b"()<>[]{}/%".contains(&byte)
}

/// Skips white space and comments.
pub(super) fn white(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(byte) if is_white(*byte) => at += 1,
            Some(b'%') => match bytes.get(at..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest)) {
                Some(end) => at += end,
                None => return bytes.len(),
            },
            _ => return at,
        }
    }
}

pub(super) fn int(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut end = at;
    while bytes.get(end).is_some_and(|byte| byte.is_ascii_digit() || (end == at && matches!(byte, b'+' | b'-'))) && end - at < 20 {
        end += 1;
    }
    let text = std::str::from_utf8(bytes.get(at..end)?).ok()?;
    Some((text.parse().ok()?, end))
}

pub(super) fn name(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = (bytes.get(at) == Some(&b'/')).then_some(at + 1)?;
    let len = bytes.get(start..)?.iter().take_while(|byte| is_regular(**byte)).count();
    Some((bytes.get(start..start + len)?, start + len))
}

/// `N G obj`: the number, and where the value begins.
pub(super) fn object_header(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let (number, after) = int(bytes, white(bytes, at))?;
    let (_, after) = int(bytes, white(bytes, after))?;
    let after = white(bytes, after);
    bytes.get(after..)?.starts_with(b"obj").then_some(())?;
    Some((u32::try_from(number).ok()?, white(bytes, after + 3)))
}

/// Where the value of object `number` begins, if it is the one that lies at `at`.
pub(super) fn object_at(bytes: &[u8], at: usize, number: u32) -> Option<usize> {
    object_header(bytes, at).filter(|(found, _)| *found == number).map(|(_, value)| value)
}

/// One value and where it ends; `N G R` is one.
pub(super) fn value(bytes: &[u8], at: usize) -> Option<(Value, usize)> {
    if let Some((number, after)) = int(bytes, at).filter(|(_, after)| bytes.get(*after).is_none_or(|byte| *byte != b'.')) {
        let reference = int(bytes, white(bytes, after)).and_then(|(_, after)| {
            let letter = white(bytes, after);
            let alone = bytes.get(letter + 1).is_none_or(|byte| !is_regular(*byte));
            (bytes.get(letter) == Some(&b'R') && alone).then_some(letter + 1)
        });
        return match reference {
            Some(end) => Some((Value::Ref(u32::try_from(number).ok()?), end)),
            None => Some((Value::Int(number), after)),
        };
    }
    let end = skip(bytes, at)?;
    Some((if bytes.get(at..end)? == b"null" { Value::Null } else { Value::At(at) }, end))
}

/// Where the value at `at` ends. Keeps the open brackets on a stack of its own.
fn skip(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut open: Vec<u8> = Vec::new();
    loop {
        at = white(bytes, at);
        let rest = bytes.get(at..)?;
        match rest {
            [b'<', b'<', ..] => {
                open.push(b'>');
                at += 2;
            }
            [b'[', ..] => {
                open.push(b']');
                at += 1;
            }
            [b'>', b'>', ..] => {
                (open.pop() == Some(b'>')).then_some(())?;
                at += 2;
            }
            [b']', ..] => {
                (open.pop() == Some(b']')).then_some(())?;
                at += 1;
            }
            [b'<', ..] => at += memchr::memchr(b'>', rest)? + 1,
            [b'(', ..] => at += string_len(rest)?,
            [b'/', ..] => at = name(bytes, at)?.1,
            [byte, ..] if is_regular(*byte) => at += rest.iter().take_while(|byte| is_regular(**byte)).count(),
            _ => return None,
        }
        if open.is_empty() {
            return Some(at);
        }
        if open.len() > DEPTH {
            return None;
        }
    }
}

/// Bytes of a `(string)`, with escapes and balanced brackets inside.
fn string_len(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    loop {
        match bytes.get(at)? {
            b'\\' => at += 1,
            b'(' => depth += 1,
            b')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The value itself, or the only member of an array of one.
pub(super) fn single(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'[') {
        return Some(at);
    }
    let member = white(bytes, at + 1);
    let end = white(bytes, skip(bytes, member)?);
    (bytes.get(end) == Some(&b']')).then_some(member)
}

pub(super) fn integers(bytes: &[u8], at: usize) -> Option<Vec<i64>> {
    let mut at = (bytes.get(at) == Some(&b'[')).then_some(at + 1)?;
    let mut list = Vec::new();
    loop {
        at = white(bytes, at);
        if bytes.get(at) == Some(&b']') {
            return Some(list);
        }
        let (value, after) = int(bytes, at)?;
        list.push(value);
        at = after;
        if list.len() > 100_000 {
            return None;
        }
    }
}
