//! Files of `in/` that are not taken: uploads that never ended, and digests that came after their file.

use std::time::Duration;

use super::{IngestError, NOTHING, blocking, hex, md5_of, telling};
use crate::batch::archive::hash_whole;
use crate::batch::problem::{Code, Problem};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::intake::watch::Late;
use crate::intake::{Companion, claim, watch};
use crate::service::Hub;
use crate::service::publish::root;
use crate::service::shares::{HANGS, on_share_within};
use crate::store::{NewDrop, StoreError};

/// Operators are told under this code of an upload that stays unfinished.
const NEVER_COMPLETED: &str = "DEPOSITO_MAI_COMPLETATO";
/// How often, and how many times, it is asked what a file that was taken became (real time).
const ASK: Duration = Duration::from_secs(1);
const ASKED: u32 = 600;

/// A file that never completed: its receipt says so; the file stays where it is. Told again (after a crash), it is found done.
pub async fn never_completed(hub: &Hub, source: &str, name: &str, mark: Sha256, size: u64) -> Result<(), IngestError> {
    let problem = Problem::of_drop(last(name), Code::Incomplete).found(format!("{size} byte"));
    tell(hub, source, mark, problem, Some(NEVER_COMPLETED)).await
}

/// A digest that came after its file was taken is held against what was taken: it goes when it agrees. Otherwise it stays, and a
/// receipt of its own says that it does not, or that nobody can say. Told again, it is found done.
pub async fn late_digest(hub: &Hub, source: &str, late: &Late) -> Result<(), IngestError> {
    match found(hub, late).await? {
        Some(found) if found.agrees => {
            let Some(root) = root(hub, source) else { return Ok(()) };
            let Late { file, kind, told, mark, .. } = late.clone();
            let remove = move || {
                if claim::remove_companion(&root, &file, kind, &told).is_err() {
                    watch::told(&root, mark);
                }
            };
            Ok(on_share_within(hub, source, HANGS, remove).await?)
        }
        Some(found) => {
            tracing::warn!(batch.id = %late.batch, source, "l'impronta arrivata dopo il file è di altri byte");
            let problem = Problem::of_drop(last(&late.name), Code::CompanionMismatch).expected(found.told);
            // Whole, the two together would be longer than what is told of a value.
            let taken: String = found.taken.chars().take(32).collect();
            tell(hub, source, late.mark, problem.found(format!("lotto {}: {taken}", late.batch)), None).await
        }
        None => never_completed(hub, source, &late.name, late.mark, late.size).await,
    }
}

/// What a companion says beside what was taken.
struct Found {
    agrees: bool,
    told: String,
    taken: String,
}

/// `None`: nobody can say.
async fn found(hub: &Hub, late: &Late) -> Result<Option<Found>, IngestError> {
    let Some(sha256) = digest_of(hub, late.batch).await? else { return Ok(None) };
    Ok(match &late.told {
        Companion::Sha256(told) => Some(Found { agrees: *told == sha256, told: told.to_hex(), taken: sha256.to_hex() }),
        Companion::Md5(told) => {
            let (archives, told) = (hub.archives.clone(), *told);
            // Of what was erased since nobody can say.
            let md5 = blocking(move || {
                let file = archives.open(&sha256)?;
                Ok(if hash_whole(&file)?.0 == sha256 { Some(md5_of(&file)?) } else { None })
            });
            let md5 = md5.await.ok().flatten();
            md5.map(|md5| Found { agrees: md5 == told, told: hex(&told), taken: hex(&md5) })
        }
        Companion::Ok | Companion::Unreadable => None,
    })
}

/// The digest of what was taken, once it is known.
async fn digest_of(hub: &Hub, batch: BatchId) -> Result<Option<Sha256>, IngestError> {
    for _ in 0..ASKED {
        match hub.store.batch(batch).await {
            Ok(summary) if summary.sha256.is_some() => return Ok(summary.sha256),
            Ok(summary) if summary.state.parse::<ReceiptState>().is_ok() => return Ok(None),
            // It waits its turn.
            Ok(_) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(ASK) => {}
            () = hub.stopping.cancelled() => return Err(StoreError::Stopping.into()),
        }
    }
    Ok(None)
}

