//! What is wrong with a drop: where, which stable code, what was found. Sentences and remedies are in `text::it`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::fields::Field;

/// A rule's finding about one field of one act: the layout knows which file, row and column that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub field: Field,
    pub code: Code,
    pub severity: Severity,
    /// What the row says, shortened to 80 characters. Goes only into files of the gestionale that wrote it.
    pub found: Option<String>,
    /// The limit or the value wanted.
    pub expected: Option<String>,
}

/// Whether the row (or drop) is refused, or the office only warned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One problem, as receipts and rejects print it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// File inside the drop, or the drop's own name.
    pub file: String,
    /// Row of a CSV (header = 1) or line of an XML, from 1. `None`: the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Column name or XPath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub code: Cow<'static, str>,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Reference of the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
}

impl Problem {
    /// A problem of the drop as a whole.
    pub fn of_drop(file: impl Into<String>, code: Code) -> Problem {
        Problem {
            file: file.into(),
            row: None,
            column: None,
            code: Cow::Borrowed(code.as_str()),
            severity: Severity::Error,
            found: None,
            expected: None,
            act: None,
        }
    }

    /// Adds what was found (shortened, control characters replaced).
    pub fn found(mut self, found: impl AsRef<str>) -> Problem {
        self.found = Some(excerpt(found.as_ref()));
        self
    }

    /// Adds the limit or wanted value.
    pub fn expected(mut self, expected: impl Into<String>) -> Problem {
        self.expected = Some(expected.into());
        self
    }
}

impl Finding {
    /// An error in `field`.
    pub fn error(field: Field, code: Code) -> Finding {
        Finding { field, code, severity: Severity::Error, found: None, expected: None }
    }

    /// A warning about `field`.
    pub fn warning(field: Field, code: Code) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(field, code) }
    }

    /// Adds what was found (shortened, control characters replaced).
    pub fn found(mut self, found: impl AsRef<str>) -> Finding {
        self.found = Some(excerpt(found.as_ref()));
        self
    }

    /// Adds the limit or wanted value.
    pub fn expected(mut self, expected: impl Into<String>) -> Finding {
        self.expected = Some(expected.into());
        self
    }
}

/// The first 80 characters, on one line.
pub fn excerpt(text: &str) -> String {
    let mut out: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// Every reason for which messo itself refuses or warns. Gestionali match on the word: never renamed once released.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),+ }
        impl Code {
            /// Every code, in the order of `docs/codici.md`.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];
            /// The word printed in files.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $word),+ }
            }
            /// The code behind a printed word.
            pub fn parse(word: &str) -> Option<Code> {
                Code::ALL.iter().copied().find(|code| code.as_str() == word)
            }
        }
    };
}

