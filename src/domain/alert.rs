//! What operators are told of: every code that may be raised, by kind, and whether it happens once, begins or ends.
//!
//! The kinds are what an ente switches, addresses and schedules in its configuration; the codes are what the store keeps.
//! Sentences are in `text::it::parking`.

use serde::{Deserialize, Serialize};

use super::act::vocabulary;

vocabulary!(
    /// A kind of alert, as the configuration writes it: never renamed.
    AlertKind {
        /// A batch was refused, wholly or in part.
        Batch = "lotti",
        /// An act, a batch or a file needs a person.
        Person = "persona",
        /// A remote or a share does not answer, or answers again.
        Remote = "remoti",
        /// SEND refuses a key: the ente stands still.
        Key = "chiavi",
        /// The stream of events of a key was lost or is refused.
        Stream = "flusso-eventi",
        /// The calls or the money of the day are used up.
        Quota = "quote",
        /// The disk fills up.
        Disk = "disco",
        /// An upload never completed.
        Upload = "depositi",
        /// A gestionale that always drops has not.
        Silent = "silenzio",
        /// A term of notification comes near.
        Term = "termini",
        /// SEND said something unexpected.
        Anomaly = "anomalie",
        /// A PT does not answer or refuses us, a debt position stands still, a payment is not what was due.
        Payment = "pagamenti",
        /// The nightly report.
        Report = "rapporto",
    }
);

/// What a code says about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It happened; nothing will say that it is over.
    Once,
    /// It lasts until the code given ends it.
    Begins { ends: &'static str },
    /// It is over.
    Ends,
}

impl Phase {
    /// The word printed for it: never renamed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Once => "UNA_VOLTA",
            Phase::Begins { .. } => "INIZIO",
            Phase::Ends => "FINE",
        }
    }
}

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertCode {
    pub code: &'static str,
    pub kind: AlertKind,
    pub phase: Phase,
}

const fn once(code: &'static str, kind: AlertKind) -> AlertCode {
    AlertCode { code, kind, phase: Phase::Once }
}
const fn begins(code: &'static str, kind: AlertKind, ends: &'static str) -> AlertCode {
    AlertCode { code, kind, phase: Phase::Begins { ends } }
}
const fn ends(code: &'static str, kind: AlertKind) -> AlertCode {
    AlertCode { code, kind, phase: Phase::Ends }
}

