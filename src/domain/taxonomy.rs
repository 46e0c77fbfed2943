//! SEND's taxonomy codes: six digits and a letter, out of the list compiled in (`schemas/taxonomy.csv`; source in `schemas/FONTI.md`).

use std::sync::OnceLock;

/// What the last letter of a code says (naming only: SEND does not compare it with the payments).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaxonomyKind {
    /// `P`
    WithPayment,
    /// `N`
    WithoutPayment,
}

/// Sorted codes of the list.
fn codes() -> &'static [&'static str] {
    static CODES: OnceLock<Vec<&'static str>> = OnceLock::new();
    CODES.get_or_init(|| {
        let lines = include_str!("../../schemas/taxonomy.csv").lines().skip(1);
        let mut codes: Vec<&str> = lines.filter_map(|line| line.split(',').next()).filter(|code| !code.is_empty()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    })
}

/// Whether SEND knows `code`.
pub fn is_known(code: &str) -> bool {
    codes().binary_search(&code).is_ok()
}

/// What the letter of `code` says.
pub fn kind(code: &str) -> Option<TaxonomyKind> {
    match code.as_bytes().last() {
        Some(b'P') => Some(TaxonomyKind::WithPayment),
        Some(b'N') => Some(TaxonomyKind::WithoutPayment),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_published_codes() {
        assert_eq!(codes().len(), 93);
        for code in codes() {
            let digits = code.bytes().take(6).all(|byte| byte.is_ascii_digit());
            assert!(code.len() == 7 && digits && kind(code).is_some(), "{code}");
        }
        let table = [("010101P", true), ("010103N", true), ("010101p", false), ("999999P", false), ("", false), ("code", false)];
        for (code, want) in table {
            assert_eq!(is_known(code), want, "{code:?}");
        }
    }
}
