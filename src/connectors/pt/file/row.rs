//! The one row of an update file: columns of MyPay's `tracciato-import` 1_0 to 1_4, `;`, `"`, decimal point, ISO days.
//!
//! A row rewrites the whole position, and nobody tells what the PT holds: what the batch does not say the file cannot say either.

use crate::config::PaymentRoute;
use crate::connectors::pt::mypay::bilancio;
use crate::connectors::pt::rest::code;
use crate::connectors::pt::shares::euro;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Change};

/// The batch does not say the kind of due, or `service` of the route does not say how it is classified.
const DUE_TYPE: &str = "TIPO_DOVUTO_MANCANTE";
/// The batch does not say what the payment is for.
const REMITTANCE: &str = "CAUSALE_MANCANTE";

/// Version of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V10,
    V11,
    V12,
    V13,
    V14,
}

impl Version {
    const ALL: [Version; 5] = [Version::V10, Version::V11, Version::V12, Version::V13, Version::V14];

    pub(super) fn read(word: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.word() == word)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Version::V10 => "1_0",
            Version::V11 => "1_1",
            Version::V12 => "1_2",
            Version::V13 => "1_3",
            Version::V14 => "1_4",
        }
    }
}

/// What the row asks for.
pub(super) enum Action<'a> {
    Modify(&'a Change),
    Cancel,
}

impl Action<'_> {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Action::Modify(_) => "M",
            Action::Cancel => "A",
        }
    }
}

/// (column, first version, longest text)
const COLUMNS: &[(&str, Version, usize)] = &[
    ("IUD", Version::V10, 35),
    ("codIuv", Version::V10, 35),
    ("tipoIdentificativoUnivoco", Version::V10, 1),
    ("codiceIdentificativoUnivoco", Version::V10, 35),
    ("anagraficaPagatore", Version::V10, 70),
    ("indirizzoPagatore", Version::V10, 70),
    ("civicoPagatore", Version::V10, 16),
    ("capPagatore", Version::V10, 16),
    ("localitaPagatore", Version::V10, 35),
    ("provinciaPagatore", Version::V10, 2),
    ("nazionePagatore", Version::V10, 2),
    ("mailPagatore", Version::V10, 256),
    ("dataEsecuzionePagamento", Version::V10, 10),
    ("importoDovuto", Version::V10, 15),
    ("commissioneCaricoPa", Version::V10, 15),
    ("tipoDovuto", Version::V10, 64),
    ("tipoVersamento", Version::V10, 32),
    ("causaleVersamento", Version::V10, 1024),
    ("datiSpecificiRiscossione", Version::V10, 140),
    ("bilancio", Version::V12, 4096),
    ("flgGeneraIuv", Version::V13, 5),
    ("flagMultiBeneficiario", Version::V14, 5),
    ("codiceFiscaleEnteSecondario", Version::V14, 0),
    ("denominazioneEnteSecondario", Version::V14, 0),
    ("ibanAccreditoEnteSecondario", Version::V14, 0),
    ("indirizzoEnteSecondario", Version::V14, 0),
    ("civicoEnteSecondario", Version::V14, 0),
    ("capEnteSecondario", Version::V14, 0),
    ("localitaEnteSecondario", Version::V14, 0),
    ("provinciaEnteSecondario", Version::V14, 0),
    ("nazioneEnteSecondario", Version::V14, 0),
    ("datiSpecificiRiscossioneEnteSecondario", Version::V14, 0),
    ("causaleVersamentoEnteSecondario", Version::V14, 0),
    ("importoVersamentoEnteSecondario", Version::V14, 0),
    ("azione", Version::V10, 1),
];

/// Header and row. `Err`: the code of what is missing.
pub(super) fn csv(version: Version, route: &PaymentRoute, asked: &Asked, action: &Action<'_>) -> Result<Vec<u8>, &'static str> {
    let some = |text: &Option<String>| text.clone().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let iud = some(&asked.data.position_id).filter(|iud| iud.chars().count() <= 35).ok_or(code::POSITION_ID)?;
    let payer = asked.payers.first().ok_or(code::DEBTOR)?;
    // `MULTE 9/0101002IM/`: kind of due, and how it is classified.
    let service = some(&route.service).unwrap_or_default();
    let (usual, specific) = service.split_once(' ').ok_or(DUE_TYPE)?;
    let due_type = some(&asked.data.due_type).unwrap_or_else(|| usual.to_owned());
    let remittance = some(&asked.data.remittance_information).ok_or(REMITTANCE)?;
    let lines = match (&asked.data.balance, version >= Version::V12) {
        (Some(text), true) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    };
    let (amount, day, balance) = match action {
        Action::Modify(change) => {
            let place = change.cost_place.as_deref();
            let balance = lines.map(|text| bilancio(text, change.amount, change.cost, place).ok_or(code::PARTS)).transpose()?;
            (euro(change.amount.get()), change.due_date.map(|day| day.to_string()), balance)
        }
        // The layout wants an amount; of what is withdrawn it is not looked at.
        Action::Cancel => (euro(1), None, None),
    };
    let value = |column: &str| -> String {
        match column {
            "IUD" => iud.clone(),
            "codIuv" => notice_code::iuv(&asked.notice).unwrap_or_default().to_owned(),
            "tipoIdentificativoUnivoco" => if payer.natural { "F" } else { "G" }.to_owned(),
            "codiceIdentificativoUnivoco" => payer.tax_id.clone(),
            "anagraficaPagatore" => payer.denomination.clone(),
            "dataEsecuzionePagamento" => day.clone().unwrap_or_default(),
            "importoDovuto" => amount.clone(),
            "tipoDovuto" => due_type.clone(),
            "causaleVersamento" => remittance.clone(),
            "datiSpecificiRiscossione" => specific.trim().to_owned(),
            "bilancio" => balance.clone().unwrap_or_default(),
            "flgGeneraIuv" | "flagMultiBeneficiario" => "false".to_owned(),
            "azione" => action.word().to_owned(),
            _ => String::new(),
        }
    };
    let columns = COLUMNS.iter().filter(|(_, since, _)| *since <= version);
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
    let header = writer.write_record(columns.clone().map(|(name, ..)| *name));
    let plain = |text: String, most: usize| -> String {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text.chars().take(most).collect()
    };
    // A bilancio that is cut is none.
    if balance.as_ref().is_some_and(|text| text.chars().count() > 4096) {
        return Err(code::PARTS);
    }
    let row = writer.write_record(columns.map(|(name, _, most)| plain(value(name), *most)));
    // Writing to memory does not fail.
    header.and(row).map_err(|_| code::PARTS)?;
    writer.into_inner().map_err(|_| code::PARTS)
}
