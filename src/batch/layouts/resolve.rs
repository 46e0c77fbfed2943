//! File names as rows write them, to names of the archive.

use std::borrow::Cow;

/// Resolves names against the archive: a folder zipped whole (`lotto/lotto.csv`, `lotto/atto.pdf`) reads as its content does.
#[derive(Debug)]
pub struct Names<'a> {
    names: &'a [&'a str],
    /// Folder of the batch file, with its final `/`; empty at the root.
    folder: &'a str,
    /// Folder that all other files share, with its final `/`; empty when there is none.
    common: &'a str,
}

impl<'a> Names<'a> {
    /// `names` sorted, `batch_file` one of them.
    pub fn new(names: &'a [&'a str], batch_file: &'a str) -> Names<'a> {
        let folder = folder_of(batch_file);
        let mut others = names.iter().filter(|name| **name != batch_file).map(|name| name.split_once('/').map(|(top, _)| top));
        let first = others.next().flatten();
        let common = match first {
            Some(top) if others.all(|other| other == Some(top)) => {
                names.iter().find(|name| **name != batch_file).and_then(|name| name.get(..top.len() + 1)).unwrap_or_default()
            }
            _ => "",
        };
        Names { names, folder, common }
    }

    /// The folder of the batch file, with its final `/`.
    pub fn folder(&self) -> &'a str {
        self.folder
    }

    /// The archive's name of the file that a row calls `written`; the name beside the batch file when there is none.
    pub fn resolve(&self, written: &str) -> String {
        let mut written = Cow::Borrowed(written);
        if written.contains('\\') {
            written = Cow::Owned(written.replace('\\', "/"));
        }
        let mut plain = written.as_ref();
        while let Some(rest) = plain.strip_prefix("./") {
            plain = rest;
        }
        if self.folder.is_empty() && self.common.is_empty() {
            return plain.to_owned();
        }
        let beside = format!("{}{plain}", self.folder);
        if self.has(&beside) {
            return beside;
        }
        let common = format!("{}{plain}", self.common);
        if self.has(plain) {
            plain.to_owned()
        } else if self.has(&common) {
            common
        } else {
            beside
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.binary_search(&name).is_ok()
    }
}

/// The folder of `name` with its final `/`, empty at the root.
pub fn folder_of(name: &str) -> &str {
    name.rfind('/').and_then(|at| name.get(..=at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_beside_the_batch_file_at_the_root_or_in_the_one_folder() {
        let table: [(&[&str], &str, &str, &str); 6] = [
            (&["a.pdf", "lotto.csv"], "lotto.csv", "a.pdf", "a.pdf"),
            (&["pdf/a.pdf", "lotto.csv"], "lotto.csv", r".\pdf\a.pdf", "pdf/a.pdf"),
            (&["x/a.pdf", "x/lotto.csv"], "x/lotto.csv", "a.pdf", "x/a.pdf"),
            (&["a.pdf", "x/lotto.csv"], "x/lotto.csv", "a.pdf", "a.pdf"),
            (&["lotto.csv", "x/a.pdf", "x/b.pdf"], "lotto.csv", "a.pdf", "x/a.pdf"),
            (&["lotto.csv", "x/a.pdf", "y/b.pdf"], "lotto.csv", "a.pdf", "a.pdf"),
        ];
        for (names, batch, written, want) in table {
            let mut names = names.to_vec();
            names.sort_unstable();
            assert_eq!(Names::new(&names, batch).resolve(written), want, "{names:?} {written}");
        }
    }
}
