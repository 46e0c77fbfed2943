//! One command, one file; `main` only sets the exit code. Each command reads its arguments, calls `service` and prints.

pub mod act;
pub mod alerts;
pub mod audit;
pub mod backup;
pub mod batch;
pub mod bench;
pub mod check;
pub mod completions;
pub mod defender;
pub mod demo;
pub mod export;
pub mod hub;
pub mod italian;
pub mod mail;
pub mod man;
pub mod password;
pub mod person;
pub mod posizione;
pub mod publish;
pub mod report;
pub mod restore;
pub mod run;
pub mod sandbox;
pub mod sftp;
mod sftp_client;
pub mod status;
pub mod table;
pub mod validate;
pub mod whereabouts;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

/// messo: gli atti dai gestionali ai cittadini, con la prova.
#[derive(Debug, Parser)]
#[command(name = "messo", version, about = "Gli atti dai gestionali ai cittadini, con la prova")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Avvia il servizio.
    Run(run::Args),
    /// Controlla la configurazione e i flussi.
    Check(check::Args),
    /// Dice quale ricevuta avrebbe un lotto, senza inviare niente.
    Validate(validate::Args),
    /// Dimostrazione: gli esempi dal deposito alle attestazioni, con SEND simulato.
    Demo(demo::Args),
    /// Avvia il simulatore di SEND.
    Sandbox(sandbox::Args),
    /// Misura le prestazioni.
    Bench(bench::Args),
    /// Dice come sta il servizio.
    Status(status::Args),
    /// Elenca e mostra i lotti; fa partire quelli trattenuti.
    Batch(batch::Args),
    /// Mostra gli atti; riprende, annulla, rilascia.
    Act(act::Args),
    /// Elenca gli avvisi dati agli operatori.
    Alerts(alerts::Args),
    /// Il rapporto di un giorno, ente per ente.
    Report(report::Args),
    /// Scrive di nuovo, come copie, i file pubblicati.
    Publish(publish::Args),
    /// Scrive di nuovo le rendicontazioni, o controlla quelle di una cartella.
    Export(export::Args),
    /// Copia di sicurezza di tutto ciò che messo conserva, anche a servizio acceso.
    Backup(backup::Args),
    /// Rimette una copia in una cartella vuota; dice che cosa manca; fa riprendere gli invii.
    Restore(restore::Args),
    /// Dice come sta il server SFTP; stampa le impronte delle sue chiavi.
    Sftp(sftp::Args),
    /// Registro degli ordini degli operatori, degli accessi e dei trasferimenti SFTP.
    Audit(audit::Args),
    /// Dice dov'è un lotto: dal deposito all'ultimo esito.
    Where(whereabouts::Args),
    /// Mostra la posizione debitoria di un avviso; ne sospende i termini, la fa riprendere.
    Posizione(posizione::Args),
    /// Cancella i dati di una persona che lo chiede.
    Person(person::Args),
    /// Elenca e sblocca gli indirizzi bloccati.
    Defender(defender::Args),
    /// Prepara la password di un account SFTP.
    Password(password::Args),
    /// Prova la posta agli operatori.
    Mail(mail::Args),
    /// Scrive le pagine di manuale in una cartella.
    #[command(hide = true)]
    Man(man::Args),
    /// Scrive i completamenti per una shell.
    #[command(hide = true)]
    Completions(completions::Args),
}

/// Runs the command line; the exit code is documented by each command.
pub fn main() -> ExitCode {
    let read =
        italian::matches(std::env::args_os()).and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| italian::tell(&error)));
    let cli = match read {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Status(args) => status::run(args),
        Command::Batch(args) => batch::run(args),
        Command::Act(args) => act::run(args),
        Command::Alerts(args) => alerts::run(args),
        Command::Report(args) => report::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Export(args) => export::run(args),
        Command::Backup(args) => backup::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Sftp(args) => sftp::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Where(args) => whereabouts::run(args),
        Command::Posizione(args) => posizione::run(args),
        Command::Person(args) => person::run(args),
        Command::Defender(args) => defender::run(args),
        Command::Password(args) => password::run(args),
        Command::Mail(args) => mail::run(args),
        Command::Man(args) => man::run(args),
        Command::Completions(args) => completions::run(args),
    }
}
