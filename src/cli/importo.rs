//! `messo importo`: what a rule asks for, day after day, from numbers given by hand. Exit 0 reckoned, 1 there is no sum, 2 wrong words.

use std::io::Write;
use std::process::ExitCode;

use jiff::civil::Date;

use crate::domain::amount_rule::{AmountFacts, AmountPreset, AmountRule, RecipientFacts, Suspension, WhenMissing, amount_due, next_change};
use crate::domain::calendar::{Calendar, MonthDay};
use crate::domain::money::Cents;
use crate::flow::definition::{FlowDefinition, shipped};
use crate::text::it::amounts as words;

/// Changes told after the day asked for: years of semesters are enough.
const MOST_CHANGES: usize = 12;

/// Calcola quanto chiede una regola, giorno dopo giorno, con i numeri dati qui: per provare una regola prima di usarla.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("quale").required(true).args(["regola", "flow"]))]
pub struct Args {
    /// Una regola pronta (docs/importi.md).
    #[arg(long, value_name = "NOME", value_parser = preset)]
    regola: Option<AmountPreset>,
    /// La regola di un flusso: il nome di uno compreso, o un file di flusso.
    #[arg(long, value_name = "FLUSSO")]
    flow: Option<String>,
    /// Importo dell'atto.
    #[arg(long, value_name = "EURO", value_parser = amount)]
    importo: Option<Cents>,
    /// Minimo edittale.
    #[arg(long, value_name = "EURO", value_parser = amount)]
    minimo: Option<Cents>,
    /// Massimo edittale.
    #[arg(long, value_name = "EURO", value_parser = amount)]
    massimo: Option<Cents>,
    /// Data della violazione.
    #[arg(long, value_name = "DATA", value_parser = day)]
    violazione: Option<Date>,
    /// Data dell'accertamento.
    #[arg(long, value_name = "DATA", value_parser = day)]
    accertamento: Option<Date>,
    /// Data della contestazione.
    #[arg(long, value_name = "DATA", value_parser = day)]
    contestazione: Option<Date>,
    /// Data di perfezionamento della notifica.
    #[arg(long, value_name = "DATA", value_parser = day)]
    perfezionamento: Option<Date>,
    /// Prezzo della notifica, come lo dice SEND.
    #[arg(long, value_name = "EURO", value_parser = amount)]
    prezzo: Option<Cents>,
    /// Sospensione: DATA..DATA, oppure DATA.. se non è finita. Si può ripetere.
    #[arg(long, value_name = "DA..A", value_parser = suspension)]
    sospesa: Vec<Suspension>,
    /// Giorno del patrono, MM-GG.
    #[arg(long, value_name = "MM-GG", value_parser = patron)]
    patrono: Option<MonthDay>,
    /// Il giorno da cui cominciare; senza, quello del perfezionamento o della prima data nota.
    #[arg(long, value_name = "DATA", value_parser = day)]
    giorno: Option<Date>,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match reckon(&args) {
        Ok(lines) => {
            let mut out = std::io::stdout().lock();
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("messo importo: {why}");
            ExitCode::FAILURE
        }
    }
}

fn reckon(args: &Args) -> Result<Vec<String>, String> {
    let rule = rule(args)?;
    let dates = [args.giorno, args.perfezionamento, args.contestazione, args.accertamento, args.violazione];
    let first = dates.into_iter().flatten().next().ok_or(words::NO_DAY)?;
    let facts = AmountFacts {
        amount: args.importo,
        minimum: args.minimo,
        maximum: args.massimo,
        act_date: args.accertamento,
        violation: args.violazione,
        contestation: args.contestazione,
        recipients: vec![RecipientFacts { completed: args.perfezionamento, price: args.prezzo, ..RecipientFacts::default() }],
        suspensions: args.sospesa.clone(),
        applies_cost: args.prezzo.is_some(),
        notified: args.prezzo.is_some(),
        calendar: Calendar { patron: args.patrono, ..Calendar::default() },
        ..AmountFacts::default()
    };
    let mut lines: Vec<String> = rule.preset.map(words::norm).into_iter().collect();
    let mut day = first;
    for _ in 0..=MOST_CHANGES {
        let sum = amount_due(&rule, &facts, day).map_err(|fault| words::fault(fault).to_owned())?;
        lines.push(words::from_day(day));
        lines.extend(words::lines(&sum).into_iter().map(|line| format!("  {line}")));
        match next_change(&rule, &facts, day) {
            Some(next) => day = next,
            None => break,
        }
    }
    Ok(lines)
}

