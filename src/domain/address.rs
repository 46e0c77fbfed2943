//! The window of a registered letter: five lines of 44 characters, six abroad, as SEND composes and prints them.
//!
//! `reference send.md` 3. SEND refuses some combinations that do not fit and cuts others in print: [`overlong`] tells both.

use super::act::PhysicalAddress;
use super::italy;

/// Characters of one line of the window.
pub const LINE: usize = 44;

/// A field of the address (or the name above it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    At,
    Address,
    AddressDetails,
    Municipality,
    MunicipalityDetails,
    ForeignState,
}

/// A line that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlong {
    /// Line of the window, from 1.
    pub line: u8,
    /// The field to shorten first.
    pub part: Part,
    /// Characters it would take.
    pub length: usize,
    /// SEND prints the line cut, and takes the address; otherwise the address must be shortened.
    pub only_cut: bool,
}

/// Characters of `fields` joined by one space, blank ones left out.
fn joined_length(fields: &[&str]) -> usize {
    let mut used = 0;
    let mut length = 0;
    for field in fields.iter().filter(|field| !field.is_empty()) {
        used += 1;
        length += field.chars().count();
    }
    length + usize::saturating_sub(used, 1)
}

/// Whether the sixth line is printed: outside Italy, San Marino and the Vatican.
pub fn is_abroad(address: &PhysicalAddress) -> bool {
    let state = address.foreign_state.as_deref();
    !italy::is_italian(state) && !italy::is_enclave(state.unwrap_or_default())
}

/// Tells every line that does not fit in 44 characters (`denomination` is at most 88).
pub fn overlong(denomination: &str, address: &PhysicalAddress, tell: &mut dyn FnMut(Overlong)) {
    let text = |field: &Option<String>| -> usize { field.as_deref().map_or(0, |text| text.chars().count()) };
    let blank = |field: &'_ Option<String>| field.as_deref().unwrap_or_default().is_empty();
    let at = address.at.as_deref().unwrap_or_default();
    let details = address.address_details.as_deref().unwrap_or_default();
    let place = address.municipality_details.as_deref().unwrap_or_default();
    let mut line = |line, part, length, only_cut| {
        if length > LINE {
            tell(Overlong { line, part, length, only_cut });
        }
    };
    // The request is refused when `at` and `municipalityDetails` together do not fit, although print has them on two lines.
    let together = joined_length(&[at, place]);
    if together > LINE {
        line(2, if blank(&address.at) { Part::MunicipalityDetails } else { Part::At }, together, false);
    } else {
        let rest = denomination.chars().count().saturating_sub(LINE);
        // A name of over 88 characters has a rule of its own.
        let second = if rest > 0 && !at.is_empty() { rest + 1 + at.chars().count() } else { 0 };
        line(2, Part::At, second, true);
    }
    line(3, Part::AddressDetails, joined_length(&[details, place]), false);
    line(4, Part::Address, address.address.chars().count(), false);
    let zip = address.zip.as_deref().unwrap_or_default();
    let province = address.province.as_deref().unwrap_or_default();
    line(5, Part::Municipality, joined_length(&[zip, &address.municipality, province]), false);
    line(6, Part::ForeignState, text(&address.foreign_state), false);
}

