//! The printed notices of an act that is being prepared: read from the kept archive, their codes decoded.

use std::io::Read;

use super::super::avviso::{self, ReadError};
use super::super::dispatch::End;
use super::super::files::entry_of;
use super::upload::source_fault;
use super::{Hub, person};
use crate::domain::act::Payment;
use crate::domain::notice_qr::Printed;
use crate::flow::retry::FailureClass;
use crate::store::{SendMaterial, StoreError};

/// Times that a file which is not drawn in time is tried again: the machine may be busy.
const PATIENCE: u32 = 3;

/// What the PDFs of the act's notices say, of those notices that a PT of the configuration has. `attempts`: failures so far.
pub async fn notices(hub: &Hub, material: &SendMaterial, attempts: u32) -> Result<Vec<Printed>, End> {
    let settings = hub.settings();
    let mut printed = Vec::new();
    for payment in material.content.recipients.iter().flat_map(|recipient| &recipient.payments) {
        let Payment::PagoPa { notice_code, creditor_tax_id, attachment: Some(file), .. } = payment else { continue };
        let Some(stored) = file.stored.filter(|_| settings.route(creditor_tax_id, notice_code).is_some()) else { continue };
        let entry = match hub.store.kept_entry(material.archive, stored.entry).await {
            Ok(entry) => entry,
            Err(StoreError::NotFound(_)) => return Err(person("ARCHIVIO_MANCANTE")),
            Err(error) => return Err(End::from(error)),
        };
        let (archives, archive) = (hub.archives.clone(), material.archive);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            archives.verified_entry(&archive, &entry_of(&entry), stored.sha256)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let bytes = read.await.map_err(|_| person("ARCHIVIO_DATI"))?.map_err(|error: std::io::Error| source_fault(&error))?;
        let codes = match avviso::codes(&bytes).await {
            Ok(codes) => codes,
            // Nobody can pay with a notice that nobody can draw.
            Err(ReadError::Unreadable) => Vec::new(),
            Err(ReadError::Late) if attempts >= PATIENCE => Vec::new(),
            Err(ReadError::Unavailable | ReadError::Late) => {
                tracing::warn!("il lettore degli avvisi non risponde");
                let class = FailureClass::Temporary { retry_after: None };
                return Err(End::Failed { class, code: "LETTORE_AVVISI" });
            }
        };
        printed.push(Printed { creditor: creditor_tax_id.clone(), notice: notice_code.clone(), codes });
    }
    Ok(printed)
}
