//! `messo demo`: the whole road on this machine. A hub and the SEND simulator on an accelerated clock; every example is
//! zipped and dropped, every second one by SFTP and the others in watched folders, then followed to its end. Exit 0 only if each ended as its `expected/` says.

mod examples;
mod guest;
mod partners;
mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Clock};
use crate::config;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::rest;
use crate::sandbox;
use crate::service::{Hub, supervisor};
use crate::store::{BatchSummary, StoreError};
use crate::text::it;

use examples::Example;
use partners::Partners;
use russh::keys::PrivateKey;
use screen::{Row, Screen};

/// Dimostrazione: gli esempi dal deposito alle attestazioni, con SEND simulato.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cartella in cui lavorare; deve essere nuova o vuota. Senza: una cartella temporanea.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Alla fine resta in servizio, per provare altri depositi.
    #[arg(long)]
    keep_running: bool,
    /// Cartella degli esempi. Senza: inbox-examples, qui o più in alto.
    #[arg(long)]
    examples: Option<PathBuf>,
    /// Indirizzo del simulatore di SEND.
    #[arg(long, default_value = "127.0.0.1:0", hide = true)]
    sandbox_listen: SocketAddr,
    /// Indirizzo dei simulatori dei partner tecnologici.
    #[arg(long, default_value = "127.0.0.1:0", hide = true)]
    pt_listen: SocketAddr,
    /// Indirizzo a cui il servizio chiama SEND, quando davanti al simulatore c'è altro.
    #[arg(long, hide = true)]
    send_url: Option<String>,
}

/// Business seconds in a real one: a day a second.
const FACTOR: u32 = 86_400;
/// Longest demo, real time.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("messo demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(demo(args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("messo demo: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(args: Args) -> Result<bool, String> {
    let root = examples::find(args.examples.as_deref()).ok_or("non trovo inbox-examples: indicare la cartella con --examples")?;
    let examples = examples::load(&root).map_err(|error| error.to_string())?;
    let dir = working_folder(args.dir.as_deref()).map_err(|error| error.to_string())?;
    let clock = Clock::accelerated_from_now(FACTOR);
    let mut partners = Partners::start(args.pt_listen, clock, &examples).await?;
    let options = sandbox::Options { debts: Some(partners.debts.clone()), ..sandbox::Options::new(args.sandbox_listen, clock) };
    let simulator = sandbox::start(options).await.map_err(|error| error.to_string())?;
    let send_url = args.send_url.clone().unwrap_or_else(|| simulator.url());
    let key = guest::make_key(&dir)?;
    let config = write_config(&dir, &examples, &partners, &send_url, &key).map_err(|error| error.to_string())?;
    let loaded = config::load(&config).map_err(|problems| it::config::lines(&problems))?;
    let hub = supervisor::open(loaded, clock).map_err(|error| supervisor::sentence(&error))?;
    let running = supervisor::start(hub.clone()).await.map_err(|error| supervisor::sentence(&error))?;
    let calls = rest::open(&hub).await?.ok_or("il servizio per i partner tecnologici non è in ascolto")?;
    partners.introduce(calls.address).await?;
    println!("messo demo: {} esempi, SEND simulato su {}, un giorno dura un secondo", examples.len(), simulator.url());
    println!("partner tecnologici simulati su {}", partners.url());
    let door = running.sftp_addresses().first().copied().ok_or("il server SFTP non è in ascolto")?;
    let mut guests = guest::Guests::new(door, key, &hub.config.host_keys())?;
    println!("cartella di lavoro: {}", dir.display());
    let by_sftp = examples.iter().enumerate().filter(|(index, _)| is_by_sftp(*index)).count();
    println!("depositi: {by_sftp} via SFTP su {door}, {} in cartelle condivise\n", examples.len() - by_sftp);
    for (index, example) in examples.iter().enumerate() {
        let named = |error: String| format!("{}: {error}", example.name);
        if is_by_sftp(index) {
            let bytes = examples::zip(&example.input).map_err(|error| named(error.to_string()))?;
            guests.put(&example.expected.source, &example.expected.flow, &drop_name(example), &bytes).await.map_err(named)?;
        } else {
            drop_example(&dir, example).map_err(|error| named(error.to_string()))?;
        }
    }
    let followed = follow(&hub, &dir, &examples, &mut partners).await.map_err(|error| error.to_string())?;
    let mut good = table(&hub, &dir, &examples, &partners, &followed).await.map_err(|error| error.to_string())?;
    good &= guests.read_back(&dir).await?;
    guests.leave().await;
    if args.keep_running {
        println!("\nIn servizio: depositare in {}/<gestionale>/in/, oppure", dir.display());
        println!("  sftp -i {} -P {} <gestionale>@{}", dir.join(guest::KEY_FILE).display(), door.port(), door.ip());
        println!("Ctrl-C per finire.");
        let _ = tokio::signal::ctrl_c().await;
    }
    calls.close().await;
    running.stop().await;
    simulator.stop().await;
    Ok(good)
}

