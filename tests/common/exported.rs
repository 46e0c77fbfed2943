//! What an accounting office reads: the exports of a gestionale, re-added from outside.

use std::path::{Path, PathBuf};

use messo::domain::digest::Sha256;

use super::office::published;
use super::published::{Line, csv_lines, elements, records};

/// One export as published: CSV and XML, found to agree.
#[derive(Debug, Clone)]
pub struct Exported {
    pub number: u64,
    pub kind: String,
    pub day: String,
    /// Ledger lines after `after`, up to `to`.
    pub after: u64,
    pub to: u64,
    pub rows: Vec<Line>,
    pub totals: Line,
    pub csv: PathBuf,
    pub xml: PathBuf,
}

/// Columns with a total.
pub const SUMS: [&str; 7] = ["importo", "costo_base", "costo_carta", "costo_ente", "costo_cittadino", "dovuto", "pagato"];

/// Cents of a cell of either format.
pub fn cents(text: &str) -> i64 {
    text.replace([',', '.'], "").parse().unwrap_or(0)
}

fn digest(path: &Path) -> String {
    Sha256::of(&std::fs::read(path).unwrap()).to_hex()
}

/// Every export in a folder, in order; fails unless numbers have no gap, each holds the digests of the one before, the windows follow
/// each other, CSV and XML say the same and every total is the sum of its column.
pub fn exports(folder: &Path) -> Vec<Exported> {
    let files = published(folder);
    let ending = |path: &PathBuf, what: &str| path.extension().is_some_and(|extension| extension == what);
    let mut all: Vec<Exported> = files.iter().filter(|path| ending(path, "csv")).map(|csv| read(csv)).collect();
    all.sort_by_key(|export| export.number);
    assert_eq!(files.len(), all.len() * 2, "{files:?}");
    let mut done = 0;
    for (index, export) in all.iter().enumerate() {
        assert_eq!(export.number, index as u64 + 1, "numbers have a gap: {files:?}");
        match export.kind.as_str() {
            "VARIATI" => {
                assert_eq!(export.after, done, "{}: the window does not follow the one before", export.csv.display());
                done = export.to;
            }
            _ => assert_eq!(export.to, done, "{}", export.csv.display()),
        }
        let before = index.checked_sub(1).map(|before| &all[before]);
        let told = export.totals.get("precedente_sha256").filter(|digest| !digest.is_empty());
        assert_eq!(told.cloned(), before.map(|before| digest(&before.csv)), "{}: chain", export.csv.display());
        let told = elements(&head(&export.xml)).into_iter().find(|(path, _)| path.last().unwrap() == "precedente_sha256");
        assert_eq!(told.map(|(_, text)| text), before.map(|before| digest(&before.xml)), "{}: chain", export.xml.display());
    }
    all
}

/// The header of an XML.
fn head(xml: &Path) -> String {
    let text = std::fs::read_to_string(xml).unwrap();
    text.split_once("<testata>").unwrap().1.split_once("</testata>").map(|(head, _)| format!("<testata>{head}</testata>")).unwrap()
}

fn read(csv: &Path) -> Exported {
    let shown = csv.display();
    let mut rows = csv_lines(csv);
    let totals = rows.pop().unwrap_or_else(|| panic!("{shown}: no totals"));
    assert_eq!(totals["tipo"], "TOTALE", "{shown}");
    assert!(rows.iter().all(|row| row["tipo"] == "RIGA"), "{shown}");
    for column in SUMS {
        let sum: i64 = rows.iter().map(|row| cents(&row[column])).sum();
        assert_eq!(cents(&totals[column]), sum, "{shown}: {column}");
    }
    let firsts: Vec<&Line> = rows.iter().filter(|row| row["destinatario"] == "1").collect();
    assert_eq!(cents(&totals["importo_atti"]), firsts.iter().map(|row| cents(&row["importo"])).sum::<i64>(), "{shown}");
    assert_eq!((totals["righe"].parse(), totals["atti"].parse()), (Ok(rows.len()), Ok(firsts.len())), "{shown}");

    let xml = csv.with_extension("xml");
    let text = std::fs::read_to_string(&xml).unwrap();
    let positions = records(&text, "posizione");
    assert_eq!(positions.len(), rows.len(), "{}", xml.display());
    for (row, position) in rows.iter().zip(&positions) {
        for (column, cell) in row
            .iter()
            .filter(|(column, _)| *column != "tipo" && totals.get(*column).is_none_or(String::is_empty) || SUMS.contains(&column.as_str()))
        {
            let told = position.get(column).map_or("", String::as_str);
            let same = match column.as_str() {
                "chiuso" => told == if cell == "SI" { "true" } else { "false" },
                name if SUMS.contains(&name) || name == "diritti_ente" => told == cell.replace(',', "."),
                _ => told == cell,
            };
            assert!(same, "{}: {column}: {told:?} beside {cell:?}", xml.display());
        }
    }
    let sums = records(&text, "totali").remove(0);
    for column in SUMS {
        let sum: i64 = positions.iter().filter_map(|position| position.get(column)).map(|cell| cents(cell)).sum();
        assert_eq!((cents(&sums[column]), sum), (cents(&totals[column]), sum), "{}: {column}", xml.display());
    }
    Exported {
        number: totals["numero"].parse().unwrap(),
        kind: totals["genere"].clone(),
        day: totals["giorno"].clone(),
        after: totals["dopo_riga"].parse().unwrap(),
        to: totals["fino_a_riga"].parse().unwrap(),
        rows,
        totals,
        csv: csv.to_owned(),
        xml,
    }
}
