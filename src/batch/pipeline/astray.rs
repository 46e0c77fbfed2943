//! Rows refused because a file of theirs is not in the archive. The first of them wait for the end of the batch, which alone shows
//! which files nobody names: they are told the name that was probably meant, and its file comes back with them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::Judged;
use crate::batch::problem::{Code, Problem};
use crate::domain::letters;

/// Rows that wait, and bytes of names in each, at most: later ones are told as they come, without a name.
const ROWS: usize = 100;
const BYTES: usize = 16 << 10;
/// Names that are missed and looked for, at most: the first ones.
const WANTED: usize = 200;
/// Files that nobody names which are looked at, at most.
pub(super) const CANDIDATES: usize = 1_000;
/// Files without a row of theirs that come back with the first row that misses one, at most.
const COMPANY: usize = 1_000;

/// Rows that miss a file.
#[derive(Default)]
pub(super) struct Astray {
    rows: Vec<Judged>,
}

/// What of a name is alike however it is written: no accents, letter case, signs or leading zeros.
struct Spelling {
    whole: Vec<char>,
    /// Without folders and extension.
    stem: Vec<char>,
    extension: String,
    /// Numbers, in order: 12 and 21 are two acts, not one misspelled.
    numbers: Vec<String>,
}

/// How far one name is from another: lower is nearer.
type Distance = usize;

impl Astray {
    /// Keeps a row that misses a file, if there is room: else it is given back.
    pub fn keep(&mut self, judged: Judged) -> Option<Judged> {
        let waits = match &judged {
            Judged::Bad { files, problems, .. } => {
                problems.iter().any(misses) && files.iter().map(String::len).sum::<usize>() <= BYTES && self.rows.len() < ROWS
            }
            _ => false,
        };
        if !waits {
            return Some(judged);
        }
        self.rows.push(judged);
        None
    }

    /// Tells the rows which of the files that nobody names is near to the one they miss. Answers, for each of `forgotten`,
    /// whether a row was told of it.
    pub fn pair(&mut self, forgotten: &[&str]) -> Vec<bool> {
        let missed = self.rows.iter().flat_map(problems_of).filter(|problem| misses(problem));
        let mut known = BTreeSet::new();
        let names = missed.filter_map(|problem| problem.found.as_deref()).filter(|name| !name.ends_with('…') && known.insert(*name));
        let wanted: Vec<String> = names.take(WANTED).map(str::to_owned).collect();
        let spelled: Vec<Spelling> = wanted.iter().map(|name| Spelling::of(name)).collect();
        // The nearest file of each name; `None` in it: two are as near.
        let mut nearest: Vec<Option<(Distance, Option<usize>)>> = vec![None; wanted.len()];
        for (place, file) in forgotten.iter().enumerate() {
            let file = Spelling::of(file);
            for (name, best) in spelled.iter().zip(&mut nearest) {
                let Some(distance) = name.distance(&file) else { continue };
                match best {
                    Some((known, _)) if *known < distance => {}
                    Some((known, only)) if *known == distance => *only = None,
                    _ => *best = Some((distance, Some(place))),
                }
            }
        }
        let chosen: Vec<Option<usize>> = nearest.into_iter().map(|best| best.and_then(|(_, place)| place)).collect();
        let mut told = vec![false; forgotten.len()];
        for (name, place) in wanted.iter().zip(&chosen) {
            let Some(place) = place else { continue };
            // Two names that mean one file: nobody knows which.
            if chosen.iter().filter(|other| **other == Some(*place)).count() > 1 {
                continue;
            }
            let Some((file, told)) = forgotten.get(*place).zip(told.get_mut(*place)) else { continue };
            *told = true;
            self.tell(name, file);
        }
        told
    }

    fn tell(&mut self, name: &str, file: &str) {
        for row in &mut self.rows {
            let Judged::Bad { files, problems, .. } = row else { continue };
            let mut its = false;
            for problem in problems.iter_mut().filter(|problem| misses(problem) && problem.found.as_deref() == Some(name)) {
                problem.expected = Some(format!("nello ZIP c'è «{}», che nessuna riga nomina", crate::batch::problem::excerpt(file)));
                its = true;
            }
            if its && !files.iter().any(|known| known == file) {
                files.push(file.to_owned());
            }
        }
    }

    /// Gives files that some of these rows must mean to the first: they come back in one reject with all of them.
    pub fn accompany<'f>(&mut self, forgotten: impl Iterator<Item = &'f str>) {
        if let Some(Judged::Bad { files, .. }) = self.rows.first_mut() {
            files.extend(forgotten.take(COMPANY).map(str::to_owned));
        }
    }

    /// Passes the rows on.
    pub fn release(self, sink: &mut dyn FnMut(Judged) -> ControlFlow<()>) {
        for row in self.rows {
            if sink(row).is_break() {
                return;
            }
        }
    }
}

/// A file is not in the archive, and nothing more is known of it.
fn misses(problem: &Problem) -> bool {
    problem.code == Code::FileMissing.as_str() && problem.expected.is_none()
}

fn problems_of(judged: &Judged) -> &[Problem] {
    match judged {
        Judged::Bad { problems, .. } => problems,
        _ => &[],
    }
}

