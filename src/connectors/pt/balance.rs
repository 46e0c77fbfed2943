//! The bilancio of a batch: how an amount is divided among accounts. One reading, for a change that messo tells a partner and for a
//! price that a partner asks: both have the same lines with the same sums.
//!
//! Three forms: MyPay's XML (`PagInf_Dovuti_Pagati_6_2_0.xsd`, `ctBilancio`); a JSON array of `capitolo`, `accertamento`, `ufficio`,
//! `importo` (pull contract of MyPay and PU); a JSON array of `causaleDescrittiva`, `annoAccertamento`, `numeroAccertamento`, `importo`
//! (PiemontePAY). Amounts are euro, as number or text.

use serde_json::Value;

use super::shares::{plain_numbers, spread};
use crate::connectors::soap::Element;
use crate::domain::money::Cents;

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// `capitolo`; empty when the batch names only causali.
    pub chapter: String,
    pub office: Option<String>,
    /// `accertamento`, `numeroAccertamento`
    pub assessment: Option<String>,
    /// `annoAccertamento`
    pub year: Option<u16>,
    /// `causaleDescrittiva`
    pub cause: Option<String>,
    /// Cents.
    pub amount: i64,
}

/// Why a bilancio cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BalanceError {
    #[error("not a bilancio of that partner")]
    Unreadable,
    #[error("lines that no amount can be spread over")]
    NoShares,
}

impl Line {
    /// What PiemontePAY calls it.
    #[must_use]
    pub fn causale(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.chapter)
    }

    /// Whether a place that a flow names for the cost (`capitolo`, `capitolo/accertamento`, or the causale) is this line.
    fn is_at(&self, place: &str) -> bool {
        let (chapter, assessment) = split(place);
        let by_chapter = !self.chapter.is_empty() && self.chapter == chapter;
        self.cause.as_deref() == Some(place) || (by_chapter && (assessment.is_none() || self.assessment.as_deref() == assessment))
    }

    /// A line for a place that is not there, in the form of the others.
    fn at(place: &str, by_cause: bool) -> Line {
        if by_cause {
            return Line { cause: Some(place.to_owned()), ..Line::default() };
        }
        let (chapter, assessment) = split(place);
        Line { chapter: chapter.to_owned(), assessment: assessment.map(str::to_owned), ..Line::default() }
    }
}

/// `capitolo/accertamento`
fn split(place: &str) -> (&str, Option<&str>) {
    let (chapter, assessment) = place.split_once('/').unwrap_or((place, ""));
    (chapter.trim(), Some(assessment.trim()).filter(|text| !text.is_empty()))
}

/// The lines of a `bilancio` element.
pub(super) fn of_element(bilancio: &Element) -> Result<Vec<Line>, BalanceError> {
    let mut lines = Vec::new();
    for chapter in bilancio.all("capitolo") {
        let code = chapter.value(&["codCapitolo"]).ok_or(BalanceError::Unreadable)?;
        for assessment in chapter.all("accertamento") {
            let amount = assessment.value(&["importo"]).and_then(|text| Cents::parse_point(text).ok()).ok_or(BalanceError::Unreadable)?;
            lines.push(Line {
                chapter: code.to_owned(),
                office: chapter.value(&["codUfficio"]).map(str::to_owned),
                assessment: assessment.value(&["codAccertamento"]).map(str::to_owned),
                amount: amount.get(),
                ..Line::default()
            });
        }
    }
    if lines.is_empty() { Err(BalanceError::Unreadable) } else { Ok(lines) }
}

/// The lines of what a batch says, in any of the forms.
pub fn of_text(text: &str) -> Result<Vec<Line>, BalanceError> {
    if text.trim_start().starts_with('<') {
        return of_element(&Element::parse(text.as_bytes(), "bilancio").map_err(|_| BalanceError::Unreadable)?);
    }
    if !plain_numbers(text) {
        return Err(BalanceError::Unreadable);
    }
    let read: Vec<Value> = serde_json::from_str(text).map_err(|_| BalanceError::Unreadable)?;
    let lines: Option<Vec<Line>> = read.iter().map(of_json).collect();
    lines.filter(|lines| !lines.is_empty()).ok_or(BalanceError::Unreadable)
}

