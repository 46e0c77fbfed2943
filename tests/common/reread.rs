//! What must hold for any bytes read as a batch: shared by the fuzz targets and the replay of their corpus.

use std::ops::ControlFlow;

use messo::batch::layouts::{Layout, ReadContext, ReadError, RejectRows, Rejected};
use messo::batch::problem::Code;
use messo::batch::row::{Parsed, Place};
use messo::domain::act::Act;

/// What a reading gave: places of all rows in order, the acts among them, the code that ended it.
pub struct Reading {
    pub places: Vec<Place>,
    pub acts: Vec<Act>,
    pub refused: Option<String>,
}

/// Reads `bytes`.
pub fn read(layout: &dyn Layout, bytes: &[u8], names: &[&str]) -> Reading {
    let organization = |id: &str| id.starts_with('1').then(|| "01234567897".to_owned());
    let context = ReadContext { file: "lotto", organization: &organization, default_subject: Some("Oggetto"), names };
    let mut reading = Reading { places: Vec::new(), acts: Vec::new(), refused: None };
    let mut input = bytes;
    let result = layout.read(&mut input, &context, &mut |parsed| {
        match parsed {
            Parsed::Header(_) => assert!(reading.places.is_empty(), "a header after rows"),
            Parsed::Notice(problem) => assert!(Code::parse(&problem.code).is_some()),
            Parsed::Broken { row, later, .. } => assert!(row < later, "{row} is broken at {later}"),
            Parsed::Unreadable { place, problems, .. } => {
                assert!(!problems.is_empty(), "refused without a word");
                reading.places.push(place);
            }
            Parsed::Act(act) => {
                assert!(!act.act.reference.is_empty() && act.findings.len() <= 100);
                for finding in &act.findings {
                    assert!(!layout.locate(finding.field, &act.place).is_empty() && act.place.row_of(finding.field) >= act.place.row);
                }
                reading.places.push(act.place);
                reading.acts.push(act.act);
            }
        }
        ControlFlow::Continue(())
    });
    reading.refused = match result {
        Ok(()) => None,
        Err(ReadError::Refused(problem)) => Some(problem.code.into_owned()),
        Err(ReadError::Io(error)) => Some(format!("a slice cannot fail: {error}")),
    };
    assert!(reading.refused.as_deref().is_none_or(|code| Code::parse(code).is_some()), "{:?}", reading.refused);
    for pair in reading.places.windows(2) {
        let [before, after] = pair else { continue };
        assert!(before.start < before.end && before.end <= after.start && before.ordinal < after.ordinal && before.row <= after.row);
    }
    reading
}

/// Reads `bytes` and, when the file as such is good, refuses everything and reads the rejects: the acts are the same.
pub fn check(layout: &dyn Layout, bytes: &[u8]) -> Reading {
    let first = read(layout, bytes, &[]);
    if first.refused.is_none() {
        let reject = |place: &Place| Rejected {
            place: place.clone(),
            reasons: vec![("CAP_NON_VALIDO".to_owned(), "Il CAP non è di 5 cifre; \"correggere\" <subito> & riprovare".to_owned())],
            files: Vec::new(),
        };
        let rejects: Vec<Rejected> = first.places.iter().map(reject).collect();
        let mut written = Vec::new();
        let count = rejects.len() as u64;
        let ended = layout.write_rejects(&mut &*bytes, &mut RejectRows { count, rows: &mut rejects.into_iter().map(Ok) }, &mut written);
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(&written));
        let again = read(layout, &written, &[]);
        assert_eq!(again.refused, None, "{}", String::from_utf8_lossy(&written));
        assert_eq!(again.acts, first.acts, "{}", String::from_utf8_lossy(&written));
    }
    first
}
