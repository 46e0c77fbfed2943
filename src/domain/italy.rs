//! Italian places: comuni with their provinces and CAPs, compiled in (`schemas/comuni.csv`; source and date in `schemas/FONTI.md`).
//!
//! The table ages, so what follows from it is a hint: what it does not know is never blamed on the rest. Names are compared
//! without regard to letter case, accents, apostrophes and spaces; `S.` may stand for San, Santo, Santa, Sant'.

use std::sync::OnceLock;

use super::letters::{folded_hash, same_folded};

const TABLE: &str = include_str!("../../schemas/comuni.csv");

/// A comune of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Municipality {
    /// The official name first, then others in use, between `|`.
    names: &'static str,
    /// Sigle of the province (several where provinces were redrawn), between `|`.
    provinces: &'static str,
    /// CAPs between `|`: five digits, or a prefix and `*`. Empty: not known.
    zips: &'static str,
}

impl Municipality {
    /// The official name.
    pub fn name(&self) -> &'static str {
        self.names.split('|').next().unwrap_or_default()
    }

    /// Whether it lies in the province with that sigla (either case).
    pub fn in_province(&self, sigla: &str) -> bool {
        self.provinces.split('|').any(|own| own.eq_ignore_ascii_case(sigla))
    }

    /// Whether `zip` is one of its CAPs; true when they are not known.
    pub fn has_zip(&self, zip: &str) -> bool {
        self.zips.is_empty()
            || self.zips.split('|').any(|own| match own.strip_suffix('*') {
                Some(prefix) => zip.starts_with(prefix),
                None => own == zip,
            })
    }
}

/// What does not fit in (comune, province, CAP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// No comune of that name.
    Municipality,
    /// No comune of that name in that province; it lies here.
    Province { known: String },
    /// The comune has other CAPs.
    Zip { known: String },
}

/// (hash of a folded name, byte offset of its line), sorted.
fn index() -> &'static [(u64, u32)] {
    static INDEX: OnceLock<Vec<(u64, u32)>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Vec::with_capacity(9_000);
        let mut offset = 0usize;
        for line in TABLE.split_inclusive('\n') {
            let names = line.split(';').next().unwrap_or_default();
            if offset > 0 {
                index.extend(names.split('|').map(|name| (folded_hash(name), u32::try_from(offset).unwrap_or(u32::MAX))));
            }
            offset += line.len();
        }
        index.sort_unstable();
        index.dedup();
        index.shrink_to_fit();
        index
    })
}

/// The comune whose line begins at `offset`.
fn at(offset: u32) -> Option<Municipality> {
    let line = TABLE.get(offset as usize..)?.split('\n').next()?;
    let mut columns = line.split(';');
    Some(Municipality { names: columns.next()?, provinces: columns.next()?, zips: columns.next()? })
}

/// Every comune of that exact (folded) name.
fn find_exact(name: &str) -> impl Iterator<Item = Municipality> + '_ {
    let hash = folded_hash(name);
    let index = index();
    let start = index.partition_point(|(own, _)| *own < hash);
    let hits = index.get(start..).unwrap_or_default().iter().take_while(move |(own, _)| *own == hash);
    hits.filter_map(|(_, offset)| at(*offset)).filter(|place| place.names.split('|').any(|own| same_folded(own, name)))
}

/// Every comune that `name` may mean: more than one where provinces share a name.
pub fn find(name: &str) -> Vec<Municipality> {
    let mut found: Vec<Municipality> = find_exact(name).collect();
    let trimmed = name.trim_start();
    if found.is_empty() && trimmed.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("s.") || start.eq_ignore_ascii_case("s ")) {
        let rest = trimmed.get(2..).unwrap_or_default();
        for saint in ["San", "Santo", "Santa", "Sant"] {
            found.extend(find_exact(&format!("{saint} {rest}")));
        }
    }
    found
}

/// Whether `sigla` is a province (either case).
pub fn is_province(sigla: &str) -> bool {
    static PROVINCES: OnceLock<Vec<&'static str>> = OnceLock::new();
    let provinces = PROVINCES.get_or_init(|| {
        let lines = TABLE.lines().skip(1).filter_map(|line| line.split(';').nth(1));
        let mut provinces: Vec<&str> = lines.flat_map(|sigle| sigle.split('|')).collect();
        provinces.sort_unstable();
        provinces.dedup();
        provinces
    });
    let Ok([a, b]) = <&[u8; 2]>::try_from(sigla.as_bytes()) else { return false };
    let upper = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    provinces.binary_search_by(|own| own.as_bytes().cmp(&upper)).is_ok()
}

/// Whether an address with that foreign state is Italian to SEND: blank, or beginning with `ITAL` (`reference send.md` 3).
pub fn is_italian(foreign_state: Option<&str>) -> bool {
    let state = foreign_state.unwrap_or_default().trim();
    state.is_empty() || state.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("ital"))
}

/// Whether the place is San Marino or the Vatican, written as Italian addresses are: five lines, no foreign state wanted.
pub fn is_enclave(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "San Marino",
        "Repubblica di San Marino",
        "Città del Vaticano",
        "Stato della Città del Vaticano",
        "Stato Città del Vaticano",
        "Vaticano",
        "Vatican City",
        "Santa Sede",
    ];
    name.bytes().any(|byte| matches!(byte, b'V' | b'v' | b'S' | b's')) && NAMES.iter().any(|own| same_folded(own, name))
}

