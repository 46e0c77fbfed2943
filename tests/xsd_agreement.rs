//! The published XSD and our reader judge the same documents, valid and broken, and never differ on structure.
//!
//! `xmllint` is the other judge. Without it the test says `skipped`, or fails when `MESSO_REQUIRE_ALL=1`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use messo::batch::layouts::messo_xml::MessoXml;
use messo::batch::layouts::{Layout, ReadContext};
use messo::batch::problem::Severity;
use messo::batch::row::Parsed;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/messo-lotto-1.0.xsd");
const DOCUMENTS: u64 = 1500;

#[derive(Clone, Debug)]
struct Node {
    name: String,
    attribute: Option<String>,
    /// Written as it is: markup allowed.
    text: String,
    kids: Vec<Node>,
}

fn leaf(name: &str, text: &str) -> Node {
    Node { name: name.into(), attribute: None, text: text.into(), kids: Vec::new() }
}

fn group(name: &str, kids: Vec<Node>) -> Node {
    Node { name: name.into(), attribute: None, text: String::new(), kids }
}

fn write(node: &Node, prefix: &str, out: &mut String) {
    let attribute = node.attribute.as_deref().unwrap_or_default();
    out.push_str(&format!("<{prefix}{}{attribute}>{}", node.name, node.text));
    for kid in &node.kids {
        write(kid, prefix, out);
        out.push('\n');
    }
    out.push_str(&format!("</{prefix}{}>", node.name));
}

/// Every element of the layout at least once.
fn whole() -> Node {
    let hex = "a".repeat(64);
    let file = |name: &str, sha: &str| vec![leaf("file", name), leaf("sha256", sha)];
    let recipient = || {
        group(
            "destinatario",
            vec![
                leaf("tipo", "PF"),
                leaf("codiceFiscale", "RSSMRA80A01H501U"),
                leaf("denominazione", "Mario Rossi"),
                leaf("pec", "prova@pec.it"),
                group(
                    "indirizzo",
                    vec![
                        leaf("presso", "Bianchi"),
                        leaf("via", "VIA ROMA 1"),
                        leaf("dettagli", "Scala A"),
                        leaf("cap", "00184"),
                        leaf("comune", "ROMA"),
                        leaf("frazione", "OSTIA"),
                        leaf("provincia", "RM"),
                        leaf("statoEstero", "ITALIA"),
                    ],
                ),
                group(
                    "pagamenti",
                    vec![
                        group(
                            "avviso",
                            vec![
                                leaf("numero", "302000000000000001"),
                                leaf("creditore", "01234567897"),
                                leaf("applicaCosti", "true"),
                                group("allegato", file("avviso 1.pdf", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")),
                                leaf("posizioneId", "IUPD-1"),
                            ],
                        ),
                        group("f24", vec![leaf("titolo", "Acconto"), leaf("applicaCosti", "0"), group("metadati", file("f24.json", &hex))]),
                    ],
                ),
            ],
        )
    };
    let step = |due: Node| group("passo", vec![leaf("da", "perfezionamento"), leaf("giorni", "5"), due]);
    let charged = || {
        let mut step = step(leaf("percento", "100"));
        step.kids.extend([leaf("di", "minimo"), leaf("onere", "3"), leaf("onereMassimo", "300"), leaf("feriale", "true")]);
        step
    };
    let stated = || {
        vec![
            leaf("costiDi", "tutti"),
            leaf("perfezionamento", "ultimo"),
            leaf("festivi", "sposta_sabato"),
            leaf("arrotondamento", "euro"),
            leaf("spese", "12.5"),
            leaf("sanzione", "omesso_versamento"),
            leaf("semestre", "10"),
            leaf("nonMenoDi", "1"),
            leaf("nonPiuDi", "500"),
            leaf("validaDal", "2024-09-01"),
            leaf("validaAl", "2026-12-31"),
        ]
    };
    let own = [
        vec![leaf("base", "42.00"), leaf("costi", "aggiunti")],
        stated(),
        vec![step(leaf("percento", "70")), step(leaf("importo", "42.5")), charged()],
    ];
    let ready = [vec![leaf("preset", "cds"), leaf("base", "42"), leaf("costi", "aggiunti")], stated(), vec![charged()]];
    let act = |rule: Vec<Node>| {
        group(
            "atto",
            vec![
                leaf("riferimento", "A 1"),
                leaf("azione", "inserisci"),
                leaf("ente", "01234567897"),
                leaf("protocollo", "2026/0001"),
                leaf("oggetto", "Verbale di accertamento"),
                leaf("descrizione", "Violazione &amp; sanzione"),
                leaf("tassonomia", "010101P"),
                leaf("tipoComunicazione", "REGISTERED_LETTER_890"),
                leaf("politicaCosti", "DELIVERY_MODE"),
                leaf("costoEnte", "100"),
                leaf("iva", "22"),
                leaf("modalitaPagopa", "SYNC"),
                leaf("importo", "42.00"),
                leaf("scadenzaPagamento", "2026-12-31"),
                leaf("gruppo", "polizia-locale"),
                leaf("lingua", "DE"),
                leaf("denominazioneEnte", "Comune di Esempio"),
                leaf("iunAnnullato", "ABCD-EFGH-IJKL-202611-X-1"),
                leaf("termineNotifica", "2027-01-31"),
                leaf("forza", "Nuova notifica"),
                leaf("sospensioneDal", "2027-01-10"),
                leaf("sospensioneAl", "2027-03-31"),
                group("destinatari", vec![recipient(), recipient()]),
                group(
                    "documenti",
                    vec![
                        group(
                            "documento",
                            [file("verbale.pdf", &hex), vec![leaf("condiviso", "false")]].concat().into_iter().enumerate().fold(
                                Vec::new(),
                                |mut kids, (index, kid)| {
                                    if index == 1 {
                                        kids.push(leaf("titolo", "Verbale"));
                                    }
                                    kids.push(kid);
                                    kids
                                },
                            ),
                        ),
                        group("documento", vec![leaf("file", "allegati/relata.pdf")]),
                    ],
                ),
                group("regolaImporto", rule),
                group(
                    "posizione",
                    vec![
                        leaf("id", "IUPD1"),
                        leaf("tipoDovuto", "CDS"),
                        leaf("causale", "Sanzione"),
                        leaf("bilancio", "E.3.02"),
                        leaf("importoMinimo", "1"),
                        leaf("importoMassimo", "999999999.99"),
                        leaf("dataViolazione", "2026-02-28"),
                        leaf("dataAccertamento", "2024-02-29"),
                        leaf("dataContestazione", "2026-03-02"),
                        leaf("gruppoAvvisi", "G1"),
                    ],
                ),
                group("eco", vec![group("campo", vec![leaf("nome", "targa"), leaf("valore", "AB 123 CD")])]),
                group("scarto", vec![leaf("codice", "CAP_NON_VALIDO"), leaf("motivo", "Correggere il CAP")]),
            ],
        )
    };
    let header = vec![leaf("ente", "01234567897"), leaf("flusso", "cds"), leaf("riferimento", "L1"), leaf("numeroAtti", "2")];
    group("lotto", vec![group("intestazione", header), act(own.concat()), act(ready.concat()), act(vec![leaf("preset", "tari-sollecito")])])
}

/// A small generator of pseudo-random numbers: the same documents at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

fn paths(node: &Node, here: &[usize], out: &mut Vec<Vec<usize>>) {
    for (index, kid) in node.kids.iter().enumerate() {
        let path = [here, &[index]].concat();
        out.push(path.clone());
        paths(kid, &path, out);
    }
}

fn at<'n>(node: &'n mut Node, path: &[usize]) -> &'n mut Node {
    path.iter().fold(node, |node, index| &mut node.kids[*index])
}