/// The same, of a partner that knows chapters only.
pub fn of_chapters(text: &str) -> Result<Vec<Line>, BalanceError> {
    of_text(text)
        .and_then(|lines| if lines.iter().all(|line| !line.chapter.is_empty()) { Ok(lines) } else { Err(BalanceError::Unreadable) })
}

fn of_json(line: &Value) -> Option<Line> {
    let word = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| line.get(name).filter(|value| !value.is_null()));
        let text = match found {
            None => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => return None,
        };
        Some(text.filter(|text| !text.is_empty()))
    };
    let amount = match line.get("importo")? {
        Value::Number(number) => Cents::parse_point(&number.to_string()).ok()?,
        Value::String(text) => Cents::parse_point(text).or_else(|_| Cents::parse_it(text)).ok()?,
        _ => return None,
    };
    let year = match word(["annoAccertamento", "anno"])? {
        None => None,
        Some(text) => Some(text.parse().ok().filter(|year| (1_900..=2_999).contains(year))?),
    };
    let (chapter, cause) = (word(["capitolo", "codCapitolo"])?, word(["causaleDescrittiva", "causale"])?);
    if chapter.is_none() && cause.is_none() {
        return None;
    }
    Some(Line {
        chapter: chapter.unwrap_or_default(),
        office: word(["ufficio", "codUfficio"])?,
        assessment: word(["numeroAccertamento", "accertamento"])?,
        year,
        cause,
        amount: amount.get(),
    })
}