/// Every code that is not the reason of a parked act (those are all [`AlertKind::Person`]; see [`kind_of`]).
pub const CODES: &[AlertCode] = &[
    once("LOTTO_SCARTATO", AlertKind::Batch),
    once("LOTTO_PARZIALE", AlertKind::Batch),
    begins("SEND_NON_RAGGIUNGIBILE", AlertKind::Remote, "SEND_DI_NUOVO_RAGGIUNGIBILE"),
    ends("SEND_DI_NUOVO_RAGGIUNGIBILE", AlertKind::Remote),
    begins("CARTELLA_NON_RISPONDE", AlertKind::Remote, "CARTELLA_DI_NUOVO_RAGGIUNGIBILE"),
    ends("CARTELLA_DI_NUOVO_RAGGIUNGIBILE", AlertKind::Remote),
    begins("CHIAVE_RIFIUTATA", AlertKind::Key, "ENTE_RIPRESO"),
    begins("QUOTA_SEND_ESAURITA", AlertKind::Key, "ENTE_RIPRESO"),
    begins("GRUPPO_RIFIUTATO", AlertKind::Key, "ENTE_RIPRESO"),
    begins("ENTE_NON_ABILITATO", AlertKind::Key, "ENTE_RIPRESO"),
    ends("ENTE_RIPRESO", AlertKind::Key),
    once("FLUSSO_EVENTI_PERSO", AlertKind::Stream),
    begins("FLUSSO_EVENTI_RIFIUTATO", AlertKind::Stream, "FLUSSO_EVENTI_RIPRESO"),
    ends("FLUSSO_EVENTI_RIPRESO", AlertKind::Stream),
    begins("CHIAMATE_DEL_GIORNO_FINITE", AlertKind::Quota, "QUOTE_DI_NUOVO_LIBERE"),
    begins("TETTO_DI_SPESA_RAGGIUNTO", AlertKind::Quota, "QUOTE_DI_NUOVO_LIBERE"),
    ends("QUOTE_DI_NUOVO_LIBERE", AlertKind::Quota),
    begins("DISCO_QUASI_PIENO", AlertKind::Disk, "DISCO_DI_NUOVO_LIBERO"),
    ends("DISCO_DI_NUOVO_LIBERO", AlertKind::Disk),
    once("DEPOSITO_MAI_COMPLETATO", AlertKind::Upload),
    begins("GESTIONALE_SILENZIOSO", AlertKind::Silent, "GESTIONALE_DI_NUOVO_ATTIVO"),
    ends("GESTIONALE_DI_NUOVO_ATTIVO", AlertKind::Silent),
    once("RAPPORTO_DEL_GIORNO", AlertKind::Report),
    once("TERMINE_VICINO", AlertKind::Term),
    once("FATTO_INATTESO", AlertKind::Anomaly),
    once("EVENTO_SCONOSCIUTO", AlertKind::Anomaly),
    once("TIMELINE_RETTIFICATA", AlertKind::Anomaly),
    once("OROLOGIO_SPOSTATO", AlertKind::Anomaly),
    begins("CANCELLAZIONI_TRATTENUTE", AlertKind::Person, "CANCELLAZIONI_RIPRESE"),
    ends("CANCELLAZIONI_RIPRESE", AlertKind::Person),
    once("RIFIUTO_SENZA_MOTIVO", AlertKind::Anomaly),
    begins("RENDICONTAZIONE_IN_RITARDO", AlertKind::Person, "RENDICONTAZIONE_RIUSCITA"),
    ends("RENDICONTAZIONE_RIUSCITA", AlertKind::Person),
    begins("COPIA_IN_RITARDO", AlertKind::Person, "COPIA_RIUSCITA"),
    ends("COPIA_RIUSCITA", AlertKind::Person),
    begins("RIPRISTINO_DA_RILASCIARE", AlertKind::Person, "RIPRISTINO_RILASCIATO"),
    ends("RIPRISTINO_RILASCIATO", AlertKind::Person),
    once("NOME_GIA_PRESENTE", AlertKind::Person),
    once("ATTESTAZIONE_NON_LEGGIBILE", AlertKind::Person),
    once("ATTESTAZIONE_PERDUTA", AlertKind::Person),
    once("DEPOSITO_INTERROTTO", AlertKind::Person),
    once("DEPOSITO_ACCANTONATO", AlertKind::Person),
    once("DEPOSITO_ABBANDONATO", AlertKind::Person),
    once("ID_POSIZIONE_MANCANTE", AlertKind::Payment),
    once("POSIZIONE_NON_DESCRITTA", AlertKind::Payment),
    once("IMPORTO_NON_RIPARTIBILE", AlertKind::Payment),
    once("VERIFICA_RESPINTA_DAL_PT", AlertKind::Payment),
    once("PT_NON_CONFIGURATO", AlertKind::Payment),
    once("POSIZIONE_IN_PAGAMENTO", AlertKind::Payment),
    once("POSIZIONE_ANNULLATA_DAL_PT", AlertKind::Payment),
    once("POSIZIONE_SCADUTA", AlertKind::Payment),
    once("SCADENZA_NON_SPOSTATA", AlertKind::Payment),
    once("POSIZIONE_NON_ANNULLATA", AlertKind::Payment),
    once("IMPORTO_NON_CAMBIATO", AlertKind::Payment),
    once("IMPORTO_RESPINTO_DAL_PT", AlertKind::Payment),
    once("POSIZIONE_NON_TROVATA", AlertKind::Payment),
    once("POSIZIONE_DI_ALTRI", AlertKind::Payment),
    once("IMPORTO_NON_CALCOLABILE", AlertKind::Payment),
    once("PAGATO_IMPORTO_DIVERSO", AlertKind::Payment),
    once("PAGATO_DUE_VOLTE", AlertKind::Payment),
    once("PAGATO_CON_ALTRO_AVVISO", AlertKind::Payment),
    once("PAGAMENTO_SCONOSCIUTO", AlertKind::Payment),
    once("POSIZIONE_NON_PIU_SEGUITA", AlertKind::Payment),
    once("REVOCA_DI_PAGAMENTO", AlertKind::Payment),
    begins("PT_NON_RAGGIUNGIBILE", AlertKind::Payment, "PT_DI_NUOVO_RAGGIUNGIBILE"),
    ends("PT_DI_NUOVO_RAGGIUNGIBILE", AlertKind::Payment),
    begins("PT_RIFIUTA_LE_CREDENZIALI", AlertKind::Payment, "PT_ACCETTA_LE_CREDENZIALI"),
    ends("PT_ACCETTA_LE_CREDENZIALI", AlertKind::Payment),
    begins("PT_CERTIFICATO_NON_VALIDO", AlertKind::Payment, "PT_CERTIFICATO_DA_RIPROVARE"),
    ends("PT_CERTIFICATO_DA_RIPROVARE", AlertKind::Payment),
];

/// The row of a code; a code of no row is the reason of a parked act.
#[must_use]
pub fn code(code: &str) -> Option<&'static AlertCode> {
    CODES.iter().find(|row| row.code == code)
}

/// The kind of a code. One that is in no row is the reason of a parked act, which needs a person.
#[must_use]
pub fn kind_of(named: &str) -> AlertKind {
    code(named).map_or(AlertKind::Person, |row| row.kind)
}

/// Whether a code happens once, begins or ends something. That of a parked act happens once: the act itself shows its end.
#[must_use]
pub fn phase_of(named: &str) -> Phase {
    code(named).map_or(Phase::Once, |row| row.phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_can_end_and_no_code_is_there_twice() {
        for (index, row) in CODES.iter().enumerate() {
            assert!(CODES.iter().skip(index + 1).all(|other| other.code != row.code), "{} twice", row.code);
            if let Phase::Begins { ends } = row.phase {
                let end = code(ends);
                assert_eq!(end.map(|end| (end.phase, end.kind)), Some((Phase::Ends, row.kind)), "{} ends with {ends}", row.code);
            }
        }
        assert_eq!(kind_of("TENTATIVI_ESAURITI"), AlertKind::Person);
    }
}