/// Compares comune, province and CAP of an Italian address. Blank province or CAP: not looked at.
pub fn check_place(municipality: &str, province: &str, zip: &str) -> Result<(), Misfit> {
    // San Marino (47890..=47899) and the Vatican are in no table of comuni.
    if zip.starts_with("4789") || zip == "00120" || is_enclave(municipality) {
        return Ok(());
    }
    let hash_hit = |place: &Municipality| (province.is_empty() || place.in_province(province)) && (zip.is_empty() || place.has_zip(zip));
    if find_exact(municipality).any(|place| hash_hit(&place)) {
        return Ok(());
    }
    let found = find(municipality);
    if found.is_empty() {
        return Err(Misfit::Municipality);
    }
    let here: Vec<&Municipality> = found.iter().filter(|place| province.is_empty() || place.in_province(province)).collect();
    if here.is_empty() {
        let known: Vec<&str> = found.iter().map(|place| place.provinces).collect();
        return Err(Misfit::Province { known: known.join(", ").replace('|', ", ") });
    }
    if zip.is_empty() || here.iter().any(|place| place.has_zip(zip)) {
        return Ok(());
    }
    let known: Vec<&str> = here.iter().map(|place| place.zips).collect();
    Err(Misfit::Zip { known: known.join(", ").replace('|', ", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_fit_or_say_what_does_not() {
        let province = |known: &str| Err(Misfit::Province { known: known.to_owned() });
        let zip = |known: &str| Err(Misfit::Zip { known: known.to_owned() });
        let table = [
            ("Torino", "TO", "10121", Ok(())),
            ("TORINO", "to", "10100", Ok(())), // generic CAP of a big city
            ("Roma", "RM", "00184", Ok(())),
            ("ROMA", "RM", "20121", zip("001*")),
            ("Forli'", "FC", "47121", Ok(())),
            ("FORLÌ", "FC", "", Ok(())),
            ("S. Dona' di Piave", "VE", "30027", Ok(())),
            ("Reggio Emilia", "RE", "42121", Ok(())),
            ("REGGIO CALABRIA", "RC", "89121", Ok(())),
            ("Aldino. Aldein.", "BZ", "39040", Ok(())),
            ("BOLZANO/BOZEN", "BZ", "39100", Ok(())),
            ("Livo", "TN", "38020", Ok(())),
            ("Livo", "CO", "22010", Ok(())),
            ("Livo", "TN", "22010", zip("38020")),
            ("Livo", "MI", "22010", province("CO, TN")),
            ("Cagliari", "CA", "09124", Ok(())),
            ("Carbonia", "SU", "09013", Ok(())),
            ("Carbonia", "CI", "09013", Ok(())), // the province of before 2016
            ("Carbonia", "MI", "09013", province("CA, CI, NU, OG, OR, OT, SS, SU, VS")),
            ("Caminata", "PC", "99999", Ok(())), // merged in 2018, CAP not known
            ("San Marino", "SM", "47890", Ok(())),
            ("Città del Vaticano", "", "00120", Ok(())),
            ("Roccacannuccia", "RM", "00100", Err(Misfit::Municipality)),
            ("", "RM", "00100", Err(Misfit::Municipality)),
            ("S", "RM", "00100", Err(Misfit::Municipality)),
            ("S.", "RM", "00100", Err(Misfit::Municipality)),
        ];
        for (name, sigla, cap, want) in table {
            assert_eq!(check_place(name, sigla, cap), want, "{name:?} {sigla:?} {cap:?}");
        }
    }

    #[test]
    fn the_table_is_whole() {
        let lines: Vec<&str> = TABLE.lines().skip(1).collect();
        assert!(lines.len() > 7_890, "{}", lines.len());
        for line in &lines {
            let columns: Vec<&str> = line.split(';').collect();
            let [names, sigle, caps] = columns[..] else { panic!("{line}") };
            assert!(sigle.split('|').all(|sigla| sigla.len() == 2 && is_province(sigla)), "{line}");
            let cap = |cap: &str| (cap.len() == 5 || cap.ends_with('*')) && cap.trim_end_matches('*').bytes().all(|b| b.is_ascii_digit());
            assert!(caps.is_empty() || caps.split('|').all(cap), "{line}");
            for name in names.split('|') {
                assert!(find(name).iter().any(|place| place.names == names), "{name}");
            }
        }
        let mut hashes: Vec<(u64, String)> = lines
            .iter()
            .flat_map(|line| line.split(';').next().unwrap().split('|'))
            .map(|name| (folded_hash(name), String::from_utf8(super::super::letters::folded(name).collect()).unwrap()))
            .collect();
        hashes.sort();
        hashes.dedup();
        assert!(hashes.windows(2).all(|pair| pair[0].0 != pair[1].0), "two names with one hash");
    }

    #[test]
    fn italy_has_two_enclaves() {
        let table = [
            (None, true),
            (Some(""), true),
            (Some(" Italia "), true),
            (Some("ITALY"), true),
            (Some("FRANCIA"), false),
            (Some("Ità"), false),
        ];
        for (state, want) in table {
            assert_eq!(is_italian(state), want, "{state:?}");
        }
        for (name, want) in [("SAN MARINO", true), ("Citta' del Vaticano", true), ("San Marino di Bentivoglio", false), ("", false)] {
            assert_eq!(is_enclave(name), want, "{name:?}");
        }
        for (sigla, want) in [("TO", true), ("to", true), ("XX", false), ("TOR", false), ("è", false), ("", false)] {
            assert_eq!(is_province(sigla), want, "{sigla:?}");
        }
    }
}
