//! Why an operator was shown nothing, or an order was not carried out: a code, a sentence, an exit code.

use super::LONGEST_REASON;
use crate::flow::event::OrderRefused;
use crate::store::StoreError;
use crate::text::it::backup as kept;
use crate::text::it::operate as words;
use crate::text::it::{privacy, sftp};

/// Why nothing was shown or done. The sentence is for the operator; the code for scripts, never renamed once released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperateError {
    ActNotFound {
        text: String,
    },
    BatchNotFound {
        text: String,
    },
    /// Several acts; each in a line, beginning with its id.
    AmbiguousAct {
        text: String,
        candidates: Vec<String>,
    },
    AmbiguousBatch {
        text: String,
        candidates: Vec<String>,
    },
    Refused(OrderRefused),
    NotParked,
    /// No act names the notice, or no configured PT has it.
    PositionNotFound {
        creditor: String,
        notice: String,
    },
    PositionNotParked,
    /// Acts held by the money guard have no work to resume: they are released.
    HeldNotParked,
    NoneParked {
        code: String,
    },
    BatchNotParked,
    NothingHeld,
    /// What was held has been withdrawn meanwhile.
    HeldWithdrawn {
        withdrawn: u64,
    },
    /// The first acts of the batch are out.
    GuardWaits {
        open: u64,
        first: u64,
    },
    ChannelNotStopped {
        channel: String,
    },
    /// The ente of the act is stopped: it is resumed as a whole.
    SenderStopped {
        channel: String,
    },
    NoReason,
    ReasonTooLong,
    /// A reason stays in the history, which holds no personal data.
    ReasonWithTaxId,
    /// This process cannot write files of gestionali.
    NoPublisher,
    /// The rebuild stopped; a stable code.
    PublishFailed {
        code: String,
    },
    UnknownSource {
        source: String,
    },
    UnknownSender {
        sender: String,
    },
    /// A report of a day that has not begun.
    DayToCome {
        day: String,
    },
    /// Neither a number nor a date, one of each, or numbers without a gestionale.
    NotAnExport {
        text: String,
    },
    ExportNotFound {
        from: String,
        to: String,
    },
    /// Rows that it printed were deleted since, on that day.
    ExportGone {
        name: String,
        day: String,
    },
    /// It does not come out as it was published.
    ExportDiffers {
        name: String,
    },
    NotAnAddress {
        text: String,
    },
    NotBanned {
        address: String,
    },
    /// No SFTP server runs here.
    NoDoor,
    /// This process cannot make copies.
    NoKeeper,
    Backup {
        dir: String,
        fault: super::BackupFault,
    },
    /// The store was not restored, or was released already.
    NotRestored,
    /// SEND is still to be asked about acts.
    StillOpen {
        open: u64,
    },
    /// Drops after the copy did not come again.
    GapsOpen {
        batches: u64,
    },
    /// Deletions that persons asked for after the copy are not decided again yet.
    ErasuresOpen {
        erasures: u64,
    },
    AlreadyPaused,
    NotPaused,
    ReplayUnfinished,
    ReplayTrial,
    ReplayNoArchive,
    ReplayDuplicate {
        first: String,
    },
    ReplayUnderWay {
        other: String,
    },
    NotATaxId,
    /// An act or a batch that does not name the person.
    NotOfPerson {
        subject: String,
    },
    /// This process tries nothing.
    NoTrier,
    /// This process has no archives.
    NoEraser,
    /// What was decided goes on by itself.
    EraseUnfinished {
        detail: String,
    },
    /// What is asked needs personal data that was deleted.
    Erased {
        at: jiff::Timestamp,
        cause: crate::store::Cause,
    },
    /// Changed in the meantime.
    Stale,
    Stopping,
    /// The store failed.
    Store {
        detail: String,
    },
}

