//! Files out, files in.

use std::collections::BTreeSet;

use super::*;
use crate::domain::act::PositionData;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, Payer};

fn route() -> PaymentRoute {
    PaymentRoute {
        pt: "cartella".to_owned(),
        aux: None,
        code: None,
        ente: Some("C_ESEMPIO".to_owned()),
        service: Some("MULTE 9/0101101IM/".to_owned()),
        costs: CostChannel::Push,
    }
}

fn asked() -> Asked {
    Asked {
        creditor: "02438750586".to_owned(),
        notice: "347250123456789084".to_owned(),
        data: PositionData {
            position_id: Some("IUD-1".to_owned()),
            remittance_information: Some("Verbale 12; \"veicolo\"\nAB123CD".to_owned()),
            ..PositionData::default()
        },
        payers: vec![Payer { natural: true, tax_id: "RSSMRA80A01H501U".to_owned(), denomination: "Mario Rossi".to_owned() }],
    }
}

fn change(key: &str, amount: i64) -> Change {
    Change {
        key: key.to_owned(),
        amount: Cents(amount),
        cost: Cents(0),
        due_date: Some(jiff::civil::date(2026, 12, 1)),
        cost_place: None,
        reason: "prova".to_owned(),
    }
}

fn exchange(folder: &Path, version: Version) -> Exchange {
    Exchange { folder: Arc::new(folder.to_owned()), version }
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn read_back(path: &Path) -> Vec<Vec<String>> {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    assert_eq!(zip.len(), 1);
    let entry = zip.by_index(0).unwrap();
    assert_eq!(entry.name().unwrap().strip_suffix(".csv"), path.file_stem().unwrap().to_str());
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').has_headers(false).from_reader(entry);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn the_columns_are_those_of_each_version() {
    // As many as `tracciato-import` has, `azione` last.
    let table = [(Version::V10, 20), (Version::V11, 20), (Version::V12, 21), (Version::V13, 22), (Version::V14, 35)];
    for (version, columns) in table {
        let folder = tempfile::tempdir().unwrap();
        let done = exchange(folder.path(), version).change(&route(), &asked(), &change("1/1", 1_250)).await.unwrap();
        let Changed::TakenInCharge { ticket } = done else { panic!("{done:?}") };
        assert!(ticket.starts_with("C_ESEMPIO-MESSO") && ticket.ends_with(&format!("-{}", version.word())), "{ticket}");
        assert_eq!(ticket.matches('-').count(), 2, "{ticket}");
        let rows = read_back(&folder.path().join(OUT).join(format!("{ticket}.zip")));
        let [header, row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((header.len(), row.len()), (columns, columns), "{version:?}");
        assert_eq!((header.last().unwrap().as_str(), row.last().unwrap().as_str()), ("azione", "M"));
        let of = |name: &str| row[header.iter().position(|column| column == name).unwrap()].as_str();
        let want = [
            ("IUD", "IUD-1"),
            ("codIuv", "47250123456789084"),
            ("tipoIdentificativoUnivoco", "F"),
            ("importoDovuto", "12.50"),
            ("dataEsecuzionePagamento", "2026-12-01"),
            ("tipoDovuto", "MULTE"),
            ("datiSpecificiRiscossione", "9/0101101IM/"),
            ("causaleVersamento", "Verbale 12; \"veicolo\" AB123CD"),
        ];
        for (name, text) in want {
            assert_eq!(of(name), text, "{name} of {version:?}");
        }
    }
}

#[tokio::test]
async fn a_repetition_writes_the_same_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = exchange(folder.path(), Version::V13);
    let first = exchange.change(&route(), &asked(), &change("1/1", 1_250)).await.unwrap();
    let out = folder.path().join(OUT);
    let written: Vec<String> = names(&out).into_iter().collect();
    let bytes = fs::read(out.join(&written[0])).unwrap();
    assert_eq!(exchange.change(&route(), &asked(), &change("1/1", 1_250)).await.unwrap(), first);
    assert_eq!(names(&out).len(), 1);
    // The importer took it away: it is not written again.
    fs::remove_file(out.join(&written[0])).unwrap();
    assert_eq!(exchange.change(&route(), &asked(), &change("1/1", 1_250)).await.unwrap(), first);
    assert!(names(&out).is_empty());
    // Killed before the mark: written again, the same bytes under the same name.
    fs::remove_file(folder.path().join(WRITTEN).join(written[0].strip_suffix(".zip").unwrap())).unwrap();
    assert_eq!(exchange.change(&route(), &asked(), &change("1/1", 1_250)).await.unwrap(), first);
    assert_eq!(fs::read(out.join(&written[0])).unwrap(), bytes);
    // Another change is another file.
    assert_ne!(exchange.change(&route(), &asked(), &change("1/2", 1_400)).await.unwrap(), first);
    assert_eq!(names(&out).len(), 2);
    assert_ne!(exchange.cancel(&route(), &asked(), "1/2").await.unwrap(), first);
    assert!(names(&out).iter().all(|name| name.ends_with(".zip") && !name.starts_with('.')), "{:?}", names(&out));
}

/// Nobody has imported the first when the second is written: an importer that goes by name takes them as they were made.
#[tokio::test]
async fn changes_of_a_notice_stand_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = exchange(folder.path(), Version::V13);
    let mut made = Vec::new();
    for revision in 1..=12_i64 {
        let key = format!("0190b0c4-0000-7000-8000-000000000000/{revision}");
        let done = if revision == 12 {
            exchange.cancel(&route(), &asked(), &key).await.unwrap()
        } else {
            exchange.change(&route(), &asked(), &change(&key, 1_000 + revision)).await.unwrap()
        };
        let Changed::TakenInCharge { ticket } = done else { panic!("{done:?}") };
        assert!(ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{ticket}");
        made.push(format!("{ticket}.zip"));
    }
    let found: Vec<String> = names(&folder.path().join(OUT)).into_iter().collect();
    assert_eq!(found, made);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = exchange(folder.path(), Version::V13);
    type Spoil = fn(&mut PaymentRoute, &mut Asked, &mut Change);
    let table: [(Spoil, &str); 8] = [
        (|_, asked, _| asked.data.position_id = None, "ID_POSIZIONE_MANCANTE"),
        (|_, asked, _| asked.payers.clear(), "DEBITORE_MANCANTE"),
        (|route, _, _| route.service = None, "TIPO_DOVUTO_MANCANTE"),
        (|route, _, _| route.service = Some("MULTE".to_owned()), "TIPO_DOVUTO_MANCANTE"),
        (|_, asked, _| asked.data.remittance_information = None, "CAUSALE_MANCANTE"),
        (|_, asked, _| asked.data.balance = Some("<bilancio".to_owned()), "IMPORTO_NON_RIPARTIBILE"),
        (|_, _, change| change.amount = Cents(0), "IMPORTO_NON_AMMESSO"),
        (|_, _, change| change.amount = Cents(100_000_000_000), "IMPORTO_NON_AMMESSO"),
    ];
    for (spoil, code) in table {
        let (mut route, mut asked, mut change) = (route(), asked(), change("1/1", 1_250));
        spoil(&mut route, &mut asked, &mut change);
        let Err(ConnectorError::Refused(problem)) = exchange.change(&route, &asked, &change).await else { panic!("{code}") };
        assert!(problem.has(code), "{code}: {problem:?}");
    }
    assert!(!folder.path().join(OUT).exists());
    let mut climbing = route();
    climbing.ente = Some("../x".to_owned());
    let error = exchange.change(&climbing, &asked(), &change("1/1", 1)).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Protocol { .. }), "{error}");
}

