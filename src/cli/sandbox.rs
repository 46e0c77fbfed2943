//! `messo sandbox`: the SEND simulator, and with `--pt` those of the partner tecnologici beside it, until they are told to stop.
//!
//! Exit codes: 0 stopped by a signal, 1 could not listen, 2 arguments or faults file not usable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::clock::Clock;
use crate::sandbox::pt::{self, Debts, PtOptions};
use crate::sandbox::{self, Faults, Options, UploadMethod};

/// Avvia il simulatore di SEND: ogni x-api-key della forma <11 cifre>[-<testo>] è di quell'ente.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Indirizzo e porta; con la porta 0 ne sceglie una libera.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9400")]
    listen: SocketAddr,
    /// Tempo simulato: N volte più veloce da adesso, oppure N@UNIXMS da quell'istante.
    #[arg(long, value_name = "N[@UNIXMS]", default_value = "1")]
    clock: Clock,
    /// File TOML dei guasti da simulare.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Quota (da 0.0 a 1.0) degli atti opponibili che la prima volta rispondono «riprovare più tardi».
    #[arg(long, value_name = "QUOTA", default_value_t = 0.0, value_parser = share)]
    cold: f64,
    /// Ogni secondo caricamento di una preload chiede POST invece di PUT.
    #[arg(long)]
    alternate_uploads: bool,
    /// Avvia su questo indirizzo anche i simulatori dei partner tecnologici; in modalità ASYNC il simulatore di SEND cerca lì le posizioni di GPD.
    #[arg(long, value_name = "ADDR")]
    pt: Option<SocketAddr>,
    /// Utente che i simulatori dei PT chiedono.
    #[arg(long, value_name = "UTENTE", default_value = "messo", requires = "pt")]
    pt_user: String,
    /// Password che i simulatori dei PT chiedono; è anche la subscription key di GPD.
    #[arg(long, value_name = "PASSWORD", default_value = "prova-prova", requires = "pt")]
    pt_password: String,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "una quota da 0.0 a 1.0".to_owned())
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let mut options = Options::new(args.listen, args.clock);
    let partners = args.pt.map(|listen| PtOptions {
        listen,
        clock: options.clock,
        debts: Arc::new(Debts::default()),
        username: args.pt_user,
        password: args.pt_password,
    });
    options.debts = partners.as_ref().map(|partners| partners.debts.clone());
    options.limits.cold_facts = args.cold;
    if args.alternate_uploads {
        options.limits.upload_method = UploadMethod::Alternate;
    }
    if let Some(path) = &args.faults {
        let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
        match read.and_then(|text| Faults::parse(&text).map_err(|error| error.to_string())) {
            Ok(faults) => options.faults = Some(faults),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::from(2);
            }
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("il simulatore non parte: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(options, partners))
}

async fn serve(options: Options, partners: Option<PtOptions>) -> ExitCode {
    let listen = options.listen;
    let running = match sandbox::start(options).await {
        Ok(running) => running,
        Err(error) => {
            eprintln!("impossibile ascoltare su {listen}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let partners = match partners {
        None => None,
        Some(options) => {
            let listen = options.listen;
            match pt::start(options).await {
                Ok(running) => Some(running),
                Err(error) => {
                    eprintln!("impossibile ascoltare su {listen}: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
    };
    println!("sandbox in ascolto su {}", running.url());
    if let Some(partners) = &partners {
        println!("simulatori dei PT in ascolto su {}", partners.url());
    }
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
    running.stop().await;
    ExitCode::SUCCESS
}
