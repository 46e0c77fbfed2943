//! Sentences about the partner tecnologici: what is wrong in their configuration, and what one answers to `messo pt`.

use serde_json::Value;

use crate::config::{DescriptionFault, PaymentRoute, PtFault, PtKind, TemplateProblem};
use crate::domain::money::Cents;
use crate::domain::position::{Capabilities, CostChannel, Held, HeldState};

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
        PtFault::Version { profile } => {
            format!("l'indirizzo finisce con un'altra versione: toglierla, o correggere profile, che ora vale \"{profile}\"")
        }
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

/// `messo pt`.
pub const NO_PT: &str = "La configurazione non ha PT: nessun blocco [[pt]].";
pub const WHICH_ENTE: &str = "più enti affidano avvisi a questo PT: indicare --ente";
pub const NOT_A_NOTICE: &str = "il numero avviso ha 18 cifre e comincia con 0, 1, 2 o 3";
pub const CHECK_DIGITS: &str = "Attenzione: le ultime due cifre del numero avviso non tornano; si chiede lo stesso.";
pub const NOT_AN_AMOUNT: &str = "non è un importo: scrivere per esempio 12,50";
pub const ANOTHER_ROUTE: &str = "Attenzione: nella configurazione questo avviso non è di questo PT; si chiede lo stesso.";
pub const NOT_CONFIRMED: &str =
    "--change cambia l'importo presso il PT, e il cittadino se lo vede chiedere: per farlo davvero aggiungere --yes";
pub const CANNOT_ASK: &str = "A questo PT non si può chiedere di un avviso.";
pub const ABOUT_ANOTHER: &str = "La risposta riguarda un altro avviso o un altro ente: messo la respingerebbe.";
pub const NO_AMOUNT: &str = "Il PT non dice l'importo: non si può confrontare.";
pub const TRIAL: &str = "Prova di un operatore";
pub const CHANGED: &str = "Il PT ha risposto che l'importo è cambiato. Si rilegge:";

pub fn no_such_pt(name: &str) -> String {
    format!("il PT «{name}» non è nella configurazione (messo pt list)")
}

pub fn no_route(name: &str) -> String {
    format!("nessun ente affida avvisi al PT «{name}»: manca un [[ente.pagamenti]]")
}

pub fn not_usable(error: &str) -> String {
    format!("non utilizzabile: {error}")
}

/// What a PT can do, on one line.
#[must_use]
pub fn capabilities(can: &Capabilities) -> String {
    let mut said = Vec::new();
    said.push(match (can.verify, can.tells_amount) {
        (true, true) => "dice stato e importo di un avviso",
        (true, false) => "dice lo stato di un avviso, non l'importo",
        (false, _) => "non dice niente degli avvisi",
    });
    if can.needs_position_id {
        said.push("vuole il proprio identificativo della posizione");
    }
    said.push(match (can.update, can.answers_later) {
        (true, false) => "cambia l'importo",
        (true, true) => "prende in carico il cambio dell'importo e ne dice l'esito dopo",
        (false, _) => "non cambia l'importo",
    });
    if can.fee_apart {
        said.push("tiene a parte il costo di notifica");
    }
    said.push(if can.cancel { "annulla" } else { "non annulla" });
    said.join("; ")
}

/// Which notices of an ente it has.
#[must_use]
pub fn route(ente: &str, route: &PaymentRoute) -> String {
    let aux = route.aux.map_or_else(|| "qualunque".to_owned(), |aux| aux.to_string());
    let code = route.code.as_deref().unwrap_or("qualunque");
    format!("ente {ente}: avvisi con prima cifra {aux} e codice {code}, costi: {}", route.costs)
}

/// What it holds, line by line.
#[must_use]
pub fn held(held: &Held) -> Vec<String> {
    let mut lines = vec![format!("Stato presso il PT: {}", state(held.state))];
    let euro = |cents: Cents| format!("{} euro", cents.to_it());
    lines.push(match (held.amount, held.fee) {
        (Some(amount), Some(fee)) if fee.get() > 0 => format!("Importo: {}, più {} di costo di notifica", euro(amount), euro(fee)),
        (Some(amount), _) => format!("Importo: {}", euro(amount)),
        (None, _) => "Importo: il PT non lo dice".to_owned(),
    });
    if let Some(day) = held.due_date {
        lines.push(format!("Scadenza: {:02}/{:02}/{:04}", day.day(), day.month(), day.year()));
    }
    if let Some(id) = &held.position_id {
        lines.push(format!("Identificativo della posizione: {id}"));
    }
    if let Some(payment) = &held.payment {
        lines.push(format!("Pagata: {} il {}", euro(payment.amount), payment.paid_at.strftime("%d/%m/%Y")));
    }
    lines
}

fn state(state: HeldState) -> &'static str {
    match state {
        HeldState::Payable => "pagabile",
        HeldState::NotActive => "non ancora attiva",
        HeldState::BeingPaid => "un pagamento è in corso",
        HeldState::Paid => "pagata",
        HeldState::Cancelled => "annullata",
        HeldState::Expired => "scaduta",
        HeldState::PaidElsewhere => "pagata con un altro avviso",
    }
}

pub fn other_amount(expected: Cents) -> String {
    format!("NON COINCIDE: ci si aspettava {} euro", expected.to_it())
}

pub fn changing(amount: Cents) -> String {
    format!("Si chiede al PT l'importo di {} euro...", amount.to_it())
}

pub fn taken_in_charge(ticket: &str) -> String {
    format!("Il PT ha preso in carico la richiesta {ticket}: l'esito arriva dopo")
}

pub fn certificate(what: &str) -> String {
    format!("IL CERTIFICATO DEL PT NON È VALIDO ({what}): scaduto, di un altro nome, o di un'autorità da indicare con ca")
}

pub fn our_certificate(what: &str) -> String {
    format!("IL PT NON ACCETTA IL CERTIFICATO DI MESSO ({what}): controllare identity")
}

pub fn temporary(what: &str) -> String {
    format!("IL PT NON RISPONDE ADESSO ({what}): riprovare; controllare url, rete e certificati")
}

pub fn refused(codes: &str) -> String {
    format!("RIFIUTATO dal PT, o da messo prima di chiedere ({codes})")
}

pub fn not_let_in(codes: &str) -> String {
    format!("IL PT NON CI FA ENTRARE ({codes}): controllare le credenziali del blocco [[pt]]")
}

pub fn uncertain(what: &str) -> String {
    format!("NON SI SA SE HA CAMBIATO ({what}): ripetere la prova senza --change per vedere l'importo")
}

pub fn unknown_notice(codes: &str) -> String {
    format!("IL PT NON CONOSCE QUESTO AVVISO ({codes})")
}

pub fn not_changeable(codes: &str) -> String {
    format!("LA POSIZIONE NON SI PUÒ PIÙ CAMBIARE ({codes}): pagata, in pagamento o annullata")
}

pub fn unknown_code(codes: &str) -> String {
    format!("RIFIUTATO CON UN CODICE CHE MESSO NON CONOSCE ({codes})")
}

pub fn nonsense(what: &str) -> String {
    format!("RISPOSTA NON UTILIZZABILE ({what}): può essere un altro servizio, un'altra versione o un altro avviso")
}

/// A change before the first start of the service.
pub const NO_BOOKS: &str = "Il servizio non è mai partito: non c'è un registro degli ordini in cui scrivere questa modifica.";
