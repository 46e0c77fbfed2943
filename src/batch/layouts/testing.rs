//! What the tests of every layout need.

use std::ops::ControlFlow;

use super::{Layout, ReadContext, ReadError, RejectRows, Rejected, RejectedFile};
use crate::batch::row::{Parsed, ParsedAct, Place};

/// Everything a layout yields, and the code that ended it, if one did.
pub struct Reading {
    pub all: Vec<Parsed>,
    pub refused: Option<crate::batch::problem::Problem>,
}

/// Reads `bytes` as the batch file `file` of an archive with `names`.
pub fn read(layout: &dyn Layout, bytes: &[u8], file: &str, names: &[&str]) -> Reading {
    let mut names = names.to_vec();
    names.sort_unstable();
    let organization = |id: &str| (id == "7").then(|| "01234567897".to_owned());
    let context = ReadContext { file, organization: &organization, default_subject: Some("Oggetto del flusso"), names: &names };
    let mut all = Vec::new();
    let mut input = bytes;
    let result = layout.read(&mut input, &context, &mut |parsed| {
        all.push(parsed);
        ControlFlow::Continue(())
    });
    let refused = match result {
        Ok(()) => None,
        Err(ReadError::Refused(problem)) => Some(*problem),
        Err(ReadError::Io(error)) => panic!("{error}"),
    };
    Reading { all, refused }
}

impl Reading {
    pub fn acts(&self) -> Vec<&ParsedAct> {
        self.all.iter().filter_map(|parsed| if let Parsed::Act(act) = parsed { Some(&**act) } else { None }).collect()
    }

    /// Row, column and code of everything found, with the acts' places applied.
    pub fn found(&self, layout: &dyn Layout) -> Vec<String> {
        let mut out = Vec::new();
        for parsed in &self.all {
            match parsed {
                Parsed::Header(_) => {}
                Parsed::Act(act) => {
                    for finding in &act.findings {
                        let (row, column) = (act.place.row_of(finding.field), layout.locate(finding.field, &act.place));
                        out.push(format!("{row} {column} {}", finding.code.as_str()));
                    }
                }
                Parsed::Notice(problem) => out.push(line(problem)),
                Parsed::Unreadable { problems, .. } => out.extend(problems.iter().map(line)),
                Parsed::Broken { row, later, .. } => out.push(format!("{row} prosegue alla {later}")),
            }
        }
        out.extend(self.refused.iter().map(line));
        out
    }
}

fn line(problem: &crate::batch::problem::Problem) -> String {
    let row = problem.row.map_or("-".to_owned(), |row| row.to_string());
    format!("{row} {} {}", problem.column.as_deref().unwrap_or("-"), problem.code)
}

/// A reject of the act at `place`.
pub fn rejected(place: &Place, files: &[&str]) -> Rejected {
    Rejected {
        place: place.clone(),
        reasons: vec![("CAP_NON_VALIDO".into(), "Il CAP non è valido; \"correggere\" & riprovare".into())],
        files: files.iter().map(|file| RejectedFile { name: (*file).to_owned(), entry: None }).collect(),
    }
}

/// The rejects as the layout writes them.
pub fn write_rejects(layout: &dyn Layout, mut original: &[u8], rejects: &[Rejected]) -> Vec<u8> {
    let mut rows = rejects.iter().cloned().map(Ok);
    let mut out = Vec::new();
    layout.write_rejects(&mut original, &mut RejectRows { count: rejects.len() as u64, rows: &mut rows }, &mut out).unwrap();
    out
}

/// The names that the files of the rejects take.
pub fn reject_files(layout: &dyn Layout, rejects: &[Rejected]) -> Vec<Vec<String>> {
    let names = |(position, reject): (u64, &Rejected)| {
        reject.files.iter().map(|file| layout.reject_file(position, reject, &file.name)).collect::<Vec<_>>()
    };
    (0u64..).zip(rejects).map(names).collect()
}
