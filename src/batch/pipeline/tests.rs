//! Tests of `pipeline`: what is read a second time must be what was looked into.

use super::*;
use crate::batch::archive::sample::{piece, zip};

const CEILINGS: Ceilings = Ceilings { max_entries: 100, max_entry_bytes: 1 << 20, max_total_bytes: 1 << 20, max_ratio: 100 };
const ROW: &str = "riferimento;ente;azione\nA1;01234567897;annulla\nA2;01234567897;annulla\n";

/// Acts, and rows told of; or why not.
type Outcome<E> = Result<(u64, usize), E>;

/// Looks into `bytes`, then judges `later`.
fn judged(name: &str, bytes: &[u8], later: &[u8]) -> Outcome<String> {
    let (bytes, later) = (bytes.to_vec(), later.to_vec());
    let opened = open(&bytes, name, &CEILINGS).map_err(|stopped| stopped.to_string())?;
    let facts = look_into(&bytes, &opened, name, &Hashing::default()).map_err(|stopped| stopped.to_string())?;
    let mut rows = 0;
    let by = Judge { flow: None, senders: None, today: None, max_acts: 10 };
    let totals = judge(&later, &opened, facts, &by, &mut |_| {
        rows += 1;
        ControlFlow::Continue(())
    });
    match totals {
        Ok(totals) => Ok((totals.acts, rows)),
        Err(Stopped::Changed) => Err("changed".to_owned()),
        Err(stopped) => Err(stopped.to_string()),
    }
}

#[test]
fn what_has_changed_since_it_was_looked_into_is_not_judged() {
    let bare = ROW.as_bytes().to_vec();
    let archive = zip(&[piece("lotto.csv", ROW)]);
    let stored = zip(&[crate::batch::archive::sample::Piece { stored: true, ..piece("lotto.csv", ROW) }]);
    let changed = |bytes: &Vec<u8>, from: &[u8], to: &[u8]| {
        let mut bytes = bytes.clone();
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
        bytes
    };
    let mut spoiled = archive.clone();
    let middle = archive.len() / 3;
    spoiled[middle] ^= 0x55;
    // What, name, bytes looked into, bytes judged.
    type Row<'a> = (&'a str, &'a str, &'a [u8], Vec<u8>, Outcome<&'a str>);
    let table: [Row<'_>; 8] = [
        ("bare, as it was", "lotto.csv", &bare, bare.clone(), Ok((2, 2))),
        ("bare, another reference", "lotto.csv", &bare, changed(&bare, b"A2", b"A3"), Err("changed")),
        ("bare, no longer a batch", "lotto.csv", &bare, vec![b'x'; bare.len()], Err("changed")),
        ("bare, shorter", "lotto.csv", &bare, bare[..bare.len() - 5].to_vec(), Err("changed")),
        ("stored, as it was", "lotto.zip", &stored, stored.clone(), Ok((2, 2))),
        ("stored, another reference", "lotto.zip", &stored, changed(&stored, b"A2", b"A3"), Err("changed")),
        ("deflated, as it was", "lotto.zip", &archive, archive.clone(), Ok((2, 2))),
        ("deflated, spoiled", "lotto.zip", &archive, spoiled, Err("changed")),
    ];
    for (what, name, bytes, later, want) in table {
        assert_eq!(judged(name, bytes, &later), want.map_err(str::to_owned), "{what}");
    }
}

/// Reference, files and codes of each refused row; or the code that refused the drop.
type Refused = Result<Vec<(Option<String>, String, Vec<String>)>, String>;

fn refused(pieces: &[crate::batch::archive::sample::Piece]) -> Refused {
    let bytes = zip(pieces);
    let opened = open(&bytes, "lotto.zip", &CEILINGS).map_err(|stopped| stopped.to_string())?;
    let facts = look_into(&bytes, &opened, "lotto.zip", &Hashing::default()).map_err(|stopped| stopped.to_string())?;
    let mut rows = Vec::new();
    let by = Judge { flow: None, senders: None, today: None, max_acts: 100 };
    let totals = judge(&bytes, &opened, facts, &by, &mut |judged| {
        if let Judged::Bad { reference, files, problems, .. } = judged {
            rows.push((reference, files.join(" "), problems.iter().map(|problem| problem.code.to_string()).collect()));
        }
        ControlFlow::Continue(())
    });
    totals.map(|_| rows).map_err(|stopped| stopped.to_string())
}

