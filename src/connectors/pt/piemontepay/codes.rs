//! The outcome codes of PiemontePAY (`codici-esito.csv`), in its answers and in what it tells later.

use crate::connectors::ConnectorError;
use crate::connectors::pt::call::{problem, temporary};
use crate::domain::position::WhyUndone;

/// Taken in charge, or done.
pub(super) const OK: &str = "000";
/// This `IdMessaggio` was used before: the same request, repeated.
pub(super) const REPEATED: &str = "150";
/// The position is cancelled already.
pub(super) const CANCELLED: &str = "179";

/// What an outcome code means for the change that it is about. `status`: of HTTP, for the log.
pub(super) fn verdict(code: &str, status: u16) -> Result<(), ConnectorError> {
    let number: u16 = if code.len() == 3 { code.parse().unwrap_or(999) } else { 999 };
    // Codes go to logs and esiti: nothing else may come in by this way.
    let said = problem(status, if number == 999 { "CODICE_SCONOSCIUTO" } else { code });
    Err(match number {
        0 => return Ok(()),
        160 | 175 | 200 | 250 | 301 => temporary(format!("PiemontePAY {code}"), None),
        300 | 399 => ConnectorError::Uncertain { what: format!("PiemontePAY {code}") },
        176 => ConnectorError::NotFound(said),
        177..=179 | 181 | 187 | 188 => ConnectorError::Conflict(said),
        // The ente or its payment type, which the position's route names: nobody else's positions are refused for it.
        151..=153 | 157..=159 | 161..=174 | 180 | 182..=186 | 189..=197 | 218 => ConnectorError::Refused(said),
        _ => ConnectorError::Unclassified(said),
    })
}

/// Why a change was not made, by the code that is told later.
pub(super) fn undone(code: &str) -> WhyUndone {
    match (verdict(code, 200), code) {
        (Err(ConnectorError::Temporary { .. } | ConnectorError::Uncertain { .. }), _) => WhyUndone::Again,
        (Err(ConnectorError::NotFound(_)), _) => WhyUndone::NotFound,
        (_, "177") => WhyUndone::BeingPaid,
        (_, "178") => WhyUndone::Paid,
        (_, CANCELLED) => WhyUndone::Cancelled,
        (_, "187") => WhyUndone::Expired,
        _ => WhyUndone::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_told_later_says_what_became_of_the_position() {
        use WhyUndone as W;
        let table = [
            (W::Again, "160 175 200 250 301 300 399"),
            (W::BeingPaid, "177"),
            (W::Paid, "178"),
            (W::Cancelled, "179"),
            (W::Expired, "187"),
            (W::NotFound, "176"),
            (W::Refused, "050 051 150 151 152 154 181 184 188 196 218 999 Rossi"),
        ];
        for (want, codes) in table {
            for code in codes.split(' ') {
                assert_eq!(undone(code), want, "{code}");
            }
        }
    }

    #[test]
    fn codes_say_what_is_next() {
        let table = [
            ("000", "done"),
            ("151", "refused: 200 151"),
            ("152", "refused: 200 152"),
            ("153", "refused: 200 153"),
            ("158", "refused: 200 158"),
            ("197", "refused: 200 197"),
            ("154", "refused for an unknown reason: 200 154"),
            ("175", "temporary (PiemontePAY 175)"),
            ("176", "not found"),
            ("177", "conflict: 200 177"),
            ("178", "conflict: 200 178"),
            ("179", "conflict: 200 179"),
            ("181", "conflict: 200 181"),
            ("184", "refused: 200 184"),
            ("187", "conflict: 200 187"),
            ("196", "refused: 200 196"),
            ("218", "refused: 200 218"),
            ("399", "uncertain (PiemontePAY 399)"),
            ("050", "refused for an unknown reason: 200 050"),
            ("0", "refused for an unknown reason: 200 CODICE_SCONOSCIUTO"),
            ("Rossi", "refused for an unknown reason: 200 CODICE_SCONOSCIUTO"),
        ];
        for (code, want) in table {
            let said = verdict(code, 200).map_or_else(|error| error.to_string(), |()| "done".to_owned());
            assert_eq!(said, want, "{code}");
        }
    }
}