codes! {
    // the drop
    NotAnArchive = "ARCHIVIO_NON_VALIDO",
    ArchiveTruncated = "ARCHIVIO_TRONCATO",
    ArchiveCrc = "ARCHIVIO_CRC_ERRATO",
    ArchiveEncrypted = "ARCHIVIO_CIFRATO",
    ArchiveMethod = "COMPRESSIONE_NON_SUPPORTATA",
    ArchiveName = "NOME_FILE_NON_AMMESSO",
    ArchiveLink = "COLLEGAMENTO_NON_AMMESSO",
    ArchiveDuplicateName = "NOME_FILE_DOPPIO",
    ArchiveTooManyEntries = "TROPPI_FILE",
    ArchiveEntryTooBig = "FILE_TROPPO_GRANDE",
    ArchiveTooBig = "ARCHIVIO_TROPPO_GRANDE",
    ArchiveRatio = "RAPPORTO_COMPRESSIONE_ECCESSIVO",
    ArchiveOverlap = "ARCHIVIO_SOVRAPPOSTO",
    NoLayout = "TRACCIATO_NON_RICONOSCIUTO",
    TwoLayouts = "TRACCIATO_AMBIGUO",
    LayoutUnexpected = "TRACCIATO_NON_PREVISTO",
    EmptyBatch = "LOTTO_VUOTO",
    TooManyRows = "TROPPE_RIGHE",
    CountMismatch = "NUMERO_ATTI_DIVERSO",
    Incomplete = "FILE_INCOMPLETO",
    CompanionMismatch = "IMPRONTA_COMPAGNO_DIVERSA",
    CompanionUnreadable = "COMPAGNO_NON_LEGGIBILE",
    DuplicateDrop = "CONTENUTO_GIA_RICEVUTO",
    SenderUnknown = "ENTE_NON_AUTORIZZATO",
    FlowUnknown = "FLUSSO_NON_AUTORIZZATO",
    FlowMissing = "FLUSSO_NON_DETERMINATO",
    AllOrNothing = "LOTTO_TUTTO_O_NIENTE",
    FoldersAndRows = "CARTELLE_E_RIGHE_DIVERSE",
    ShiftedFolders = "CARTELLE_SCAMBIATE",
    /// Changed on the disk between two readings.
    DropChanged = "FILE_CAMBIATO_IN_LAVORAZIONE",
    /// Claimed, and then it cannot be opened or read.
    DropUnreadable = "FILE_NON_LEGGIBILE",
    InternalError = "ERRORE_INTERNO",
    // reading rows
    XmlMalformed = "XML_NON_BEN_FORMATO",
    XmlForbidden = "XML_COSTRUTTO_VIETATO",
    XmlUnknownElement = "ELEMENTO_SCONOSCIUTO",
    XmlTooDeep = "XML_TROPPO_PROFONDO",
    EncodingInvalid = "CODIFICA_NON_VALIDA",
    CsvMalformed = "CSV_NON_VALIDO",
    CsvColumnCount = "NUMERO_COLONNE_DIVERSO",
    ColumnMissing = "COLONNA_MANCANTE",
    ColumnTwice = "COLONNA_DOPPIA",
    ColumnUnknown = "COLONNA_SCONOSCIUTA",
    FieldTooLong = "CAMPO_TROPPO_LUNGO",
    FieldMissing = "CAMPO_MANCANTE",
    FieldNotAllowed = "CAMPO_NON_AMMESSO",
    FieldTwice = "CAMPO_DOPPIO",
    ValueUnknown = "VALORE_NON_AMMESSO",
    NumberInvalid = "NUMERO_NON_VALIDO",
    AmountInvalid = "IMPORTO_NON_VALIDO",
    DateInvalid = "DATA_NON_VALIDA",
    LeadingZerosLost = "ZERI_INIZIALI_PERSI",
    RowsNotAdjacent = "RIGHE_NON_ADIACENTI",
    RowsDisagree = "RIGHE_DISCORDANTI",
    // the act
    ReferenceInvalid = "RIFERIMENTO_NON_VALIDO",
    ReferenceTwice = "RIFERIMENTO_DOPPIO",
    ActDuplicate = "DUPLICATO",
    ActExists = "ATTO_GIA_PRESENTE",
    ActUnknown = "ATTO_SCONOSCIUTO",
    ActAlreadySent = "ATTO_GIA_INVIATO",
    ActClosed = "ATTO_NON_ANNULLABILE",
    ConflictsWithFlow = "CONTRASTA_CON_IL_FLUSSO",
    ProtocolLive = "PROTOCOLLO_GIA_IN_CORSO",
    ProtocolTwice = "PROTOCOLLO_DOPPIO",
    DocumentLive = "DOCUMENTO_GIA_IN_CORSO",
    DocumentTwice = "DOCUMENTO_DOPPIO",
    NoticeLive = "AVVISO_GIA_IN_CORSO",
    NoticeTwice = "AVVISO_DOPPIO",
    CharsetInvalid = "CARATTERI_NON_AMMESSI",
    PersonalDataInSubject = "DATI_PERSONALI_NELL_OGGETTO",
    SenderTaxIdInvalid = "ENTE_NON_VALIDO",
    TaxonomyUnknown = "TASSONOMIA_SCONOSCIUTA",
    TaxonomyPayment = "TASSONOMIA_E_PAGAMENTO",
    OutOfRange = "VALORE_FUORI_LIMITE",
    GroupUnknown = "GRUPPO_SCONOSCIUTO",
    FeePolicyIncomplete = "POLITICA_COSTI_INCOMPLETA",
    ApplyCostMissing = "APPLICA_COSTI_MANCANTE",
    ApplyCostForbidden = "APPLICA_COSTI_NON_AMMESSO",
    ApplyCostRepeated = "APPLICA_COSTI_SU_PIU_AVVISI",
    IntModeConflict = "MODALITA_PAGOPA_INCOERENTE",
    PaymentMissing = "PAGAMENTO_MANCANTE",
    PaymentForbidden = "PAGAMENTO_NON_AMMESSO",
    IunInvalid = "IUN_NON_VALIDO",
    AmountRuleInvalid = "REGOLA_IMPORTO_NON_VALIDA",
    AmountRuleIncomplete = "REGOLA_IMPORTO_INCOMPLETA",
    AmountRuleMismatch = "REGOLA_IMPORTO_INCOERENTE",
    AmountRuleUnfollowed = "REGOLA_IMPORTO_NON_SEGUITA",
    CostBearersUnfollowed = "COSTI_DI_TUTTI_NON_SEGUITI",
    DatePast = "DATA_PASSATA",
    EchoTooMany = "ECO_TROPPI",
    // recipients
    RecipientsMissing = "DESTINATARIO_MANCANTE",
    RecipientsTooMany = "TROPPI_DESTINATARI",
    RecipientTwice = "DESTINATARIO_DOPPIO",
    TaxIdInvalid = "CODICE_FISCALE_NON_VALIDO",
    TaxIdKind = "CODICE_FISCALE_E_TIPO",
    PecInvalid = "PEC_NON_VALIDA",
    AddressMissing = "INDIRIZZO_MANCANTE",
    AddressLineTooLong = "RIGA_INDIRIZZO_TROPPO_LUNGA",
    ProvinceMissing = "PROVINCIA_MANCANTE",
    ProvinceUnknown = "PROVINCIA_SCONOSCIUTA",
    ZipInvalid = "CAP_NON_VALIDO",
    MunicipalityUnknown = "COMUNE_SCONOSCIUTO",
    MunicipalityProvince = "COMUNE_E_PROVINCIA",
    MunicipalityZip = "COMUNE_E_CAP",
    // payments
    NoticeInvalid = "NUMERO_AVVISO_NON_VALIDO",
    NoticeCheckDigits = "NUMERO_AVVISO_CIFRE_DI_CONTROLLO",
    CreditorInvalid = "CREDITORE_NON_VALIDO",
    PaymentsTooMany = "TROPPI_PAGAMENTI",
    F24Invalid = "F24_NON_VALIDO",
    // documents
    DocumentMissing = "DOCUMENTO_MANCANTE",
    DocumentsTooMany = "TROPPI_DOCUMENTI",
    FileMissing = "FILE_NON_TROVATO",
    FileUnreferenced = "FILE_NON_CITATO",
    FileShared = "FILE_CITATO_DA_PIU_ATTI",
    FileTwice = "FILE_CITATO_DUE_VOLTE",
    FileDigest = "IMPRONTA_FILE_DIVERSA",
    FileEmpty = "FILE_VUOTO",
    FileIsBatch = "FILE_E_IL_LOTTO",
    PdfInvalid = "PDF_NON_VALIDO",
    PdfEncrypted = "PDF_CIFRATO",
    PdfTooBig = "PDF_TROPPO_GRANDE",
    PdfTooManyPages = "PDF_TROPPE_PAGINE",
    DocumentsNotAllowed = "DOCUMENTI_SENZA_ARCHIVIO",
}