/// One change, harmless or not; what it was.
fn mutate(root: &mut Node, dice: &mut Dice) -> String {
    let mut all = Vec::new();
    paths(root, &[], &mut all);
    let path = all[dice.roll(all.len())].clone();
    let (last, parent) = path.split_last().unwrap();
    let name = at(root, &path).name.clone();
    let kind = dice.roll(22);
    let target = |root: &mut Node, text: &str| at(root, &path).text = text.to_owned();
    match kind {
        0 | 1 => {
            at(root, parent).kids.remove(*last);
        }
        2 => {
            let copy = at(root, &path).clone();
            at(root, parent).kids.insert(*last, copy);
        }
        3 => {
            let kids = &mut at(root, parent).kids;
            let other = dice.roll(kids.len());
            kids.swap(*last, other);
        }
        4 => at(root, &path).name = ["sconosciuto", "Riferimento", "cap", "atto"][dice.roll(4)].into(),
        5 => {
            let node = at(root, &path);
            node.text.clear();
            node.kids.clear();
        }
        6 => target(root, &"x".repeat([15, 16, 65, 89, 129, 135, 257, 321, 513, 1025, 40_000][dice.roll(11)])),
        7 => target(root, ["BOH", "inserisci", "IN CORSO", "pf", "true", "1", "AR_REGISTERED_LETTER"][dice.roll(7)]),
        8 => target(root, ["12a", "-1", "+1", "1.234", "12,50", "0123", "1e3", "999", "1000", " 7 ", "٣"][dice.roll(11)]),
        9 => target(root, ["2026-02-30", "2026-2-3", "31/12/2026", "2026-12-31Z", "0000-01-01", "2028-02-29", "20261231"][dice.roll(7)]),
        10 => at(root, &path).kids.push(leaf("figlio", "x")),
        11 => at(root, &path).attribute = Some([" id=\"1\"", " xml:lang=\"it\"", " nome='x'"][dice.roll(3)].into()),
        12 => {
            let node = at(root, &path);
            node.text.push_str(["sciolto", " \n\t ", "<!-- nota -->", "&#32;"][dice.roll(4)]);
        }
        13 => target(root, ["\n   \n", "&#160;", "<![CDATA[]]>", "<![CDATA[ testo ]]>", "a<!-- b -->c", "&lt;&#x41;&gt;"][dice.roll(6)]),
        14 => {
            let node = at(root, &path);
            node.text = format!("\n    {}   \n", node.text);
        }
        15 => {
            let copy = at(root, &path).clone();
            let count = [9, 10, 14, 15, 20, 21, 48, 49][dice.roll(8)];
            let kids = &mut at(root, parent).kids;
            for _ in 0..count {
                kids.insert(*last, copy.clone());
            }
        }
        16 => target(root, &format!("{}{}", "è".repeat([64, 88, 89, 134, 135, 256, 257][dice.roll(7)]), " ".repeat(dice.roll(3)))),
        17 => target(root, &format!("a{}b", " ".repeat(dice.roll(600)))),
        18 => target(root, ["<b>x</b>", "x<b/>", "&nbsp;", "&amp;", "]]&gt;"][dice.roll(5)]),
        19 => at(root, &path).attribute = Some([" xmlns=\"urn:altro\"", " xmlns:z=\"urn:altro\""][dice.roll(2)].into()),
        20 => at(root, &path).kids.reverse(),
        _ => target(
            root,
            ["01234567897", "0123456789", "302000000000000001", "010101p", "ABCD-EFGH-IJKL-202611-X-1", "X", "=", "RSSMRA80A01H501U"]
                [dice.roll(8)],
        ),
    }
    format!("{kind} on {name}")
}

