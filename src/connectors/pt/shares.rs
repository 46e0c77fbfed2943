//! How an amount is spread over the lines that a partner keeps below it (bilancio, components).
//!
//! The lines keep their proportions: what cannot be divided goes, cent by cent, to those that lost most by it.

/// The lines for another total, in the same order; a line may become zero. `None`: there is nothing to go by.
pub(super) fn spread(lines: &[i64], total: i64) -> Option<Vec<i64>> {
    let sum: i128 = lines.iter().map(|line| i128::from(*line)).sum();
    if total < 0 || sum <= 0 || lines.iter().any(|line| *line < 0) {
        return None;
    }
    // (whole cents, what is lost)
    let parts: Vec<(i128, i128)> = lines.iter().map(|line| i128::from(*line) * i128::from(total)).map(|n| (n / sum, n % sum)).collect();
    let mut missing = i128::from(total) - parts.iter().map(|(whole, _)| whole).sum::<i128>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(parts.get(*index).map(|(_, lost)| *lost)));
    let mut spread: Vec<i64> = parts.iter().map(|(whole, _)| i64::try_from(*whole).unwrap_or(0)).collect();
    for index in order {
        if missing > 0
            && let Some(line) = spread.get_mut(index)
        {
            *line += 1;
            missing -= 1;
        }
    }
    Some(spread)
}

/// `1234.56`, as XML schemas write an amount.
pub(super) fn euro(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Whether every number of a JSON text is written without an exponent: once read, `1e3` and `1000` are the same, and an amount of
/// money is never meant by the first.
pub(super) fn plain_numbers(json: &str) -> bool {
    let (mut quoted, mut escaped, mut before) = (false, false, b' ');
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'e' | b'E' if !quoted && before.is_ascii_digit() => return false,
            _ => {}
        }
        before = byte;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_an_exponent_is_not_plain() {
        let table = [
            ("[1, 2.50, -3]", true),
            (r#"{"1e3": "2e4", "a\"5e6": true}"#, true),
            ("[1e3]", false),
            ("[1.5E+2]", false),
            (r#"{"a\\": 1e3}"#, false),
            ("", true),
        ];
        for (text, plain) in table {
            assert_eq!(plain_numbers(text), plain, "{text}");
        }
    }

    #[test]
    fn lines_keep_their_proportions_and_the_sum_is_the_total() {
        type Row<'a> = (&'a [i64], i64, Option<&'a [i64]>);
        let table: [Row<'_>; 8] = [
            (&[100], 70, Some(&[70])),
            (&[5000, 5000], 7001, Some(&[3501, 3500])),
            (&[1, 1, 1], 100, Some(&[34, 33, 33])),
            (&[2, 1, 0], 100, Some(&[67, 33, 0])),
            (&[99_999_999_999, 1], 99_999_999_999, Some(&[99_999_999_998, 1])),
            (&[0, 0], 10, None),
            (&[], 10, None),
            (&[-5, 10], 10, None),
        ];
        for (lines, total, want) in table {
            assert_eq!(spread(lines, total).as_deref(), want, "{lines:?} for {total}");
        }
        assert_eq!((euro(5), euro(123_456)), ("0.05".to_owned(), "1234.56".to_owned()));
    }
}
