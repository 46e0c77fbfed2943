//! The installations of MyPay that messo knows: data only, never a branch in the code.
//!
//! Regione del Veneto publishes its software; the others run software derived from it and publish nothing. What is not known of
//! them is as Veneto has it, and marked so: `docs/pt/mypay.md` says what to ask.

/// An installation, or a kind of them (`profile` of the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    pub profile: &'static str,
    /// Behind the configured address; empty: the configured address is that of the service itself.
    pub path: &'static str,
    pub namespace: &'static str,
    pub header_namespace: &'static str,
    /// Of the documents inside (`Versamento`, `Dovuti`, `PagatiConRicevuta`).
    pub data_namespace: &'static str,
    /// `versioneOggetto`, where MyPay does not tell that of the debt.
    pub version: &'static str,
    /// `paaSILChiediPosizioniAperte`
    pub open_positions: bool,
    /// `paaSILChiediPagatiConRicevuta`
    pub paid: bool,
    /// `paaSILVerificaAvviso`
    pub check: bool,
    /// `paaSILImportaDovuto`
    pub import: bool,
    /// As published; otherwise to be confirmed by who runs it.
    pub confirmed: bool,
}

const VENETO: Installation = Installation {
    profile: "veneto",
    path: "/ws/pa/",
    namespace: "http://www.regione.veneto.it/pagamenti/ente/",
    header_namespace: "http://www.regione.veneto.it/pagamenti/ente/ppthead",
    data_namespace: "http://www.regione.veneto.it/schemas/2012/Pagamenti/Ente/",
    version: "6.2.0",
    open_positions: true,
    paid: true,
    check: true,
    import: true,
    confirmed: true,
};

/// All of them.
pub const INSTALLATIONS: &[Installation] = &[
    VENETO,
    Installation { profile: "trento", confirmed: false, ..VENETO },
    Installation { profile: "puglia", confirmed: false, ..VENETO },
    Installation { profile: "campania", confirmed: false, ..VENETO },
    Installation { profile: "lombardia", confirmed: false, ..VENETO },
    Installation { profile: "altro", path: "", confirmed: false, ..VENETO },
    // Releases before paaSILChiediPosizioniAperte: amounts cannot be read there.
    Installation { profile: "altro-senza-posizioni", path: "", open_positions: false, confirmed: false, ..VENETO },
];

/// The one of a profile; none given: Veneto's.
pub(super) fn of(profile: Option<&str>) -> Option<&'static Installation> {
    let wanted = profile.unwrap_or(VENETO.profile);
    INSTALLATIONS.iter().find(|installation| installation.profile == wanted)
}