/// The lines for another amount. `place` (`capitolo`, `capitolo/accertamento`, a causale) is the line to which the cost goes, made if
/// it is not there; the others share the rest as they did. Without a place all of them share all of it.
pub fn fit(lines: &[Line], amount: i64, cost: i64, place: Option<&str>) -> Result<Vec<Line>, BalanceError> {
    let place = place.map(str::trim).filter(|place| !place.is_empty());
    let (costs, others): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| place.is_some_and(|place| line.is_at(place)));
    let mut fitted = Vec::new();
    let apart = if place.is_none() || others.is_empty() { 0 } else { cost };
    // A position that is all in the line of the cost stays there.
    let shared = if others.is_empty() { &costs } else { &others };
    let amounts = spread(&shared.iter().map(|line| line.amount).collect::<Vec<_>>(), amount - apart).ok_or(BalanceError::NoShares)?;
    for (line, amount) in shared.iter().zip(amounts) {
        fitted.push(Line { amount, ..(*line).clone() });
    }
    if let Some(place) = place.filter(|_| apart > 0) {
        let by_cause = others.iter().all(|line| line.chapter.is_empty());
        let line = costs.first().map_or_else(|| Line::at(place, by_cause), |line| (*line).clone());
        fitted.push(Line { amount: apart, ..line });
    }
    fitted.retain(|line| line.amount > 0);
    Ok(fitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(list: &[(&str, &str, i64)]) -> Vec<Line> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let line = |(chapter, assessment, amount): &(&str, &str, i64)| Line {
            chapter: (*chapter).to_owned(),
            assessment: some(assessment),
            amount: *amount,
            ..Line::default()
        };
        list.iter().map(line).collect()
    }

    #[test]
    fn the_lines_always_sum_up_and_the_cost_has_its_place() {
        type Case<'c> = (&'c [(&'c str, &'c str, i64)], i64, i64, Option<&'c str>, &'c [(&'c str, &'c str, i64)]);
        let table: [Case<'_>; 9] = [
            (&[("100", "A", 10_000)], 7_000, 0, None, &[("100", "A", 7_000)]),
            (&[("100", "A", 6_000), ("200", "", 4_000)], 5_000, 0, None, &[("100", "A", 3_000), ("200", "", 2_000)]),
            (&[("100", "A", 10_000)], 10_950, 950, None, &[("100", "A", 10_950)]),
            (&[("100", "A", 10_000)], 10_950, 950, Some("900"), &[("100", "A", 10_000), ("900", "", 950)]),
            (&[("100", "A", 7_000), ("900", "", 950)], 11_200, 1_200, Some("900"), &[("100", "A", 10_000), ("900", "", 1_200)]),
            (&[("100", "A", 7_000), ("900", "N", 950)], 7_000, 0, Some("900/N"), &[("100", "A", 7_000)]),
            (&[("900", "", 10_000)], 10_950, 950, Some("900"), &[("900", "", 10_950)]),
            (&[("100", "A", 10_000)], 10_950, 950, Some("100/B"), &[("100", "A", 10_000), ("100", "B", 950)]),
            (&[("9001", "2026/77", 500), ("1", "", 100)], 700, 600, Some("9001/2026/77"), &[("1", "", 100), ("9001", "2026/77", 600)]),
        ];
        for (held, amount, cost, place, want) in table {
            let fitted = fit(&lines(held), amount, cost, place).unwrap();
            assert_eq!(fitted, lines(want), "{held:?} for {amount} with {cost} to {place:?}");
            assert_eq!(fitted.iter().map(|line| line.amount).sum::<i64>(), amount);
        }
        assert_eq!(fit(&lines(&[("100", "", 0)]), 100, 0, None), Err(BalanceError::NoShares));
        assert_eq!(fit(&lines(&[("100", "", 10)]), 100, 200, Some("9")), Err(BalanceError::NoShares));
    }

    #[test]
    fn a_batch_says_it_in_xml_or_json() {
        let xml = "<bilancio><capitolo><codCapitolo>100</codCapitolo><accertamento><codAccertamento>A</codAccertamento>\
                   <importo>10.50</importo></accertamento></capitolo></bilancio>";
        let json = r#"[{"capitolo": "100", "accertamento": "A", "importo": 10.50}]"#;
        let quoted = r#"[{"capitolo": 100, "accertamento": "A", "ufficio": "", "importo": "10.5"}]"#;
        let italian = r#"[{"capitolo": "100", "accertamento": "A", "ufficio": null, "importo": "10,50"}]"#;
        for text in [xml, json, quoted, italian] {
            assert_eq!(of_text(text), Ok(lines(&[("100", "A", 1_050)])), "{text}");
            assert_eq!(of_chapters(text), Ok(lines(&[("100", "A", 1_050)])), "{text}");
        }
        let component = Line {
            cause: Some("Sanzione".to_owned()),
            year: Some(2026),
            assessment: Some("77".to_owned()),
            amount: 6_000,
            ..Line::default()
        };
        for text in [
            r#"[{"importo": 60, "causaleDescrittiva": "Sanzione", "annoAccertamento": 2026, "numeroAccertamento": "77"}]"#,
            r#"[{"importo": "60.00", "causaleDescrittiva": "Sanzione", "annoAccertamento": "2026", "numeroAccertamento": 77}]"#,
        ] {
            assert_eq!(of_text(text), Ok(vec![component.clone()]), "{text}");
            assert_eq!(of_chapters(text), Err(BalanceError::Unreadable), "not of MyPay: {text}");
        }
        for text in [
            "",
            "900",
            "[]",
            "<bilancio/>",
            "{",
            r#"[{"importo": 3}]"#,
            r#"[{"capitolo": ["1"], "importo": 3}]"#,
            r#"[{"capitolo": "1", "annoAccertamento": "duemila", "importo": 3}]"#,
            r#"[{"capitolo": "1", "importo": 10.005}]"#,
            r#"[{"capitolo": "1", "importo": -3}]"#,
            r#"[{"capitolo": "1", "importo": "1e3"}]"#,
            r#"[{"capitolo": "1", "importo": 1e3}]"#,
            r#"[{"capitolo": "1", "importo": 1.5E+2}]"#,
        ] {
            assert_eq!(of_text(text), Err(BalanceError::Unreadable), "{text}");
        }
    }
}
