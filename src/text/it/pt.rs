//! Sentences about the partner tecnologici: what is wrong in their configuration.

use serde_json::Value;

use crate::config::{DescriptionFault, PtFault, PtKind, TemplateProblem};
use crate::domain::position::CostChannel;

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
        PtFault::Definition(fault) => description(fault),
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

/// Where a position is, in words.
#[must_use]
pub fn position_state(state: &str) -> &'static str {
    match state {
        "DA_VERIFICARE" => "il partner tecnologico non ha ancora risposto",
        "NON_GESTITA" => "il partner tecnologico non è gestito: importo e IUV non sono seguiti",
        "APERTA" => "seguita",
        "IN_MODIFICA" => "il partner tecnologico sta prendendo un altro importo",
        "PAGATA" => "pagata: non si tocca più",
        "CHIUSA" => "nessun atto in corso la nomina",
        "FERMA" => "l'importo non si aggiorna finché una persona non la riprende",
        _ => "",
    }
}

/// Who asks the citizen for the cost of notification.
#[must_use]
pub fn channel(channel: CostChannel) -> &'static str {
    match channel {
        CostChannel::Async => "lo scrive SEND sulla posizione (ASYNC): messo non lo mette nell'importo",
        CostChannel::Push => "messo lo mette nell'importo presso il partner tecnologico",
        CostChannel::Pull => "il partner tecnologico lo chiede a messo al momento del pagamento",
        CostChannel::None => "nessuno lo chiede al cittadino",
    }
}

/// What a step of the history of a position was about.
#[must_use]
pub fn about(data: &Value) -> String {
    let euro = |name: &str| data.get(name).and_then(Value::as_i64).map(|cents| format!("{},{:02} euro", cents / 100, cents % 100));
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts = [
        text("state"),
        euro("amount").map(|amount| format!("importo {amount}")),
        euro("cost").filter(|_| data.get("cost").and_then(Value::as_i64) != Some(0)).map(|cost| format!("costo {cost}")),
        euro("fee").map(|fee| format!("costo tenuto dal PT {fee}")),
        text("next").map(|next| format!("cambia il {next}")),
        text("from").map(|from| format!("dal {from}")),
        text("until").map(|until| format!("fino al {until}")),
        text("code"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What is wrong in the description of a declared PT, and what to write instead.
#[must_use]
pub fn description(fault: &DescriptionFault) -> String {
    match fault {
        DescriptionFault::Shape(fault) => super::config::shape(fault),
        DescriptionFault::Template { problem, detail } => {
            let what = match problem {
                TemplateProblem::Syntax => "errore di sintassi nel modello",
                TemplateProblem::UnknownName => "nel modello c'è un nome che non esiste",
                TemplateProblem::UnknownFilter => "nel modello c'è un filtro, una funzione o una prova che non esiste",
                TemplateProblem::MayBeMissing => "un valore che può mancare: chiuderlo fra {% if ... %} e {% endif %}, o scriverlo con |json",
                TemplateProblem::NotAText => "non è un testo né un numero: scriverlo con |json",
                TemplateProblem::Include => "un modello non può includerne altri",
                TemplateProblem::TooManySteps => "troppi passi: un ciclo che non finisce?",
                TemplateProblem::TooLong => "il modello scrive più di 256 KiB",
                TemplateProblem::Other => "il modello non riesce",
            };
            if detail.is_empty() { what.to_owned() } else { format!("{what} ({detail})") }
        }
        DescriptionFault::Body { detail } => format!("con i dati di prova il corpo non è nel formato indicato in format ({detail})"),
        DescriptionFault::Path => "il percorso deve cominciare con una barra: si aggiunge a url".into(),
        DescriptionFault::Header => "non è un'intestazione HTTP possibile".into(),
        DescriptionFault::Place => {
            "non è un luogo della risposta: con JSON un puntatore come /dati/importo, con XML i nomi dalla radice, come Envelope/Body/Stato"
                .into()
        }
        DescriptionFault::Word { allowed } => {
            format!("parola non ammessa: scrivere {}", allowed.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        DescriptionFault::Wanted { key } => format!("manca {key}"),
        DescriptionFault::NoEcho => {
            "nella risposta niente dice di quale avviso si parla: indicare notice o iuv; se il PT non lo dice davvero, scrivere no_echo = true"
                .into()
        }
        DescriptionFault::Credential { key } => format!("la descrizione usa {key}, che manca nel blocco [[pt]]"),
    }
}