/// Names that only Windows could not write: read as they came, and as they come back from `scarti/`.
#[test]
fn names_that_windows_could_not_write_refuse_nothing() {
    const ODD: &str = "riferimento;ente;documento_file_1\nA1;01234567897;OFFICINA S.R.L./verbale 10:30.pdf\n";
    for stored in ["OFFICINA S.R.L./verbale 10:30.pdf", "OFFICINA S.R.L/verbale 10_30.pdf"] {
        let rows = refused(&[piece("lotto.csv", ODD), piece(stored, "%PDF-1.7")]).unwrap();
        let [(reference, files, codes)] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((reference.as_deref(), files.as_str()), (Some("A1"), stored));
        assert!(!codes.is_empty() && !codes.iter().any(|code| code.starts_with("FILE_")), "{stored}: {codes:?}");
    }
}

/// What a later row shows of an earlier act takes it back, once, whatever else is said of it.
#[test]
fn an_act_told_good_is_revoked_when_a_later_row_shows_its_fault() {
    const CSV: &str = "riferimento;ente;azione\n";
    let xml = |references: [&str; 3]| {
        let act = |reference: &&str| format!("<atto><riferimento>{reference}</riferimento><azione>annulla</azione></atto>\n");
        let acts: String = references.iter().map(act).collect();
        format!("<lotto xmlns=\"urn:messo:lotto:1.0\">\n<intestazione><ente>01234567897</ente></intestazione>\n{acts}</lotto>")
    };
    let csv = |rows: &str| format!("{CSV}{rows}");
    // What; name and text of the batch file; what is told, in order; good and bad.
    type Case<'a> = (&'a str, &'a str, String, &'a [&'a str], (u64, u64));
    let table: [Case<'_>; 8] = [
        ("once each", "l.csv", csv("A;01234567897;annulla\nB;01234567897;annulla\n"), &["good 1", "good 2"], (2, 0)),
        (
            "rows apart",
            "l.csv",
            csv("A;01234567897;annulla\nB;01234567897;annulla\nA;01234567897;annulla\n"),
            &["good 1", "good 2", "bad 3", "revoked 1: 2 riferimento RIGHE_NON_ADIACENTI riga 4"],
            (1, 2),
        ),
        (
            "the later one leaves the ente out",
            "l.csv",
            csv("A;01234567897;annulla\nB;01234567897;annulla\nA;;annulla\n"),
            &["good 1", "good 2", "bad 3", "revoked 1: 2 riferimento RIGHE_NON_ADIACENTI riga 4"],
            (1, 2),
        ),
        (
            "of two enti",
            "l.csv",
            csv("A;01234567897;annulla\nA;09876543217;annulla\nB;01234567897;annulla\nA;09876543217;annulla\n"),
            &["good 1", "good 2", "good 3", "bad 4", "revoked 2: 3 riferimento RIGHE_NON_ADIACENTI riga 5"],
            (2, 2),
        ),
        (
            "three times",
            "l.csv",
            csv("A;01234567897;annulla\nB;01234567897;annulla\nA;01234567897;annulla\nC;01234567897;annulla\nA;01234567897;annulla\n"),
            &["good 1", "good 2", "bad 3", "revoked 1: 2 riferimento RIGHE_NON_ADIACENTI riga 4", "good 4", "bad 5"],
            (2, 3),
        ),
        (
            "the first is bad already",
            "l.csv",
            csv("A;;annulla\nB;01234567897;annulla\nA;01234567897;annulla\n"),
            &["bad 1", "good 2", "bad 3", "notice: 2 riferimento RIGHE_NON_ADIACENTI riga 4"],
            (1, 2),
        ),
        (
            "XML",
            "l.xml",
            xml(["A", "B", "A"]),
            &["good 1", "good 2", "bad 3", "revoked 1: 3 /lotto/atto[1]/riferimento RIFERIMENTO_DOPPIO riga 5"],
            (1, 2),
        ),
        ("XML, all different", "l.xml", xml(["A", "B", "C"]), &["good 1", "good 2", "good 3"], (3, 0)),
    ];
    for (what, name, text, want, counts) in table {
        let bytes = text.into_bytes();
        let opened = open(&bytes, name, &CEILINGS).unwrap();
        let facts = look_into(&bytes, &opened, name, &Hashing::default()).unwrap();
        let mut told = Vec::new();
        let by = Judge { flow: None, senders: None, today: None, max_acts: 10 };
        let line = |problem: &Problem| {
            let (row, column) = (problem.row.unwrap(), problem.column.as_deref().unwrap());
            format!("{row} {column} {} {}", problem.code, problem.expected.as_deref().unwrap())
        };
        let totals = judge(&bytes, &opened, facts, &by, &mut |judged| {
            told.push(match judged {
                Judged::Good { place, .. } => format!("good {}", place.ordinal),
                Judged::Bad { place, .. } => format!("bad {}", place.ordinal),
                Judged::Revoke { ordinal, problems } => format!("revoked {ordinal}: {}", problems.iter().map(line).collect::<String>()),
                Judged::Notice { problems } => format!("notice: {}", problems.iter().map(line).collect::<String>()),
            });
            ControlFlow::Continue(())
        });
        let totals = totals.unwrap();
        assert_eq!(told, want, "{what}");
        assert_eq!((totals.acts, (totals.good, totals.bad)), (counts.0 + counts.1, counts), "{what}");
    }
}

/// With the policy that refuses a drop for a file that nobody names: a row that is refused still names its own.
#[test]
fn what_a_refused_row_names_is_its_own_and_refuses_nothing_else() {
    const CSV: &str = "riferimento;ente;azione;codice_fiscale;documento_file_1;avviso_file_1\n";
    const XML: &str = "<lotto xmlns=\"urn:messo:lotto:1.0\"><intestazione><ente>01234567897</ente></intestazione><atto>";
    const PU: &str = "organizationId;paProtocolNumber;taxId;documentFileName_1;documentFileName_2\n";
    let csv = |rows: &str| ("lotto.csv", format!("{CSV}{rows}"));
    let many: String = (1..=17).map(|n| format!("A1;01234567897;;X{n};a.pdf;n{n:02}.pdf\n")).collect();
    let recipients: String = (1..=16)
        .map(|n| {
            format!("<destinatario><pagamenti><avviso><allegato><file> n{n:02}.pdf\n</file></allegato></avviso></pagamenti></destinatario>")
        })
        .collect();
    let documents: String = (1..=16).map(|n| format!("<documento><file>n{n:02}.pdf</file></documento>")).collect();
    let xml = |act: String| ("lotto.xml", format!("{XML}{act}</atto></lotto>"));
    let notices: Vec<String> = (1..=17).map(|n| format!("n{n:02}.pdf")).collect();
    let names = |first: &[&str], last: usize| {
        let notices = notices.iter().take(last).map(String::as_str);
        first.iter().copied().chain(notices).collect::<Vec<_>>().join(" ")
    };
    // What; batch file; files of each refused row, which together are all there are.
    let table: Vec<(&str, (&str, String), Vec<String>)> = vec![
        ("row without reference", csv("A1;01234567897;;X;a.pdf;\n;01234567897;;Y;B.pdf;c.pdf\n"), vec!["a.pdf b.pdf c.pdf".to_owned()]),
        (
            "first row without reference",
            csv(";01234567897;;X;a.pdf;\nA2;01234567897;;Y;b.pdf;\n"),
            vec!["a.pdf".to_owned(), "b.pdf".to_owned()],
        ),
        ("rows disagree", csv("A1;01234567897;;X;a.pdf;\nA1;01234567897;;Y;b.pdf;\n"), vec!["a.pdf b.pdf".to_owned()]),
        (
            "rows apart",
            csv("A1;01234567897;;X;a.pdf;\nA2;01234567897;;X;b.pdf;\nA1;01234567897;;Y;c.pdf;\n"),
            vec!["a.pdf".to_owned(), "b.pdf".to_owned(), "c.pdf".to_owned()],
        ),
        ("too many recipients", csv(&many), vec![names(&["a.pdf"], 17)]),
        (
            "XML without reference",
            xml("<documenti><documento><file>a.pdf</file></documento></documenti>".to_owned()),
            vec!["a.pdf".to_owned()],
        ),
        (
            "XML with too many recipients",
            xml(format!("<riferimento>A1</riferimento><destinatari>{recipients}</destinatari>")),
            vec![names(&[], 16)],
        ),
        (
            "XML with too many documents",
            xml(format!("<riferimento>A1</riferimento><documenti>{documents}</documenti>")),
            vec![names(&[], 16)],
        ),
        (
            "PU row without protocol",
            ("x.csv", format!("{PU}7;;X;uno.pdf;\n7;P2;X;due.pdf;\n")),
            vec!["1/altro.pdf 1/uno.pdf".to_owned(), "2/due.pdf".to_owned()],
        ),
        ("PU row that names another file", ("x.csv", format!("{PU}7;P1;X;tre.pdf;\n")), vec!["1/due.pdf 1/tre.pdf".to_owned()]),
    ];
    for (what, (name, text), want) in table {
        let named = want.iter().flat_map(|row| row.split(' ')).filter(|file| *file != "1/tre.pdf");
        let pdfs = named.map(|file| piece(file, format!("%PDF-1.4 {file}")));
        let pieces: Vec<_> = std::iter::once(piece(name, &text)).chain(pdfs).collect();
        let got = refused(&pieces).map(|rows| rows.into_iter().map(|(_, files, _)| files).collect::<Vec<_>>());
        assert_eq!(got, Ok(want), "{what}");
        // One file more than anybody names.
        let more: Vec<_> = pieces.into_iter().chain([piece("di-troppo.pdf", "%PDF-1.4")]).collect();
        assert_eq!(refused(&more), Err(Code::FileUnreferenced.as_str().to_owned()), "{what}");
    }
}

#[test]
fn digests_that_changed_places_in_one_row_refuse_that_row_and_those_of_another_row_the_drop() {
    const PU: &str = "organizationId;paProtocolNumber;taxId;documentFileName_1;documentDigest_1;documentFileName_2;documentDigest_2\n";
    let hex = |text: &str| Sha256::of(text.as_bytes()).to_hex();
    let (a, b, c, d) = (hex("%PDF-a"), hex("%PDF-b"), hex("%PDF-c"), hex("%PDF-d"));
    let shifted = || Err(Code::ShiftedFolders.as_str().to_owned());
    let wrong = Code::FileDigest.as_str();
    let table = [
        ("as they are", [&a, &b], [&c, &d], Ok([0, 0])),
        ("swapped in the row", [&b, &a], [&c, &d], Ok([2, 0])),
        ("of a file of the row that it does not name", [&hex("%PDF-x"), &b], [&c, &d], Ok([1, 0])),
        ("of nobody", [&hex("altro"), &b], [&c, &d], Ok([1, 0])),
        ("of the other row", [&c, &b], [&c, &d], shifted()),
        ("of each other", [&c, &d], [&a, &b], shifted()),
    ];
    for (what, first, second, want) in table {
        let row = |number: u32, [one, two]: [&String; 2]| format!("7;P{number};X;uno.pdf;{one};due.pdf;{two}\n");
        let pieces = [
            piece("x.csv", format!("{PU}{}{}", row(1, first), row(2, second))),
            piece("1/uno.pdf", "%PDF-a"),
            piece("1/due.pdf", "%PDF-b"),
            piece("1/altro.pdf", "%PDF-x"),
            piece("2/uno.pdf", "%PDF-c"),
            piece("2/due.pdf", "%PDF-d"),
        ];
        let count = |codes: &[String]| codes.iter().filter(|code| *code == wrong).count();
        let got =
            refused(&pieces).map(|rows| [0, 1].map(|row| rows.get(row).map_or(9, |(_, _, codes): &(_, _, Vec<String>)| count(codes))));
        assert_eq!(got, want, "{what}");
    }
}

/// A file that nobody names, beside rows that ask for one that is not there: a name was misspelled, and the others go.
#[test]
fn a_misspelled_name_refuses_its_row_alone() {
    const CSV: &str = "riferimento;ente;azione;codice_fiscale;documento_file_1\n";
    let flow = crate::batch::validate::samples::flow;
    let strict = FlowDefinition { acceptance: Acceptance::AllOrNothing, ..flow() };
    let warning = FlowDefinition { unreferenced_files: UnreferencedFiles::Warn, ..flow() };
    let open_flow = flow();
    let refused = |name: &str| Err((Code::FileUnreferenced.as_str().to_owned(), name.to_owned()));
    let near = Some("nello ZIP c'è «atto-1.pdf», che nessuna riga nomina");
    // What; flow; names in the rows (one that begins with `!`: of a row without reference); names in the archive; or what the first
    // row is told, the files that come back with it and the notices about files.
    type Told<'a> = (Option<&'a str>, &'a str, &'a [&'a str]);
    type Case<'a> = (&'a str, Option<&'a FlowDefinition>, &'a [&'a str], &'a [&'a str], Result<Told<'a>, (String, String)>);
    let table: [Case<'_>; 10] = [
        ("near", None, &["atto_1.pdf", "b.pdf"], &["atto-1.pdf", "b.pdf"], Ok((near, "atto_1.pdf atto-1.pdf", &[]))),
        ("near, in a flow", Some(&open_flow), &["atto_1.pdf"], &["atto-1.pdf"], Ok((near, "atto_1.pdf atto-1.pdf", &[]))),
        ("far", None, &["uno.pdf"], &["b7.pdf"], Ok((None, "uno.pdf b7.pdf", &["b7.pdf"]))),
        ("one is not there at all", None, &["uno.pdf", "atto_1.pdf"], &["b7.pdf"], Ok((None, "uno.pdf b7.pdf", &["b7.pdf"]))),
        ("more than are asked for", None, &["atto_1.pdf"], &["atto-1.pdf", "c.pdf"], refused("c.pdf")),
        ("more than are asked for, of which one twice", None, &["uno.pdf", "uno.pdf"], &["b7.pdf", "c.pdf"], refused("b7.pdf")),
        (
            "a row that cannot be read asks too",
            None,
            &["!due.pdf", "uno.pdf"],
            &["b7.pdf", "c.pdf"],
            Ok((None, "uno.pdf b7.pdf c.pdf", &["b7.pdf", "c.pdf"])),
        ),
        ("nobody asks", None, &["b.pdf"], &["b.pdf", "c.pdf"], refused("c.pdf")),
        ("all or nothing", Some(&strict), &["atto_1.pdf"], &["atto-1.pdf"], refused("atto-1.pdf")),
        ("warned of anyway", Some(&warning), &["atto_1.pdf"], &["atto-1.pdf", "c.pdf"], Ok((near, "atto_1.pdf atto-1.pdf", &["c.pdf"]))),
    ];
    for (what, flow, rows, files, want) in table {
        let row = |(number, name): (usize, &&str)| match name.strip_prefix('!') {
            Some(name) => format!(";01234567897;;X;{name}\n"),
            None => format!("A{number};01234567897;;X;{name}\n"),
        };
        let text: String = rows.iter().enumerate().map(row).collect();
        let pdfs = files.iter().map(|file| piece(file, format!("%PDF-1.4 {file}")));
        let bytes = zip(&std::iter::once(piece("lotto.csv", format!("{CSV}{text}"))).chain(pdfs).collect::<Vec<_>>());
        let opened = open(&bytes, "lotto.zip", &CEILINGS).unwrap();
        let facts = look_into(&bytes, &opened, "lotto.zip", &Hashing::default()).unwrap();
        let mut told = Vec::new();
        let by = Judge { flow, senders: None, today: None, max_acts: 100 };
        let totals = judge(&bytes, &opened, facts, &by, &mut |judged| {
            if let Judged::Bad { files, problems, .. } = judged {
                let missing = problems.into_iter().find(|problem| problem.code == Code::FileMissing.as_str());
                told.extend(missing.map(|problem| (problem.expected, files.join(" "))));
            }
            ControlFlow::Continue(())
        });
        let got = match totals {
            Ok(totals) => {
                let notices = totals.notices.iter().inspect(|notice| assert_eq!(notice.severity, Severity::Warning, "{what}"));
                Ok((told[0].clone(), notices.map(|notice| notice.file.clone()).collect::<Vec<_>>()))
            }
            Err(Stopped::Refused(problem)) => Err((problem.code.to_string(), problem.file)),
            Err(stopped) => panic!("{what}: {stopped}"),
        };
        let want = want.map(|(hint, files, notices)| {
            ((hint.map(str::to_owned), files.to_owned()), notices.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(got, want, "{what}");
        let missing = rows.iter().filter(|name| !name.starts_with('!') && !files.contains(name)).count();
        assert_eq!(told.len(), missing, "{what}: every row is told");
    }
}
