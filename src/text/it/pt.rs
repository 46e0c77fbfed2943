//! Sentences about the partner tecnologici: what is wrong in their configuration.

use crate::config::{PtFault, PtKind};

/// What is wrong with a `[[pt]]` or a route, and what to write instead.
#[must_use]
pub fn fault(fault: &PtFault) -> String {
    match fault {
        PtFault::Missing { kind } => format!("manca questa chiave, obbligatoria per {}", kind_name(*kind)),
        PtFault::Useless { kind } => format!("questa chiave non serve a {}: toglierla, o correggere kind", kind_name(*kind)),
        PtFault::Profile { allowed } => {
            format!("profilo sconosciuto: scrivere {}", allowed.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        PtFault::HalfLogin { with } => format!("va indicata insieme con {with}"),
        PtFault::NoAccess { ways } => format!("mancano le credenziali: {ways}"),
        PtFault::File { path, reason } => format!("{path}: {reason}"),
        PtFault::Definition { message } => message.clone(),
        PtFault::Unknown { name } => format!("il PT «{name}» non è configurato: aggiungere un blocco [[pt]]"),
        PtFault::Code => "servono le due cifre del codice applicativo o di segregazione, per esempio \"47\"".into(),
        PtFault::CodeAndAux => "solo gli avvisi che cominciano con 0 o con 3 hanno un codice: togliere code, o correggere aux".into(),
        PtFault::Overlap { line } => {
            format!("gli stessi avvisi sono già di un percorso alla riga {line}: prima i percorsi più particolari, poi quelli più generali")
        }
        PtFault::Costs { allowed } => {
            format!("con questo PT costs può essere {}", allowed.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        PtFault::NobodyAsks => {
            "con costs = \"pull\" è il PT che chiede l'importo a messo: aggiungere le sue credenziali in [pt.chiama]".into()
        }
    }
}

/// What a kind is called.
#[must_use]
pub fn kind_name(kind: PtKind) -> &'static str {
    match kind {
        PtKind::Gpd => "GPD",
        PtKind::GovPay => "GovPay",
        PtKind::MyPay => "MyPay",
        PtKind::Pu => "Piattaforma Unitaria",
        PtKind::PiemontePay => "PiemontePAY",
        PtKind::EFil => "e-Fil",
        PtKind::Declared => "un PT dichiarativo",
        PtKind::File => "uno scambio di file",
        PtKind::Unmanaged => "un PT non gestito",
    }
}