impl Spelling {
    fn of(name: &str) -> Spelling {
        let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let (stem, extension) = match base.rsplit_once('.') {
            Some((stem, extension)) if (1..=4).contains(&extension.len()) => (stem, extension.to_lowercase()),
            _ => (base, String::new()),
        };
        let (whole, _) = folded(name);
        let (stem, numbers) = folded(stem);
        Spelling { whole, stem, extension, numbers }
    }

    /// `None`: they are two names. Two letters may differ in a long one, one in a short one, none in one of a few letters; a number
    /// never.
    fn distance(&self, other: &Spelling) -> Option<Distance> {
        if self.whole == other.whole {
            return Some(0);
        }
        if self.numbers != other.numbers {
            return None;
        }
        let extension = usize::from(self.extension != other.extension);
        let most = match self.stem.len() {
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        };
        let letters = edits(&self.stem, &other.stem, most)?;
        Some(1 + letters + extension)
    }
}

/// Letters and numbers of a text, and its numbers.
fn folded(text: &str) -> (Vec<char>, Vec<String>) {
    let mut out = Vec::new();
    let mut numbers: Vec<String> = Vec::new();
    let mut inside = false;
    for c in letters::to_safe(text).chars() {
        let digit = c.is_ascii_digit();
        if digit && !inside {
            numbers.push(String::new());
        }
        if let Some(number) = numbers.last_mut().filter(|_| digit) {
            number.push(c);
        }
        inside = digit;
        if !digit && c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        }
    }
    numbers.iter_mut().for_each(|number| *number = number.trim_start_matches('0').to_owned());
    out.extend(numbers.iter().flat_map(|number| std::iter::once('#').chain(number.chars())));
    (out, numbers)
}