fn last(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// Its receipt says what is wrong with it; operators are told under `code`, or under that of a refused drop.
async fn tell(hub: &Hub, source: &str, mark: Sha256, problem: Problem, code: Option<&'static str>) -> Result<(), IngestError> {
    failpoint!("incomplete.told");
    let now = hub.clock.now();
    let id = incomplete_id(source, mark);
    let original_name = problem.file.clone();
    let drop = NewDrop { id, source: source.to_owned(), original_name, flow_hint: None, dry_run: false, received_at: now };
    if hub.store.claim(drop).await?.state.is_none() {
        failpoint!("incomplete.journaled");
        if hub.store.problems(id, 0).await?.is_empty() {
            hub.store.add_problems(id, vec![problem]).await?;
        }
        hub.store.finish_batch_telling(id, NOTHING, telling(hub, source, code), now).await?;
    }
    failpoint!("incomplete.finished");
    // No later run tells of it again, unless its share hangs: then that run finds it done.
    let Some(root) = root(hub, source) else { return Ok(()) };
    Ok(on_share_within(hub, source, HANGS, move || watch::told(&root, mark)).await?)
}

/// Always the same for one state of one file.
fn incomplete_id(source: &str, mark: Sha256) -> BatchId {
    let digest = Sha256::of(format!("{source}\0{mark}").as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    let id = uuid::Builder::from_bytes(bytes).with_variant(uuid::Variant::RFC4122).with_version(uuid::Version::Custom);
    BatchId(id.into_uuid())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::intake::names::CompanionKind;
    use crate::service::ingest::ingest;
    use crate::service::tests::{House, SOURCE, example_with};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_digest_that_came_late_is_held_against_what_was_taken() {
        let house = House::new();
        let bytes = example_with(|_, bytes| bytes);
        let claimed = house.claimed("lotto.zip", Some(&bytes));
        ingest(&house.hub, &claimed).await.unwrap();
        let inbox = house.dir.path().join("casa/in");
        fs::create_dir_all(&inbox).unwrap();
        fs::create_dir_all(house.dir.path().join("casa/.messo")).unwrap();
        let sha256 = Sha256::of(&bytes);
        let md5 = hex(&md5_of(&fs::File::open(house.kept(&bytes)).unwrap()).unwrap());
        let other = Sha256::of(b"altro").to_hex();
        let table = [
            ("giusta.zip.sha256", sha256.to_hex(), None),
            ("giusta.zip.md5", md5, None),
            ("altra.zip.sha256", other.clone(), Some("IMPRONTA_COMPAGNO_DIVERSA")),
            ("altra.zip.md5", other[..32].to_owned(), Some("IMPRONTA_COMPAGNO_DIVERSA")),
            ("rotta.zip.md5", "niente".to_owned(), Some("FILE_INCOMPLETO")),
        ];
        for (name, text, want) in table {
            fs::write(inbox.join(name), &text).unwrap();
            let kind = if name.ends_with("md5") { CompanionKind::Md5 } else { CompanionKind::Sha256 };
            let told = crate::intake::companion::read(kind, text.as_bytes()).unwrap_or(Companion::Unreadable);
            let mark = Sha256::of(name.as_bytes());
            let (file, name, size) = (PathBuf::from(name), name.to_owned(), text.len() as u64);
            let late = Late { file, name: name.clone(), kind, told, batch: claimed.id, size, mark };
            // Told again, it is found done.
            for _ in 0..2 {
                late_digest(&house.hub, SOURCE, &late).await.unwrap();
            }
            let id = incomplete_id(SOURCE, mark);
            assert_eq!(inbox.join(&name).exists(), want.is_some(), "{name}: only what agrees goes");
            let codes = if want.is_some() { house.codes(id).await } else { Vec::new() };
            assert_eq!(codes.first().map(String::as_str), want, "{name}");
            assert_eq!(house.state(id).await, if want.is_some() { "SCARTATO" } else { "" }, "{name}");
        }
        let found: Vec<_> = house.hub.store.problems(incomplete_id(SOURCE, Sha256::of(b"altra.zip.sha256")), 0).await.unwrap();
        let text = found[0].1.found.clone().unwrap_or_default();
        assert_eq!(text, format!("lotto {}: {}", claimed.id, &sha256.to_hex()[..32]));
        let told = house.alerts().await;
        assert_eq!(told.iter().filter(|code| *code == "LOTTO_SCARTATO").count(), 2, "{told:?}");

        // Of what was erased since nobody can say.
        fs::write(house.kept(&bytes), b"cancellato").unwrap();
        let told = Companion::Md5([7; 16]);
        let (file, mark) = (PathBuf::from("tardi.zip.md5"), Sha256::of(b"tardi"));
        let late = Late { file, name: "tardi.zip.md5".to_owned(), kind: CompanionKind::Md5, told, batch: claimed.id, size: 1, mark };
        late_digest(&house.hub, SOURCE, &late).await.unwrap();
        assert_eq!(house.codes(incomplete_id(SOURCE, mark)).await, ["FILE_INCOMPLETO"]);
    }
}
