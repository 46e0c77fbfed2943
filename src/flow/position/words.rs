//! What positions are parked under and what esiti say of them: codes and events, in Italian, never renamed.

/// Codes under which a position is parked by what its PT says. Listed in `docs/codici.md`.
pub mod code {
    /// A payment is under way: looked at again by itself.
    pub const BEING_PAID: &str = "POSIZIONE_IN_PAGAMENTO";
    pub const CANCELLED: &str = "POSIZIONE_ANNULLATA_DAL_PT";
    pub const EXPIRED: &str = "POSIZIONE_SCADUTA";
    /// The PT was told a later last day, and takes no payments all the same.
    pub const NOT_REOPENED: &str = "SCADENZA_NON_SPOSTATA";
    /// Its act was cancelled, and the PT cannot cancel the position, or does not.
    pub const NOT_CANCELLED: &str = "POSIZIONE_NON_ANNULLATA";
    /// Told to the PT again and again, and read back without it.
    pub const NOT_CHANGED: &str = "IMPORTO_NON_CAMBIATO";
    pub const REFUSED: &str = "IMPORTO_RESPINTO_DAL_PT";
    /// The PT does not know the notice.
    pub const NOT_FOUND: &str = "POSIZIONE_NON_TROVATA";
    /// It answered about another notice or creditor.
    pub const OTHER: &str = "POSIZIONE_DI_ALTRI";
    /// There is no sum: rule and data of the act do not go together.
    pub const NO_SUM: &str = "IMPORTO_NON_CALCOLABILE";
    /// The payment is not of the amount that was due.
    pub const OTHER_AMOUNT: &str = "PAGATO_IMPORTO_DIVERSO";
    pub const PARTIAL: &str = "PAGATO_IN_PARTE";
    /// The PT says that it is paid, and not how much: the amount is that asked for.
    pub const UNTOLD: &str = "PAGATO_IMPORTO_NON_COMUNICATO";
    /// The personal data of its act was deleted before it was paid.
    pub const ACT_ERASED: &str = "POSIZIONE_NON_PIU_SEGUITA";
    /// The debt was paid with another of its notices: nothing is asked for with this one until a person says so.
    pub const PAID_ELSEWHERE: &str = "PAGATO_CON_ALTRO_AVVISO";
    /// Another receipt of the whole.
    pub const PAID_TWICE: &str = "PAGATO_DUE_VOLTE";

    /// Whether a PT that says that the position can be paid ends what was parked under `code`: the state at the PT explained it, or a
    /// question that could not be put. What a change met (a refusal, an amount that stays) and what is wrong with the act wait for a
    /// person: the same change would be refused again, with an alert each time.
    #[must_use]
    pub fn is_explained_by_state(code: &str) -> bool {
        const QUESTIONS: [&str; 6] = [
            "ID_POSIZIONE_MANCANTE",
            "VERIFICA_RESPINTA_DAL_PT",
            "PT_NON_CONFIGURATO",
            "TENTATIVI_ESAURITI",
            "POSIZIONE_NON_DESCRITTA",
            "IMPORTO_NON_RIPARTIBILE",
        ];
        [BEING_PAID, CANCELLED, EXPIRED, NOT_REOPENED, NOT_FOUND, OTHER].contains(&code) || QUESTIONS.contains(&code)
    }
}

/// Events of the lines of the esito. Written in files: never renamed.
pub mod event {
    /// Its PT now asks for this amount.
    pub const UPDATED: &str = "IMPORTO_AGGIORNATO";
    pub const PARKED: &str = "POSIZIONE_FERMA";
    /// Its PT has cancelled it, as its act was.
    pub const CANCELLED: &str = "POSIZIONE_ANNULLATA";
    pub const RESUMED: &str = "POSIZIONE_RIPRESA";
    pub const PAID: &str = "PAGATO";
    pub const UNMANAGED: &str = "POSIZIONE_NON_GESTITA";
    /// The days in which it can be paid stand still (appeal), or count again.
    pub const DAYS_STOPPED: &str = "TERMINI_SOSPESI";
    pub const DAYS_GO: &str = "TERMINI_RIPRESI";
}