/// The window as printed: each line cut at 44 characters, blank lines left out.
pub fn compose(denomination: &str, address: &PhysicalAddress) -> Vec<String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let join = |fields: [String; 3]| fields.into_iter().filter(|field| !field.is_empty()).collect::<Vec<_>>().join(" ");
    let rest: String = denomination.chars().skip(LINE).collect();
    let mut lines = vec![
        denomination.to_owned(),
        join([rest, text(&address.at), String::new()]),
        join([text(&address.address_details), text(&address.municipality_details), String::new()]),
        address.address.clone(),
        join([text(&address.zip), address.municipality.clone(), text(&address.province)]),
    ];
    if is_abroad(address) {
        lines.push(text(&address.foreign_state));
    }
    lines.into_iter().map(|line| line.chars().take(LINE).collect::<String>()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(at: &str, address: &str, details: &str, place: &str, state: &str) -> PhysicalAddress {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        PhysicalAddress {
            at: some(at),
            address: address.to_owned(),
            address_details: some(details),
            zip: some("42121"),
            municipality: "REGGIO EMILIA".to_owned(),
            municipality_details: some(place),
            province: some("RE"),
            foreign_state: some(state),
        }
    }

    const LONG: &str = "CONSORZIO PER LA PROMOZIONE DEL MARCHIO STORICO DEI VINI REGGIANI";

    fn told(denomination: &str, address: &PhysicalAddress) -> Vec<Overlong> {
        let mut out = Vec::new();
        overlong(denomination, address, &mut |line| out.push(line));
        out
    }

    #[test]
    fn prints_as_the_documentation_of_send() {
        let plain = address("", "VIA CRISPI 3", "", "", "");
        let full = address("ALLA C.A. GIOVANNI NOTO", "VIA CRISPI 3", "EDIFICIO A SCALA B PALAZZINA 12", "RIVALTA", "");
        let abroad = address("", "RUE DE LA PAIX 3", "", "", "FRANCIA");
        let enclave = address("", "VIA PIANA 3", "", "", "SAN MARINO");
        let table = [
            ("GIOVANNI NOTO", &plain, vec!["GIOVANNI NOTO", "VIA CRISPI 3", "42121 REGGIO EMILIA RE"]),
            (
                LONG,
                &full,
                vec![
                    "CONSORZIO PER LA PROMOZIONE DEL MARCHIO STOR",
                    "ICO DEI VINI REGGIANI ALLA C.A. GIOVANNI NOT",
                    "EDIFICIO A SCALA B PALAZZINA 12 RIVALTA",
                    "VIA CRISPI 3",
                    "42121 REGGIO EMILIA RE",
                ],
            ),
            ("JEAN", &abroad, vec!["JEAN", "RUE DE LA PAIX 3", "42121 REGGIO EMILIA RE", "FRANCIA"]),
            ("JEAN", &enclave, vec!["JEAN", "VIA PIANA 3", "42121 REGGIO EMILIA RE"]),
        ];
        for (name, address, want) in table {
            assert_eq!(compose(name, address), want, "{name} {address:?}");
        }
    }

    #[test]
    fn tells_the_line_that_does_not_fit() {
        let a = |count: usize| "A".repeat(count);
        let line = |line, part, length, only_cut| Overlong { line, part, length, only_cut };
        let table = [
            (a(88), address("", &a(44), &a(44), "", ""), vec![]),
            (a(10), address("", &a(45), "", "", ""), vec![line(4, Part::Address, 45, false)]),
            (a(10), address("", "VIA", &a(45), "", ""), vec![line(3, Part::AddressDetails, 45, false)]),
            (a(10), address("", "VIA", &a(30), &a(14), ""), vec![line(3, Part::AddressDetails, 45, false)]),
            (a(10), address(&a(30), "VIA", "", &a(14), ""), vec![line(2, Part::At, 45, false)]),
            (a(60), address(&a(28), "VIA", "", "", ""), vec![line(2, Part::At, 45, true)]),
            (a(60), address(&a(27), "VIA", "", "", ""), vec![]),
            (a(10), address("", "VIA", "", "", &a(45)), vec![line(6, Part::ForeignState, 45, false)]),
            ("è".repeat(44), address("", &"è".repeat(44), "", "", ""), vec![]),
        ];
        for (name, address, want) in table {
            assert_eq!(told(&name, &address), want, "{name} {address:?}");
        }
        let mut town = address("", "VIA", "", "", "");
        town.municipality = a(36);
        assert_eq!(told("N", &town), [line(5, Part::Municipality, 45, false)]);
    }

    proptest! {
        #[test]
        fn what_fits_is_printed_whole(
            name in "[A-Zè ]{1,88}", at in "[A-Z]{0,44}", street in "[A-Zà]{2,60}", details in "[A-Z]{0,50}",
            place in "[A-Z]{0,50}", state in "(|FRANCIA|ITALIA)",
        ) {
            let address = address(&at, &street, &details, &place, &state);
            let lines = compose(&name, &address);
            prop_assert!(lines.len() <= 6 && lines.iter().all(|line| line.chars().count() <= LINE), "{:?}", lines);
            if told(&name, &address).is_empty() {
                let printed: String = lines.concat();
                for part in [&at, &street, &details, &place] {
                    prop_assert!(printed.contains(part.as_str()), "{} in {:?}", part, lines);
                }
            }
        }
    }
}