/// Letters put in, left out or taken for another, if they are at most `most`. Of the table of both names only the band is reckoned in
/// which they may still be, and no further than they are: the names are a stranger's.
fn edits(one: &[char], other: &[char], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let far = most + 1;
    // Place `k` of the band of row `row` is column `row + k - most`.
    let band = 0..=2 * most;
    let mut before: Vec<usize> = band.clone().map(|k| k.checked_sub(most).unwrap_or(far)).collect();
    for (row, a) in one.iter().enumerate().map(|(row, a)| (row + 1, a)) {
        let mut now: Vec<usize> = Vec::with_capacity(before.len());
        for k in band.clone() {
            #[cfg(test)]
            tests::CELLS.with(|cells| cells.set(cells.get() + 1));
            let column = (row + k).checked_sub(most);
            let of_letter = |column: usize| {
                let b = other.get(column.checked_sub(1)?)?;
                let aslant = before.get(k)? + usize::from(a != b);
                let left = k.checked_sub(1).and_then(|k| now.get(k)).map_or(far, |left| left + 1);
                let above = before.get(k + 1).map_or(far, |above| above + 1);
                Some(aslant.min(left).min(above))
            };
            let here = if column == Some(0) { Some(row) } else { column.and_then(of_letter) };
            now.push(here.unwrap_or(far).min(far));
        }
        if now.iter().all(|edits| *edits > most) {
            return None;
        }
        before = now;
    }
    let last = (other.len() + most).checked_sub(one.len())?;
    before.get(last).copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::row::Place;

    thread_local! {
        /// Places of tables that were reckoned.
        pub(super) static CELLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn missing(name: &str) -> Judged {
        let problem = Problem { row: Some(2), ..Problem::of_drop("lotto.csv", Code::FileMissing).found(name) };
        Judged::Bad { reference: None, place: Place::default(), files: vec![name.to_owned()], problems: vec![problem] }
    }

    #[test]
    fn the_file_that_was_meant_is_told_and_another_act_s_never() {
        // What the row asks for, what nobody names, what it is told of.
        let table: [(&str, &[&str], Option<usize>); 21] = [
            ("atto_7.pdf", &["atto-7.pdf"], Some(0)),
            ("atto-7.pdf", &["verbali/atto-7.pdf"], Some(0)),
            ("verbali/atto-7.pdf", &["altri/atto-7.pdf"], Some(0)),
            ("Società 7.pdf", &["Societa' 7.pdf"], Some(0)),
            ("verbale 7.pdf", &["verbale_0007.PDF"], Some(0)),
            ("verbale7.pdf", &["verbale 7.pdf", "altro/verbale 7.pdf"], Some(0)),
            ("verbale-7", &["verbale-7.pdf"], Some(0)),
            ("verbale-7.pdf", &["verbae-7.pdf"], Some(0)),
            ("accertamento-7.pdf", &["accretamento-7.pdf"], Some(0)),
            ("verbale-7.pdf", &["verble-7.pdf", "verbale-7bis.pdf"], Some(0)),
            // Another number is another act.
            ("verbale-7.pdf", &["verbale-8.pdf"], None),
            ("verbale-12.pdf", &["verbale-21.pdf"], None),
            ("verbale-1-23.pdf", &["verbale-12-3.pdf"], None),
            ("verbale-7.pdf", &["verbale.pdf"], None),
            // Two are as near; too short; too far.
            ("verbale-7.pdf", &["uno/verbale-7.pdf", "due/verbale-7.pdf"], None),
            ("a.pdf", &["b.pdf"], None),
            ("ruolo.pdf", &["rullo.pdf"], Some(0)),
            ("ruolo.pdf", &["rulli.pdf"], None),
            ("verbale-7.pdf", &["notifica-7.pdf"], None),
            ("verbale-7.pdf", &[], None),
            ("", &["verbale-7.pdf"], None),
        ];
        for (name, forgotten, want) in table {
            let mut astray = Astray::default();
            assert!(astray.keep(missing(name)).is_none());
            let told = astray.pair(forgotten);
            assert_eq!(told.iter().position(|told| *told), want, "{name:?} of {forgotten:?}");
            let Some(Judged::Bad { files, problems, .. }) = astray.rows.first() else { panic!("the row is gone") };
            let file = want.map(|place| forgotten[place]);
            let hint = file.map(|file| format!("nello ZIP c'è «{file}», che nessuna riga nomina"));
            assert_eq!(problems[0].expected, hint, "{name:?} of {forgotten:?}");
            assert_eq!(files.get(1).map(String::as_str), file, "{name:?} of {forgotten:?}");
        }
    }

    #[test]
    fn of_two_names_that_mean_one_file_neither_is_told_and_a_shared_one_is_told_to_all() {
        let table: [(&[&str], usize); 3] = [(&["atto_7.pdf", "atto 7.pdf"], 0), (&["atto_7.pdf", "atto_7.pdf"], 2), (&["atto_7.pdf"], 1)];
        for (names, want) in table {
            let mut astray = Astray::default();
            names.iter().for_each(|name| assert!(astray.keep(missing(name)).is_none()));
            assert_eq!(astray.pair(&["atto-7.pdf"]), [want > 0], "{names:?}");
            let mut told = 0;
            astray.release(&mut |row| {
                told += problems_of(&row).iter().filter(|problem| problem.expected.is_some()).count();
                ControlFlow::Continue(())
            });
            assert_eq!(told, want, "{names:?}");
        }
    }

    /// The whole table, by the book.
    fn all_edits(one: &[char], other: &[char]) -> usize {
        let mut before: Vec<usize> = (0..=other.len()).collect();
        for (row, a) in one.iter().enumerate() {
            let mut now = vec![row + 1];
            for (column, b) in other.iter().enumerate() {
                now.push((before[column] + usize::from(a != b)).min(before[column + 1] + 1).min(now[column] + 1));
            }
            before = now;
        }
        before[other.len()]
    }

    #[test]
    fn the_band_says_what_the_whole_table_says() {
        // Every two words of up to five of two letters.
        let words: Vec<Vec<char>> = (0..=5_usize)
            .flat_map(|length| {
                (0..1_usize << length).map(move |bits| (0..length).map(|at| if bits >> at & 1 == 1 { 'a' } else { 'b' }).collect())
            })
            .collect();
        for (one, other) in words.iter().flat_map(|one| words.iter().map(move |other| (one, other))) {
            for most in 0..=2 {
                let whole = Some(all_edits(one, other)).filter(|edits| *edits <= most);
                assert_eq!(edits(one, other, most), whole, "{one:?} {other:?} {most}");
            }
        }
    }

    #[test]
    fn a_hostile_drop_costs_little() {
        // As many rows as wait, each missing as many names as it may; files that nobody names, all of them alike to their end.
        const FILES: usize = 50;
        let letters = |n: usize| n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'm')).collect::<String>();
        let long = "a".repeat(60);
        let mut astray = Astray::default();
        for row in 0..ROWS {
            let names: Vec<String> = (0..180).map(|n| format!("{long}{}.pdf", letters(1_000 * (row + 1) + n))).collect();
            let missed = |name: &String| Problem { row: Some(2), ..Problem::of_drop("lotto.csv", Code::FileMissing).found(name) };
            let problems = names.iter().map(missed).collect();
            let judged = Judged::Bad { reference: None, place: Place::default(), files: names, problems };
            assert!(astray.keep(judged).is_none(), "row {row}");
        }
        let files: Vec<String> = (0..FILES).map(|_| format!("{long}zzzzzz.pdf")).collect();
        CELLS.with(|cells| cells.set(0));
        astray.pair(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let cells = CELLS.with(std::cell::Cell::get);
        // Five places a letter, of the names that are looked for alone.
        assert!(cells > WANTED * FILES * 60 && cells <= WANTED * FILES * 5 * 70, "{cells}");
        // Names that differ from their first letters are left at once.
        CELLS.with(|cells| cells.set(0));
        assert_eq!(edits(&['a'; 10_000], &['b'; 10_000], 2), None);
        assert!(CELLS.with(std::cell::Cell::get) <= 5 * 3);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut astray = Astray::default();
        let huge = missing(&"x".repeat(BYTES + 1));
        assert!(astray.keep(huge).is_some());
        let kept = (0..2 * ROWS).filter(|_| astray.keep(missing("atto.pdf")).is_none()).count();
        assert_eq!(kept, ROWS);
    }
}