/// `Err`: why our reader says no.
fn ours(text: &str) -> Result<(), String> {
    let context = ReadContext { file: "lotto.xml", organization: &|_| None, default_subject: None, names: &[] };
    let mut wrong = None;
    let mut input = text.as_bytes();
    let read = MessoXml.read(&mut input, &context, &mut |parsed| {
        match parsed {
            Parsed::Act(act) => {
                let error = act.findings.iter().find(|finding| finding.severity == Severity::Error);
                wrong = wrong.take().or_else(|| error.map(|finding| format!("{finding:?}")));
            }
            Parsed::Unreadable { problems, .. } => wrong = wrong.take().or_else(|| Some(format!("{problems:?}"))),
            Parsed::Header(_) | Parsed::Notice(_) | Parsed::Broken { .. } => {}
        }
        ControlFlow::Continue(())
    });
    match (read, wrong) {
        (Err(error), _) => Err(format!("{error:?}")),
        (Ok(()), Some(wrong)) => Err(wrong),
        (Ok(()), None) => Ok(()),
    }
}

/// The names of the files that xmllint finds valid. `None`: there is no xmllint.
fn theirs(folder: &Path, names: &[String]) -> Option<BTreeSet<String>> {
    let output = Command::new("xmllint").arg("--noout").arg("--schema").arg(SCHEMA).args(names).current_dir(folder).output().ok()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(told.lines().filter_map(|line| line.strip_suffix(" validates")).map(str::to_owned).collect())
}

#[test]
fn schema_and_reader_agree_on_structure() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x005e_ed0f_1337);
    let mut documents = Vec::new();
    for number in 0..DOCUMENTS {
        let mut root = whole();
        let changes = [0, 1, 1, 1, 2][dice.roll(5)];
        let what: Vec<String> = (0..changes).map(|_| mutate(&mut root, &mut dice)).collect();
        let prefix = if number % 7 == 0 { "m:" } else { "" };
        let declared = if prefix.is_empty() { " xmlns=\"urn:messo:lotto:1.0\"" } else { " xmlns:m=\"urn:messo:lotto:1.0\"" };
        root.attribute = Some(declared.to_owned() + root.attribute.as_deref().unwrap_or_default());
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        write(&root, prefix, &mut text);
        let name = format!("{number:04}.xml");
        std::fs::write(folder.path().join(&name), &text).unwrap();
        documents.push((name, what, text));
    }
    let names: Vec<String> = documents.iter().map(|(name, ..)| name.clone()).collect();
    let Some(valid) = theirs(folder.path(), &names) else {
        assert!(std::env::var_os("MESSO_REQUIRE_ALL").is_none_or(|value| value != "1"), "xmllint is not installed");
        println!("skipped: xmllint is not installed");
        return;
    };
    let mut differences = Vec::new();
    for (name, what, text) in &documents {
        let ours = ours(text);
        if ours.is_ok() != valid.contains(name) {
            differences.push(format!("{name} {what:?}: schema says {}, we say {ours:?}", valid.contains(name)));
        }
    }
    assert!(differences.is_empty(), "{} of {DOCUMENTS} differ:\n{}", differences.len(), differences.join("\n"));
    // Both kinds were really there.
    assert!(valid.len() > 300 && documents.len() - valid.len() > 300, "{} valid of {DOCUMENTS}", valid.len());
}