fn working_folder(asked: Option<&Path>) -> io::Result<PathBuf> {
    let dir = match asked {
        Some(dir) => dir.to_owned(),
        None => std::env::temp_dir().join(format!("messo-demo-{}", clock::new_uuid().simple())),
    };
    fs::create_dir_all(&dir)?;
    if fs::read_dir(&dir)?.next().is_some() {
        return Err(io::Error::other(format!("{}: la cartella non è vuota", dir.display())));
    }
    dir.canonicalize()
}

/// A configuration for the gestionali and enti that the examples name, as an installer would write it.
fn write_config(dir: &Path, examples: &[Example], partners: &Partners, send_url: &str, key: &PrivateKey) -> io::Result<PathBuf> {
    let mut enti: BTreeSet<&str> = BTreeSet::new();
    let mut sources: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for Example { expected, .. } in examples {
        enti.insert(&expected.ente);
        let (own, flows) = sources.entry(&expected.source).or_default();
        own.insert(&expected.ente);
        flows.insert(&expected.flow);
    }
    let mut text = String::from("data = \"dati\"\ninstallation = \"demo\"\n\n[watch]\nsettle_ms = 300\nscan_ms = 1000\n");
    text.push_str("\n[rest]\nlisten = \"127.0.0.1:0\"\n\n[sftp]\n[[sftp.listen]]\naddress = \"127.0.0.1:0\"\n");
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    fs::create_dir_all(dir.join("chiavi"))?;
    fs::write(dir.join("chiavi/pt"), format!("{}\n", partners::PASSWORD))?;
    text.push_str(&partners.blocks(examples, "chiavi/pt"));
    for (number, ente) in enti.iter().enumerate() {
        let name = if number == 0 { "Comune di Esempio".to_owned() } else { format!("Comune di Esempio {}", number + 1) };
        fs::write(dir.join(format!("chiavi/{ente}")), format!("{ente}-demo\n"))?;
        text.push_str(&format!(
            "\n[[ente]]\ntax_id = \"{ente}\"\ndenomination = \"{name}\"\nambiente = \"collaudo\"\nsend_url = \"{send_url}\"\n\
             [[ente.key]]\nid = \"demo\"\nsecret = \"file:chiavi/{ente}\"\n"
        ));
        let mut routed = BTreeSet::new();
        for story in examples.iter().filter(|example| example.expected.ente == **ente).filter_map(|example| example.payments.as_ref()) {
            if routed.insert(&story.code) {
                let (name, code, costs) = (partners::name_of(&story.kind), &story.code, &story.costs);
                text.push_str(&format!("[[ente.pagamenti]]\npt = \"{name}\"\naux = 3\ncode = \"{code}\"\ncosts = \"{costs}\"\n"));
                for (key, value) in [("ente", &story.ente), ("service", &story.service)] {
                    if let Some(value) = value {
                        text.push_str(&format!("{key} = \"{value}\"\n"));
                    }
                }
            }
        }
    }
    for (source, (own, flows)) in &sources {
        let list = |words: &BTreeSet<&str>| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(
            "\n[[gestionale]]\nname = \"{source}\"\nroot = \"{source}\"\nenti = [{}]\nflows = [{}]\n",
            list(own),
            list(flows)
        ));
        if let Some(first) = own.first() {
            // The organizationId of Piattaforma Unitaria files.
            text.push_str(&format!("[gestionale.organization_ids]\n15 = \"{first}\"\n"));
        }
        text.push_str(&format!("[gestionale.sftp]\nuser = \"{source}\"\nkeys = [\"{public}\"]\n"));
        fs::create_dir_all(dir.join(source))?;
    }
    let path = dir.join("messo.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// Every second one.
fn is_by_sftp(index: usize) -> bool {
    index % 2 == 1
}

fn drop_name(example: &Example) -> String {
    format!("{}.zip", example.name.replace('/', "-"))
}

/// As a client that does things well: another name first, then a rename.
fn drop_example(dir: &Path, example: &Example) -> io::Result<()> {
    let folder = dir.join(&example.expected.source).join("in").join(&example.expected.flow);
    fs::create_dir_all(&folder)?;
    let name = drop_name(example);
    let temporary = folder.join(format!("{name}.part"));
    fs::write(&temporary, examples::zip(&example.input)?)?;
    fs::rename(temporary, folder.join(name))
}

async fn batch_of(hub: &Hub, example: &Example) -> Result<Option<BatchSummary>, StoreError> {
    let name = drop_name(example);
    Ok(hub.store.batches(1_000).await?.into_iter().find(|batch| batch.original_name == name))
}

/// Shows what happens until every act is final and every file is out. False: the time was over first.
async fn follow(hub: &Arc<Hub>, dir: &Path, examples: &[Example], partners: &mut Partners) -> Result<bool, StoreError> {
    let mut screen = Screen::new();
    let start = clock::monotonic();
    let mut seen = BTreeSet::new();
    let mut quiet = 0;
    while start.elapsed() < LIMIT {
        let mut rows = Vec::new();
        let mut open = false;
        for example in examples {
            let mut row = Row { name: example.name.clone(), ..Row::default() };
            match batch_of(hub, example).await? {
                Some(batch) => {
                    row.receipt = Some(batch.state.clone()).filter(|state| state.parse::<ReceiptState>().is_ok());
                    row.acts = batch.accepted;
                    row.states = hub.store.states_of_batch(batch.id).await?;
                    row.closed = closed(hub, batch.id).await?;
                    open |= row.receipt.is_none() || row.closed < batch.accepted;
                }
                None => open = true,
            }
            rows.push(row);
        }
        for file in published(dir, examples) {
            if seen.insert(file.clone()) && !file.contains("/attestazioni/2") {
                screen.tell(&format!("  scritto {file}"));
            }
        }
        for line in partners.pay(examples).await {
            screen.tell(&line);
        }
        for example in examples {
            open |= !partners.differences(hub, example).await?.is_empty();
        }
        screen.show(&rows);
        let jobs: u64 = hub.store.overview().await?.jobs.iter().map(|(_, count)| count).sum();
        let mut lines = false;
        for source in &hub.settings().sources {
            lines |= hub.store.pending_lines(&source.name).await?.is_some() || !hub.store.facts_to_index(&source.name).await?.is_empty();
        }
        let timers = partners.timers(hub, examples).await?;
        quiet = if open || jobs > timers || lines { 0 } else { quiet + 1 };
        if quiet >= 3 {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(false)
}

async fn closed(hub: &Hub, batch: BatchId) -> Result<u64, StoreError> {
    Ok(hub.store.finals(batch).await?.iter().filter(|end| end.closed).count() as u64)
}

/// Files that gestionali may read, relative to the working folder.
fn published(dir: &Path, examples: &[Example]) -> Vec<String> {
    let sources: BTreeSet<&str> = examples.iter().map(|example| example.expected.source.as_str()).collect();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = sources
        .iter()
        .flat_map(|source| ["ricevute", "scarti", "esiti", "attestazioni"].map(|folder| dir.join(source).join(folder)))
        .collect();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() {
                folders.push(path);
            } else if !hidden {
                found.push(path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Prints how each example ended; true when all ended as expected.
async fn table(hub: &Hub, dir: &Path, examples: &[Example], partners: &Partners, in_time: &bool) -> Result<bool, StoreError> {
    let mut good = *in_time;
    // As wide as the longest name: the columns stay below their heads.
    let width = examples.iter().map(|example| example.name.chars().count()).max().unwrap_or(0).max("lotto".len());
    println!(
        "\n{:<width$} {:<16} {:>5} {:>9} {:>7} {:>8} {:>12} {:>5}  come previsto",
        "lotto", "ricevuta", "atti", "accettati", "scarti", "conclusi", "attestazioni", "file"
    );
    for example in examples {
        let Some(batch) = batch_of(hub, example).await? else {
            println!("{:<width$} mai preso in carico", example.name);
            good = false;
            continue;
        };
        let finals = hub.store.finals(batch.id).await?;
        let mut facts = 0;
        let mut files = hub.store.publications_of(batch.id.0).await?.len();
        for act in hub.store.acts_of_batch(batch.id, 0, 10_000).await? {
            let own = hub.store.publications_of(act.id.0).await?.len();
            facts += own;
            files += own;
        }
        let mut wrong = differences(hub, example, &batch, &finals).await?;
        wrong.extend(partners.differences(hub, example).await?);
        println!(
            "{:<width$} {:<16} {:>5} {:>9} {:>7} {:>8} {:>12} {:>5}  {}",
            example.name,
            batch.state,
            batch.acts,
            batch.accepted,
            batch.refused,
            finals.iter().filter(|end| end.closed).count(),
            facts,
            files,
            if wrong.is_empty() { "sì" } else { "NO" }
        );
        for line in &wrong {
            println!("    {line}");
        }
        good &= wrong.is_empty();
    }
    if !in_time {
        println!("\nIl tempo è finito prima che tutti gli atti fossero conclusi.");
    }
    println!("\nQuanto è stato chiesto, via via, presso i partner tecnologici (euro):");
    for example in examples {
        for line in partners.journeys(example) {
            println!("  {:<width$} {line}", example.name);
        }
    }
    println!("\nDa leggere:");
    let sources: BTreeSet<&str> = examples.iter().map(|example| example.expected.source.as_str()).collect();
    for source in sources {
        println!("  {}/{{ricevute,scarti,esiti,attestazioni,rendicontazioni}}", dir.join(source).display());
    }
    Ok(good)
}

async fn differences(
    hub: &Hub,
    example: &Example,
    batch: &BatchSummary,
    finals: &[crate::store::Final],
) -> Result<Vec<String>, StoreError> {
    let want = &example.expected;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, found: String, wanted: String| {
        if found != wanted {
            wrong.push(format!("{what}: {found}, previsto {wanted}"));
        }
    };
    compare("ricevuta", batch.state.clone(), want.receipt.clone());
    compare("atti", batch.acts.to_string(), want.acts.to_string());
    compare("accettati", batch.accepted.to_string(), want.accepted.to_string());
    compare("scarti", batch.refused.to_string(), want.refused.to_string());
    let problems = hub.store.problems(batch.id, 0).await?;
    let codes: BTreeSet<String> = problems.iter().map(|(_, problem)| problem.code.to_string()).collect();
    let wanted: BTreeSet<String> = want.problems.iter().cloned().collect();
    compare("problemi", format!("{codes:?}"), format!("{wanted:?}"));
    let ends: BTreeMap<String, String> = finals.iter().map(|end| (end.reference.clone(), end.state.clone())).collect();
    compare("atti conclusi", format!("{ends:?}"), format!("{:?}", want.finals));
    Ok(wrong)
}