impl OperateError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            OperateError::ActNotFound { .. } => "ATTO_NON_TROVATO",
            OperateError::BatchNotFound { .. } => "LOTTO_NON_TROVATO",
            OperateError::AmbiguousAct { .. } => "ATTO_AMBIGUO",
            OperateError::AmbiguousBatch { .. } => "LOTTO_AMBIGUO",
            OperateError::Refused(OrderRefused::AlreadySent) => "ATTO_GIA_INVIATO",
            OperateError::Refused(OrderRefused::NoIunYet) => "IUN_NON_ANCORA_ASSEGNATO",
            OperateError::Refused(OrderRefused::Closed) => "ATTO_CHIUSO",
            OperateError::Refused(OrderRefused::NotHeld) => "ATTO_NON_TRATTENUTO",
            OperateError::Refused(OrderRefused::NoPosition) => "NESSUNA_POSIZIONE_GESTITA",
            OperateError::Refused(OrderRefused::NotStopped) => "TERMINI_NON_SOSPESI",
            OperateError::Refused(OrderRefused::Days) => "DATE_DELLA_SOSPENSIONE",
            OperateError::NotParked => "ATTO_NON_SOSPESO",
            OperateError::PositionNotFound { .. } => "POSIZIONE_SCONOSCIUTA",
            OperateError::PositionNotParked => "POSIZIONE_NON_FERMA",
            OperateError::HeldNotParked => "ATTO_TRATTENUTO",
            OperateError::NoneParked { .. } => "NESSUN_ATTO_SOSPESO",
            OperateError::BatchNotParked => "LOTTO_NON_SOSPESO",
            OperateError::NothingHeld => "NESSUN_ATTO_TRATTENUTO",
            OperateError::HeldWithdrawn { .. } => "ATTI_GIA_RITIRATI",
            OperateError::GuardWaits { .. } => "PRIMI_ATTI_IN_CORSO",
            OperateError::ChannelNotStopped { .. } => "CHIAVE_NON_FERMA",
            OperateError::SenderStopped { .. } => "ENTE_FERMO",
            OperateError::NoReason => "MOTIVO_MANCANTE",
            OperateError::ReasonTooLong => "MOTIVO_TROPPO_LUNGO",
            OperateError::ReasonWithTaxId => "MOTIVO_CON_CODICE_FISCALE",
            OperateError::NoPublisher => "RIPUBBLICAZIONE_NON_DISPONIBILE",
            OperateError::PublishFailed { .. } => "RIPUBBLICAZIONE_NON_RIUSCITA",
            OperateError::UnknownSource { .. } => "GESTIONALE_SCONOSCIUTO",
            OperateError::UnknownSender { .. } => "ENTE_NON_CONFIGURATO",
            OperateError::DayToCome { .. } => "GIORNO_FUTURO",
            OperateError::NotAnExport { .. } => "RENDICONTAZIONE_NON_INDICATA",
            OperateError::ExportNotFound { .. } => "RENDICONTAZIONE_NON_TROVATA",
            OperateError::ExportGone { .. } => "RENDICONTAZIONE_CANCELLATA",
            OperateError::ExportDiffers { .. } => "RENDICONTAZIONE_DIVERSA",
            OperateError::NotAnAddress { .. } => "INDIRIZZO_NON_VALIDO",
            OperateError::NotBanned { .. } => "INDIRIZZO_NON_BLOCCATO",
            OperateError::NoDoor => "SFTP_NON_ACCESO",
            OperateError::NoKeeper => "COPIA_NON_DISPONIBILE",
            OperateError::Backup { fault, .. } => fault.code,
            OperateError::NotRestored => "NESSUN_RIPRISTINO",
            OperateError::StillOpen { .. } => "ATTI_DA_CHIEDERE_A_SEND",
            OperateError::GapsOpen { .. } => "LOTTI_DA_DEPOSITARE_DI_NUOVO",
            OperateError::ErasuresOpen { .. } => "CANCELLAZIONI_DA_RIPETERE",
            OperateError::AlreadyPaused => "LOTTO_GIA_FERMO",
            OperateError::NotPaused => "LOTTO_NON_FERMO",
            OperateError::ReplayUnfinished => "LOTTO_IN_LETTURA",
            OperateError::ReplayTrial => "LOTTO_DI_PROVA",
            OperateError::ReplayNoArchive => "ARCHIVIO_NON_CONSERVATO",
            OperateError::ReplayDuplicate { .. } => "LOTTO_DUPLICATO",
            OperateError::ReplayUnderWay { .. } => "RIELABORAZIONE_IN_CORSO",
            OperateError::NotATaxId => "CODICE_FISCALE_NON_VALIDO",
            OperateError::NotOfPerson { .. } => "NON_RIGUARDA_LA_PERSONA",
            OperateError::NoTrier => "PROVA_NON_DISPONIBILE",
            OperateError::NoEraser => "CANCELLAZIONE_NON_DISPONIBILE",
            OperateError::EraseUnfinished { .. } => "CANCELLAZIONE_NON_FINITA",
            OperateError::Erased { .. } => "DATI_CANCELLATI",
            OperateError::Stale => "STATO_CAMBIATO",
            OperateError::Stopping => "IN_ARRESTO",
            OperateError::Store { .. } => "ARCHIVIO_NON_DISPONIBILE",
        }
    }

    /// Exit code of the command: 1 refused or not found, 2 wrongly asked, 3 the store does not answer.
    pub fn exit_code(&self) -> u8 {
        match self {
            OperateError::NoReason | OperateError::ReasonTooLong | OperateError::ReasonWithTaxId => 2,
            OperateError::NotAnAddress { .. } | OperateError::DayToCome { .. } => 2,
            OperateError::NotAnExport { .. } => 2,
            OperateError::NoPublisher
            | OperateError::NoKeeper
            | OperateError::NoDoor
            | OperateError::Stopping
            | OperateError::Store { .. } => 3,
            OperateError::NotATaxId => 2,
            OperateError::NoEraser | OperateError::NoTrier | OperateError::EraseUnfinished { .. } => 3,
            _ => 1,
        }
    }

    /// What the text may have meant, one a line.
    pub fn candidates(&self) -> &[String] {
        match self {
            OperateError::AmbiguousAct { candidates, .. } | OperateError::AmbiguousBatch { candidates, .. } => candidates,
            _ => &[],
        }
    }
}

