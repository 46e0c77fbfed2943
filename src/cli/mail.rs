//! `messo mail test`: sends one mail and says what failed, at which step. The hub sends it if one runs: it has the secrets. Exit
//! codes: 0 taken by the server for every recipient, 1 not, 2 wrongly asked, 3 the hub does not answer.

use std::path::PathBuf;
use std::process::ExitCode;

use super::hub;
use super::table::plain;
use crate::config;
use crate::connectors::mail::recipient;
use crate::service::control::Request;
use crate::service::trial;
use crate::text::it;
use crate::text::it::mail as words;

/// La posta agli operatori.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Spedisce un messaggio di prova e dice che cosa non riesce, e a quale passo.
    Test {
        /// A chi; senza, agli indirizzi di [mail] to. Si può ripetere.
        #[arg(long, value_name = "INDIRIZZO")]
        to: Vec<String>,
        /// File di configurazione.
        #[arg(long, value_name = "FILE", default_value = "/etc/messo/messo.toml")]
        config: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    let What::Test { to, config } = args.what;
    let loaded = match config::load(&config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprint!("{}", it::config::lines(&problems));
            return ExitCode::from(2);
        }
    };
    let Some(mail) = &loaded.config.mail else { return wrong(words::NO_MAIL) };
    let to = if to.is_empty() { mail.to.clone() } else { to };
    if to.is_empty() {
        return wrong(words::NO_RECIPIENT);
    }
    if let Some(bad) = to.iter().find(|address| recipient(address).is_none()) {
        return wrong(&words::not_an_address(&plain(bad)));
    }
    if let Some(code) = hub::tried(&loaded.config, Request::MailTest { to: to.clone() }) {
        return code;
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => hub::went(runtime.block_on(trial::mail(&loaded.config, &to, &mut hub::say))),
        Err(error) => wrong(&error.to_string()),
    }
}

fn wrong(why: &str) -> ExitCode {
    eprintln!("messo: {why}");
    ExitCode::from(2)
}