fn rule(args: &Args) -> Result<AmountRule, String> {
    if let Some(preset) = args.regola {
        return Ok(preset.rule());
    }
    let name = args.flow.as_deref().unwrap_or_default();
    let flow = match shipped().into_iter().find(|flow| flow.name == name) {
        Some(flow) => flow,
        None => {
            let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
            FlowDefinition::parse(&text, name).map_err(|problems| {
                problems.iter().map(|problem| format!("{name}:{}: [{}]", problem.line, problem.fault.code())).collect::<Vec<_>>().join("\n")
            })?
        }
    };
    let rule = flow.amount_rule.ok_or(words::FLOW_WITHOUT_RULE)?;
    // Who tries a rule wants to know what is missing.
    Ok(AmountRule { missing: WhenMissing::Fault, ..rule })
}

fn preset(text: &str) -> Result<AmountPreset, String> {
    let all = || AmountPreset::ALL.iter().map(|preset| preset.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|()| all())
}

fn amount(text: &str) -> Result<Cents, String> {
    Cents::parse_it(text).map_err(|_| words::AN_AMOUNT.to_owned())
}

fn day(text: &str) -> Result<Date, String> {
    let read = if text.contains('/') { Date::strptime("%d/%m/%Y", text) } else { text.parse() };
    read.map_err(|_| words::A_DAY.to_owned())
}

fn suspension(text: &str) -> Result<Suspension, String> {
    let (from, until) = text.split_once("..").ok_or_else(|| words::A_DAY.to_owned())?;
    Ok(Suspension { from: day(from)?, until: if until.is_empty() { None } else { Some(day(until)?) } })
}

fn patron(text: &str) -> Result<MonthDay, String> {
    text.parse().map_err(|_| words::A_DAY_OF_THE_YEAR.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn told(words: &[&str]) -> Result<Vec<String>, String> {
        match Cli::try_parse_from([&["messo", "importo"], words].concat()).map_err(|error| error.to_string())?.command {
            Command::Importo(args) => reckon(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_is_told_change_after_change() {
        let lines =
            told(&["--regola", "cds", "--minimo", "42,00", "--massimo", "173,00", "--perfezionamento", "07/01/2027", "--prezzo", "8,47"]);
        insta::assert_snapshot!(lines.unwrap().join("\n"), @r"
        Norma: artt. 202, c. 1, e 203, c. 3, D.Lgs. 285/1992; decorrenza: art. 26 D.L. 76/2020
        Dal 07/01/2027:
          Minimo edittale: 42,00 €
          Entro 5 giorni dalla notifica (fino al 12/01/2027): 70 % = 29,40 €
          Costo di notifica: 8,47 €
          Totale fino al 12/01/2027: 37,87 €
        Dal 13/01/2027:
          Minimo edittale: 42,00 €
          Entro 60 giorni dalla notifica (fino al 08/03/2027): 100 % = 42,00 €
          Costo di notifica: 8,47 €
          Totale fino al 08/03/2027: 50,47 €
        Dal 09/03/2027:
          Massimo edittale: 173,00 €
          Oltre i termini precedenti: 50 % = 86,50 €
          Costo di notifica: 8,47 €
          Totale: 94,97 €
        ");
    }

    #[test]
    fn options_reach_the_rule_and_mistakes_are_told() {
        let cds = ["--minimo", "42", "--massimo", "173"];
        let last = |words: &[&str]| told(&[&cds, words].concat()).unwrap().pop().unwrap();
        let held = ["--regola", "cds", "--perfezionamento", "2026-11-02", "--sospesa", "2026-11-05..2026-11-30", "--giorno", "2026-12-03"];
        assert!(told(&[&cds[..], &held].concat()).unwrap().contains(&"  Totale fino al 03/12/2026: 29,40 €".to_owned()));
        assert_eq!(last(&["--flow", "cds", "--perfezionamento", "2026-11-02", "--sospesa", "2026-11-05.."]), "  Totale: 29,40 €");
        let patron = ["--regola", "cds", "--perfezionamento", "2026-06-19", "--patrono", "06-24"];
        assert!(told(&[&cds[..], &patron].concat()).unwrap().contains(&"  Totale fino al 25/06/2026: 29,40 €".to_owned()));
        assert_eq!(told(&["--regola", "cds", "--perfezionamento", "2026-11-02"]), Err("manca il minimo edittale".to_owned()));
        assert_eq!(told(&["--regola", "cds"]), Err(words::NO_DAY.to_owned()));
        assert_eq!(told(&["--flow", "anagrafe", "--giorno", "2026-11-02"]), Err(words::FLOW_WITHOUT_RULE.to_owned()));
        assert!(told(&["--flow", "/nonesiste.toml", "--giorno", "2026-11-02"]).is_err());
        for wrong in [&["--regola", "multe"][..], &[], &["--regola", "cds", "--flow", "cds"], &["--regola", "cds", "--minimo", "42.00"]] {
            assert!(told(wrong).is_err(), "{wrong:?}");
        }
        for date in ["31/02/2026", "2026", "ieri"] {
            assert!(told(&["--regola", "cds", "--giorno", date]).is_err(), "{date}");
        }
    }
}
