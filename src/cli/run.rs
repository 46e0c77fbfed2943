//! `messo run`: the hub. Exit 0 after an ordinary stop, 1 when it could not start.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config;
use crate::rest;
use crate::service::{supervisor, systemd};
use crate::telemetry::{self, Format};
use crate::text::it;

/// Avvia il servizio, fino a SIGTERM o SIGINT: allora finisce il lavoro in corso e si ferma. SIGHUP rilegge la configurazione.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// La configurazione.
    #[arg(long, default_value = "/etc/messo/messo.toml")]
    config: PathBuf,
    /// Orologio degli affari: FATTORE o FATTORE@MILLISECONDI_UNIX. Solo se ogni sistema remoto è su questa macchina.
    #[arg(long, hide = true)]
    clock: Option<Clock>,
    /// Registro per persone o per macchine: testo, json (json da solo sotto systemd).
    #[arg(long)]
    log: Option<Format>,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let logs = match telemetry::init(Format::choose(args.log), None) {
        Ok(logs) => logs,
        Err(error) => {
            eprintln!("messo: {error}");
            return ExitCode::FAILURE;
        }
    };
    // After all that the log says of it.
    let failed = |why: &dyn Display| {
        logs.flush();
        eprintln!("messo: {why}");
        ExitCode::FAILURE
    };
    let loaded = match config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            logs.flush();
            eprint!("{}", it::config::lines(&problems));
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(async {
        let clock = args.clock.unwrap_or(Clock::REAL);
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return failed(&error),
        };
        let started = match supervisor::open(loaded, clock) {
            Ok(hub) => supervisor::start(hub).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(mut running) => {
                let calls = match rest::open(&running.hub).await {
                    Ok(calls) => calls,
                    Err(reason) => {
                        let code = failed(&reason);
                        running.stop().await;
                        return code;
                    }
                };
                if let Some(calls) = &calls {
                    running.follows(calls.reread());
                }
                tracing::info!("messo è in servizio");
                systemd::ready(&running.hub);
                let alive = tokio::spawn(systemd::keep_alive(running.hub.clone()));
                signals.wait(&mut running, &args.config).await;
                tracing::info!("arresto: nessun lavoro nuovo, si finisce quello in corso");
                systemd::stopping();
                // What a PT tells is still written down.
                if let Some(calls) = calls {
                    calls.close().await;
                }
                running.stop().await;
                alive.abort();
                ExitCode::SUCCESS
            }
            Err(error) => failed(&supervisor::sentence(&error)),
        }
    });
    // Threads that a disk or a share still holds: what they do was not acknowledged to anybody.
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

/// For what still runs on a thread when everything has stopped (real time).
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Heard from before the hub starts: whoever stops it at once stops it as well as later.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Until SIGTERM or SIGINT; at each SIGHUP the configuration is read again.
    async fn wait(&mut self, running: &mut supervisor::Running, config: &Path) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    systemd::reloading();
                    // A folder that is looked at may be on a share that hangs: who stops the service is heard all the same.
                    tokio::select! {
                        _ = running.reload(config) => systemd::ready(&running.hub),
                        _ = self.terminate.recv() => return,
                        _ = self.interrupt.recv() => return,
                    }
                }
            }
        }
    }
}