#[test]
fn answers_are_read_whatever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join(IN);
    assert_eq!(outcomes(folder.path()).unwrap(), []);
    fs::create_dir_all(&inbox).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(inbox.join(name), bytes).unwrap();
    let rejects = "IUD;azione;num_riga_flusso;cod_rifiuto;de_rifiuto\nIUD-1;M;2;PAA_IMPORT_SINTASSI_CSV_IMPORTO;Mario Rossi\n";
    put("A-MESSO1-1_3_SCARTI.zip", &zipped("A-MESSO1-1_3_SCARTI.csv", rejects.as_bytes()).unwrap());
    put("A-MESSO1-1_3_IUV.zip", &zipped("x.csv", b"IUD\n").unwrap());
    put("A-MESSO2-1_3_IUV.zip", &zipped("x.csv", b"IUD\nIUD-1\n").unwrap());
    put("A-MESSO3-1_3_SCARTI.csv", b"IUD;cod_rifiuto\n");
    put("A-MESSO4-1_3_SCARTI.csv", b"IUD;cod_rifiuto\nIUD-1;<script>\n");
    put("A-MESSO5-1_3_SCARTI.csv", b"qualcosa\naltro\n");
    // Not whole, not ours, not files.
    let whole = zipped("x.csv", rejects.as_bytes()).unwrap();
    put("A-MESSO6-1_3_SCARTI.zip", &whole[..whole.len() / 2]);
    put("A-MESSO7-1_3_SCARTI.csv", b"");
    put("A-ALTRO-1_3_SCARTI.csv", rejects.as_bytes());
    put("A-MESSO8-1_3_AVVISI_PDF.zip", b"");
    fs::create_dir(inbox.join("A-MESSO9-1_3_SCARTI.csv")).unwrap();
    let want = [
        ("A-MESSO1-1_3", Err("PAA_IMPORT_SINTASSI_CSV_IMPORTO")),
        ("A-MESSO2-1_3", Ok(())),
        ("A-MESSO3-1_3", Ok(())),
        ("A-MESSO4-1_3", Err("script")),
        ("A-MESSO5-1_3", Err("SCARTO_SENZA_CODICE")),
    ];
    let want: Vec<_> = want.iter().map(|(ticket, outcome)| ((*ticket).to_owned(), outcome.map_err(str::to_owned))).collect();
    assert_eq!(outcomes(folder.path()).unwrap(), want);
    told(folder.path(), "A-MESSO1-1_3").unwrap();
    told(folder.path(), "A-MESSO1-1_3").unwrap();
    assert_eq!(outcomes(folder.path()).unwrap(), want[1..]);
    assert_eq!(names(&inbox.join("letti")).len(), 2);
}