impl std::fmt::Display for OperateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OperateError::ActNotFound { text } => f.write_str(&words::act_not_found(text)),
            OperateError::BatchNotFound { text } => f.write_str(&words::batch_not_found(text)),
            OperateError::AmbiguousAct { text, candidates } => f.write_str(&words::ambiguous_act(text, candidates.len())),
            OperateError::AmbiguousBatch { text, .. } => f.write_str(&words::ambiguous_batch(text)),
            OperateError::Refused(refused) => f.write_str(words::order_refused(*refused)),
            OperateError::NotParked => f.write_str(words::NOT_PARKED),
            OperateError::PositionNotFound { creditor, notice } => f.write_str(&words::position_not_found(creditor, notice)),
            OperateError::PositionNotParked => f.write_str(words::POSITION_NOT_PARKED),
            OperateError::HeldNotParked => f.write_str(words::HELD_NOT_PARKED),
            OperateError::NoneParked { code } => f.write_str(&words::none_parked_with(code)),
            OperateError::BatchNotParked => f.write_str(words::BATCH_NOT_PARKED),
            OperateError::NothingHeld => f.write_str(words::NOTHING_HELD),
            OperateError::HeldWithdrawn { withdrawn } => f.write_str(&words::held_withdrawn(*withdrawn)),
            OperateError::GuardWaits { open, first } => f.write_str(&words::guard_waits(*open, *first)),
            OperateError::ChannelNotStopped { channel } => f.write_str(&words::channel_not_stopped(channel)),
            OperateError::SenderStopped { channel } => f.write_str(&words::sender_stopped(channel)),
            OperateError::NoReason => f.write_str(words::NO_REASON),
            OperateError::ReasonTooLong => f.write_str(&words::reason_too_long(LONGEST_REASON)),
            OperateError::ReasonWithTaxId => f.write_str(words::REASON_WITH_TAX_ID),
            OperateError::NoPublisher => f.write_str(words::NO_PUBLISHER),
            OperateError::PublishFailed { code } => f.write_str(&words::publish_failed(code)),
            OperateError::UnknownSource { source } => f.write_str(&words::source_unknown(source)),
            OperateError::UnknownSender { sender } => f.write_str(&words::sender_unknown(sender)),
            OperateError::DayToCome { day } => f.write_str(&words::day_to_come(day)),
            OperateError::NotAnExport { text } => f.write_str(&words::not_an_export(text)),
            OperateError::ExportNotFound { from, to } => f.write_str(&words::export_not_found(from, to)),
            OperateError::ExportGone { name, day } => f.write_str(&words::export_gone(name, day)),
            OperateError::ExportDiffers { name } => f.write_str(&words::export_differs(name)),
            OperateError::NotAnAddress { text } => f.write_str(&sftp::not_an_address(text)),
            OperateError::NotBanned { address } => f.write_str(&sftp::not_banned(address)),
            OperateError::NoDoor => f.write_str(sftp::NO_DOOR),
            OperateError::NoKeeper => f.write_str(kept::NO_KEEPER),
            OperateError::Backup { dir, fault } => f.write_str(&kept::fault(fault.code, dir, &fault.detail)),
            OperateError::NotRestored => f.write_str(kept::NOT_RESTORED),
            OperateError::StillOpen { open } => f.write_str(&kept::still_open(*open)),
            OperateError::GapsOpen { batches } => f.write_str(&kept::gaps_open(*batches)),
            OperateError::ErasuresOpen { erasures } => f.write_str(&kept::erasures_open(*erasures)),
            OperateError::AlreadyPaused => f.write_str(kept::ALREADY_PAUSED),
            OperateError::NotPaused => f.write_str(kept::NOT_PAUSED),
            OperateError::ReplayUnfinished => f.write_str(kept::REPLAY_UNFINISHED),
            OperateError::ReplayTrial => f.write_str(kept::REPLAY_TRIAL),
            OperateError::ReplayNoArchive => f.write_str(kept::REPLAY_NO_ARCHIVE),
            OperateError::ReplayDuplicate { first } => f.write_str(&kept::replay_duplicate(first)),
            OperateError::ReplayUnderWay { other } => f.write_str(&kept::replay_under_way(other)),
            OperateError::NotATaxId => f.write_str(privacy::NOT_A_TAX_ID),
            OperateError::NotOfPerson { subject } => f.write_str(&privacy::not_of_person(subject)),
            OperateError::NoTrier => f.write_str(words::NO_TRIER),
            OperateError::NoEraser => f.write_str(privacy::NO_ERASER),
            OperateError::EraseUnfinished { detail } => f.write_str(&privacy::unfinished(detail)),
            OperateError::Erased { at, cause } => f.write_str(&privacy::erased(*at, cause.as_str())),
            OperateError::Stale => f.write_str(words::STALE),
            OperateError::Stopping => f.write_str(words::STOPPING),
            OperateError::Store { detail } => f.write_str(&words::store_failed(detail)),
        }
    }
}

impl std::error::Error for OperateError {}

impl From<StoreError> for OperateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Order(refused) => OperateError::Refused(refused),
            StoreError::Stale => OperateError::Stale,
            StoreError::Stopping => OperateError::Stopping,
            other => OperateError::Store { detail: other.to_string() },
        }
    }
}
