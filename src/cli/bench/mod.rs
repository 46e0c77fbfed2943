//! `messo bench`: measures against a rival on the same machine, in the same run. Exit code 0: measured, whatever the figures;
//! 1: it could not be measured. What each command does is told in `docs/prestazioni.md`.

mod bare;
mod child;
mod export;
mod house;
mod ingest;
mod life;
mod measure;
mod rules;
mod sample;
mod scale;
mod send;
mod sftp;
mod timers;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

/// Misura le prestazioni, accanto a un rivale sulla stessa macchina e nella stessa esecuzione.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Un oggetto JSON sull'uscita.
    #[arg(long, global = true)]
    json: bool,
    /// Cartella di lavoro, su un disco vero: vi si crea una cartella che alla fine è rimossa. Senza: quella dei file temporanei.
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Dal file alla ricevuta, accanto a `unzip -p | sha256sum`.
    Ingest(ingest::Args),
    /// Lettura e regole, accanto a `xmllint --stream --schema`.
    Rules(rules::Args),
    /// Atti al secondo fino al perfezionamento, accanto a un cliente che fa le stesse chiamate e non conserva niente.
    Send(send::Args),
    /// Avvio e costo per atto con molti atti in archivio.
    Scale(scale::Args),
    /// Rendicontazione di molti atti variati, accanto a `sqlite3 -csv` con le stesse colonne.
    Export(export::Args),
    /// SFTP su e giù, file piccoli, accessi e sessioni ferme, accanto a `internal-sftp` di OpenSSH.
    Sftp(sftp::Args),
    /// Posizioni debitorie che cambiano importo alla stessa mezzanotte, accanto a un cliente che non conserva niente.
    Timers(timers::Args),
    /// Un compito misurato in un processo suo.
    #[command(hide = true)]
    Child(child::Args),
}

/// What a bench found.
struct Report {
    /// Sentences for people.
    text: Vec<String>,
    figures: Value,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let dir = args.dir.as_deref();
    let report = match args.what {
        What::Ingest(wanted) => ingest::run(&wanted, dir),
        What::Rules(wanted) => rules::run(&wanted, dir),
        What::Send(wanted) => send::run(&wanted, dir),
        What::Scale(wanted) => scale::run(&wanted, dir),
        What::Export(wanted) => export::run(&wanted, dir),
        What::Sftp(wanted) => sftp::run(&wanted, dir),
        What::Timers(wanted) => timers::run(&wanted, dir),
        What::Child(wanted) => return child::run(&wanted),
    };
    match report {
        Ok(report) if args.json => println!("{}", report.figures),
        Ok(report) => report.text.iter().for_each(|line| println!("{line}")),
        Err(error) => {
            eprintln!("messo bench: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// `0.42 (obiettivo: al massimo 0.50, raggiunto)`.
fn judged(value: f64, goal: f64) -> String {
    let verdict = if value <= goal { "raggiunto" } else { "mancato" };
    format!("{value:.2} (obiettivo: al massimo {goal:.2}, {verdict})")
}

/// `1.62 (obiettivo: almeno 1.50, raggiunto)`.
fn at_least(value: f64, goal: f64) -> String {
    let verdict = if value >= goal { "raggiunto" } else { "mancato" };
    format!("{value:.2} (obiettivo: almeno {goal:.2}, {verdict})")
}
