//! The worked examples of `docs/importi.md`: each number is reckoned again from the numbers beside it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use messo::domain::amount_rule::{AmountFacts, AmountPreset, AmountRule, RecipientFacts, Suspension, amount_due};
use messo::domain::calendar::Calendar;
use messo::domain::money::Cents;
use messo::text::it::amounts;

const DOCUMENT: &str = include_str!("../../docs/importi.md");

/// The blocks of the document in a language, with the line they begin on.
fn blocks(language: &str) -> Vec<(usize, Vec<&'static str>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (number, line) in DOCUMENT.lines().enumerate() {
        match &mut open {
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, lines)) => lines.push(line),
            None if line == format!("```{language}") => open = Some((number + 1, Vec::new())),
            None => {}
        }
    }
    found
}

fn italian(text: &str) -> Date {
    Date::strptime("%d/%m/%Y", text.trim()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn cents(text: &str) -> Cents {
    Cents::parse_it(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

struct Example {
    rule: AmountRule,
    facts: AmountFacts,
    /// (day, what the document says of it)
    results: Vec<(Date, &'static str)>,
}

fn read(lines: &[&'static str]) -> Example {
    let said: BTreeMap<&str, &str> = lines.iter().filter_map(|line| line.split_once(": ").filter(|_| !line.contains(" -> "))).collect();
    let list = |key: &str| said.get(key).map(|text| text.split(", ").collect::<Vec<_>>()).unwrap_or_default();
    let amount = |key: &str| said.get(key).map(|text| cents(text));
    let date = |key: &str| said.get(key).map(|text| italian(text));
    let completed = list("perfezionamento");
    let (prices, papers) = (list("prezzo di SEND"), list("spedizioni"));
    let priced_papers = if said.contains_key("spedizioni al prezzo") { list("spedizioni al prezzo") } else { papers.clone() };
    let recipients = (0..completed.len().max(prices.len()).max(papers.len()).max(1)).map(|index| RecipientFacts {
        completed: completed.get(index).filter(|text| **text != "-").map(|text| italian(text)),
        price: prices.get(index).filter(|text| **text != "-").map(|text| cents(text)),
        priced_paper: priced_papers.get(index).map_or(Cents(0), |text| cents(text)),
        analog_cost: papers.get(index).map_or(Cents(0), |text| cents(text)),
    });
    let suspensions = list("sospensione").into_iter().map(|text| {
        let (from, until) = text.split_once(" - ").unwrap();
        Suspension { from: italian(from), until: (until != "...").then(|| italian(until)) }
    });
    let known = [
        "regola",
        "importo",
        "minimo",
        "massimo",
        "accertamento",
        "violazione",
        "contestazione",
        "perfezionamento",
        "prezzo di SEND",
        "spedizioni",
        "spedizioni al prezzo",
        "sospensione",
        "patrono",
        "iva",
        "costo dell'ente",
    ];
    assert!(said.keys().all(|key| known.contains(key)), "{:?}", said.keys());
    let priced = said.contains_key("prezzo di SEND") || said.contains_key("spedizioni");
    Example {
        rule: toml::from_str(&said["regola"].replace("; ", "\n")).unwrap_or_else(|error| panic!("{}: {error}", said["regola"])),
        facts: AmountFacts {
            amount: amount("importo"),
            minimum: amount("minimo"),
            maximum: amount("massimo"),
            act_date: date("accertamento"),
            violation: date("violazione"),
            contestation: date("contestazione"),
            holder: 0,
            recipients: recipients.collect(),
            suspensions: suspensions.collect(),
            applies_cost: priced,
            notified: priced,
            pa_fee: said.get("costo dell'ente").map_or(0, |text| u32::try_from(cents(text).0).unwrap()),
            vat: said.get("iva").map_or(0, |text| text.parse().unwrap()),
            calendar: Calendar { patron: said.get("patrono").map(|text| text.parse().unwrap()), ..Calendar::default() },
        },
        results: lines.iter().filter_map(|line| line.split_once(" -> ")).map(|(day, said)| (italian(day), said)).collect(),
    }
}

/// As the document writes it: `37,87 = 29,40 + 8,47, fino al 12/01/2027`.
fn written(example: &Example, day: Date) -> String {
    match amount_due(&example.rule, &example.facts, day) {
        Ok(sum) => {
            let until = sum.until.map(|until| format!(", fino al {}", until.strftime("%d/%m/%Y"))).unwrap_or_default();
            format!("{} = {} + {}{until}", sum.total.to_it(), sum.due.to_it(), sum.cost.to_it())
        }
        Err(fault) => format!("nessun importo: {}", amounts::fault(fault)),
    }
}

#[test]
fn every_example_of_the_document_is_right() {
    let blocks = blocks("esempio");
    assert!(blocks.len() >= 10, "{} examples", blocks.len());
    for (line, block) in blocks {
        let example = read(&block);
        assert!(!example.results.is_empty(), "docs/importi.md:{line}");
        for (day, said) in &example.results {
            assert_eq!(written(&example, *day), *said, "docs/importi.md:{line}, {day}");
        }
    }
}

#[test]
fn the_explanation_is_what_messo_writes() {
    let (_, first) = blocks("esempio").into_iter().next().unwrap();
    let example = read(&first);
    let explanations = blocks("spiegazione");
    assert!(!explanations.is_empty());
    for (line, block) in explanations {
        let (day, told) = block.split_first().unwrap();
        let sum = amount_due(&example.rule, &example.facts, italian(day.trim_end_matches(':'))).unwrap();
        assert_eq!(amounts::lines(&sum), told, "docs/importi.md:{line}");
    }
}

#[test]
fn the_document_lists_every_ready_made_rule_with_its_norm() {
    for preset in AmountPreset::ALL {
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{preset}` |"))).unwrap_or_else(|| panic!("{preset}"));
        assert!(row.contains(preset.norm()), "{preset}: {row}");
    }
}
