//! MyPay's bilancio: chapters of the budget and their assessments, the sum of which must be the amount of the debt
//! (`PagInf_Dovuti_Pagati_6_2_0.xsd`, `ctBilancio`; `PAA_IMPORTO_BILANCIO_NON_VALIDO` otherwise).

use serde::Deserialize;

use crate::connectors::pt::shares::{euro, plain_numbers, spread};
use crate::connectors::soap::{Element, Xml};
use crate::domain::money::Cents;

/// One assessment of one chapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub chapter: String,
    pub office: Option<String>,
    pub assessment: Option<String>,
    pub amount: i64,
}

/// Why a bilancio cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BalanceError {
    #[error("not a bilancio of MyPay")]
    Unreadable,
    #[error("lines that no amount can be spread over")]
    NoShares,
}

/// As the pull contract of MyPay and PU has it: one object for each line, amounts in euro.
#[derive(Deserialize)]
struct JsonLine {
    capitolo: String,
    #[serde(default)]
    accertamento: Option<String>,
    #[serde(default)]
    ufficio: Option<String>,
    importo: serde_json::Value,
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
            });
        }
    }
    if lines.is_empty() { Err(BalanceError::Unreadable) } else { Ok(lines) }
}

/// The lines of what a batch says: MyPay's XML, or the JSON array of its pull contract.
pub(super) fn of_text(text: &str) -> Result<Vec<Line>, BalanceError> {
    if text.trim_start().starts_with('<') {
        return of_element(&Element::parse(text.as_bytes(), "bilancio").map_err(|_| BalanceError::Unreadable)?);
    }
    if !plain_numbers(text) {
        return Err(BalanceError::Unreadable);
    }
    let read: Vec<JsonLine> = serde_json::from_str(text).map_err(|_| BalanceError::Unreadable)?;
    let mut lines = Vec::new();
    for line in read {
        let euro = match line.importo {
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::String(text) => text,
            _ => return Err(BalanceError::Unreadable),
        };
        let amount = Cents::parse_point(&euro).map_err(|_| BalanceError::Unreadable)?.get();
        lines.push(Line { chapter: line.capitolo, office: line.ufficio, assessment: line.accertamento, amount });
    }
    if lines.is_empty() { Err(BalanceError::Unreadable) } else { Ok(lines) }
}

/// The lines for another amount. `place` (`capitolo`, or `capitolo/accertamento`) is the line to which the cost goes, made if it is
/// not there; the others share the rest as they did. Without a place all of them share all of it.
pub(super) fn fit(lines: &[Line], amount: i64, cost: i64, place: Option<&str>) -> Result<Vec<Line>, BalanceError> {
    let (chapter, assessment) = match place.map(|place| place.split_once('/').unwrap_or((place, ""))) {
        Some((chapter, assessment)) => (chapter.trim(), Some(assessment.trim()).filter(|text| !text.is_empty())),
        None => ("", None),
    };
    let is_cost =
        |line: &Line| !chapter.is_empty() && line.chapter == chapter && (assessment.is_none() || line.assessment.as_deref() == assessment);
    let (costs, others): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| is_cost(line));
    let mut fitted = Vec::new();
    let apart = if chapter.is_empty() || others.is_empty() { 0 } else { cost };
    // A position that is all in the line of the cost stays there.
    let shared = if others.is_empty() { &costs } else { &others };
    let amounts = spread(&shared.iter().map(|line| line.amount).collect::<Vec<_>>(), amount - apart).ok_or(BalanceError::NoShares)?;
    for (line, amount) in shared.iter().zip(amounts) {
        fitted.push(Line { amount, ..(*line).clone() });
    }
    if apart > 0 {
        let made = Line { chapter: chapter.to_owned(), office: None, assessment: assessment.map(str::to_owned), amount: 0 };
        fitted.push(Line { amount: apart, ..costs.first().map_or(made, |line| (*line).clone()) });
    }
    fitted.retain(|line| line.amount > 0);
    Ok(fitted)
}

/// Writes them, assessments of one chapter and office together.
pub(super) fn write(xml: &mut Xml, lines: &[Line]) {
    let mut chapters: Vec<(&str, Option<&str>)> = Vec::new();
    for line in lines {
        let key = (line.chapter.as_str(), line.office.as_deref());
        if !chapters.contains(&key) {
            chapters.push(key);
        }
    }
    xml.element("bilancio", &[], |xml| {
        for (chapter, office) in chapters {
            xml.element("capitolo", &[], |xml| {
                xml.leaf("codCapitolo", chapter);
                xml.some("codUfficio", office);
                for line in lines.iter().filter(|line| (line.chapter.as_str(), line.office.as_deref()) == (chapter, office)) {
                    xml.element("accertamento", &[], |xml| {
                        xml.some("codAccertamento", line.assessment.as_deref());
                        xml.leaf("importo", &euro(line.amount));
                    });
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(list: &[(&str, &str, i64)]) -> Vec<Line> {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        list.iter()
            .map(|(chapter, assessment, amount)| Line {
                chapter: (*chapter).to_owned(),
                office: None,
                assessment: some(assessment),
                amount: *amount,
            })
            .collect()
    }

    #[test]
    fn the_lines_always_sum_up_and_the_cost_has_its_place() {
        type Case<'c> = (&'c [(&'c str, &'c str, i64)], i64, i64, Option<&'c str>, &'c [(&'c str, &'c str, i64)]);
        let table: [Case<'_>; 8] = [
            (&[("100", "A", 10_000)], 7_000, 0, None, &[("100", "A", 7_000)]),
            (&[("100", "A", 6_000), ("200", "", 4_000)], 5_000, 0, None, &[("100", "A", 3_000), ("200", "", 2_000)]),
            (&[("100", "A", 10_000)], 10_950, 950, None, &[("100", "A", 10_950)]),
            (&[("100", "A", 10_000)], 10_950, 950, Some("900"), &[("100", "A", 10_000), ("900", "", 950)]),
            (&[("100", "A", 7_000), ("900", "", 950)], 11_200, 1_200, Some("900"), &[("100", "A", 10_000), ("900", "", 1_200)]),
            (&[("100", "A", 7_000), ("900", "N", 950)], 7_000, 0, Some("900/N"), &[("100", "A", 7_000)]),
            (&[("900", "", 10_000)], 10_950, 950, Some("900"), &[("900", "", 10_950)]),
            (&[("100", "A", 10_000)], 10_950, 950, Some("100/B"), &[("100", "A", 10_000), ("100", "B", 950)]),
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
        let quoted = r#"[{"capitolo": "100", "accertamento": "A", "importo": "10.5"}]"#;
        for text in [xml, json, quoted] {
            assert_eq!(of_text(text), Ok(lines(&[("100", "A", 1_050)])), "{text}");
        }
        for text in [
            "",
            "900",
            "[]",
            "<bilancio/>",
            "{",
            r#"[{"capitolo": "1", "importo": -3}]"#,
            r#"[{"capitolo": "1", "importo": "1e3"}]"#,
            r#"[{"capitolo": "1", "importo": 1e3}]"#,
            r#"[{"capitolo": "1", "importo": 1.5E+2}]"#,
        ] {
            assert_eq!(of_text(text), Err(BalanceError::Unreadable), "{text}");
        }
    }
}
