//! The frame that clap puts around our sentences (usage, headings, errors), in Italian, once for every command.

use std::error::Error as _;
use std::net::AddrParseError;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};

use super::Cli;

const TEMPLATE: &str = "{before-help}{about-with-newline}\nUso: {usage}\n\n{all-args}{after-help}";

/// The whole command line, as its help shows it.
pub fn command() -> Command {
    let plain = dressed(Cli::command().version(env!("CARGO_PKG_VERSION")), true);
    let mut built = plain.clone();
    built.build();
    with_usage(plain, &built)
}

/// Reads the command line. `Err`: what was asked for or what is wrong with it was printed; the exit code.
pub fn matches(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<ArgMatches, u8> {
    command().try_get_matches_from(arguments).map_err(|error| tell(&error))
}

/// Prints what clap has to say. 0: it was asked for; 2: the command line is wrong.
pub fn tell(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            u8::from(error.exit_code() != 0) * 2
        }
        _ => {
            eprintln!("errore: {}\n\nPer l'aiuto: aggiungere --help al comando.", super::table::plain(&sentence(error)));
            2
        }
    }
}

/// Headings, template and the flags that clap would add by itself.
fn dressed(command: Command, top: bool) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Mostra questo aiuto").help_heading("Opzioni");
    let version =
        Arg::new("version").short('V').long("version").action(ArgAction::Version).help("Mostra la versione").help_heading("Opzioni");
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let mut command = command
        .help_template(TEMPLATE)
        .subcommand_help_heading("Comandi")
        .subcommand_value_name("COMANDO")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .mut_args(argument)
        .arg(help);
    if top {
        command = command.arg(version);
    }
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| dressed(sub, false)))
}

fn argument(arg: Arg) -> Arg {
    let values = |values: Vec<String>| values.join(", ");
    let defaults = values(arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect());
    let possible = values(arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect());
    let takes = arg.get_action().takes_values();
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    for (word, values) in [("valori", possible), ("se manca", defaults)] {
        if takes && !values.is_empty() {
            help.push_str(&format!(" [{word}: {values}]"));
        }
    }
    let heading = if arg.is_positional() { "Argomenti" } else { "Opzioni" };
    let arg = arg.help(help).help_heading(heading);
    if takes { arg.hide_default_value(true).hide_possible_values(true) } else { arg }
}

/// The usage lines, which clap makes when everything else is known.
fn with_usage(command: Command, built: &Command) -> Command {
    let usage = built.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).replace("[OPTIONS]", "[OPZIONI]").replace("<COMMAND>", "<COMANDO>");
    let mut command = command.override_usage(usage);
    for sub in built.get_subcommands() {
        command = command.mut_subcommand(sub.get_name(), |own| with_usage(own, sub));
    }
    command
}

/// What is wrong with a command line.
fn sentence(error: &clap::Error) -> String {
    let of = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(one)) => one.clone(),
        Some(ContextValue::Strings(several)) => several.join(", "),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        Some(ContextValue::StyledStrs(several)) => several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Some(ContextValue::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let argument = of(ContextKind::InvalidArg);
    let value = of(ContextKind::InvalidValue);
    let meant = |kind: ContextKind| match of(kind) {
        suggestion if suggestion.is_empty() => String::new(),
        suggestion => format!(" Forse: {suggestion}."),
    };
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("a «{argument}» manca il valore."),
        ErrorKind::InvalidValue => {
            format!(
                "«{value}» non è ammesso per «{argument}» (valori: {}).{}",
                of(ContextKind::ValidValue),
                meant(ContextKind::SuggestedValue)
            )
        }
        ErrorKind::UnknownArgument => {
            format!("«{argument}» non è un'opzione o un argomento di questo comando.{}", meant(ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidSubcommand => {
            format!("«{}» non è un comando.{}", of(ContextKind::InvalidSubcommand), meant(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::NoEquals => format!("«{argument}» vuole il valore dopo il segno di uguale."),
        ErrorKind::ValueValidation => {
            let reason = error.source().map(|reason| format!(": {}", reason_of(reason))).unwrap_or_default();
            format!("«{value}» non va bene per «{argument}»{reason}")
        }
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("il numero di valori di «{argument}» non è giusto.")
        }
        ErrorKind::ArgumentConflict => format!("«{argument}» non si può usare insieme a «{}».", of(ContextKind::PriorArg)),
        ErrorKind::MissingRequiredArgument => format!("manca: {argument}."),
        ErrorKind::MissingSubcommand => "manca il comando.".to_owned(),
        ErrorKind::InvalidUtf8 => "un argomento non è testo UTF-8.".to_owned(),
        _ => "la riga di comando non si capisce.".to_owned(),
    }
}

/// Why a value is not taken: our own words as they are, those of the standard library and of clap in Italian.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(number) = error.downcast_ref::<ParseIntError>() {
        let told = match number.kind() {
            IntErrorKind::Empty => "manca il numero.",
            IntErrorKind::PosOverflow => "il numero è troppo grande.",
            IntErrorKind::NegOverflow => "il numero è troppo piccolo.",
            _ => "non è un numero intero.",
        };
        return told.to_owned();
    }
    if error.is::<ParseFloatError>() {
        return "non è un numero.".to_owned();
    }
    if error.is::<AddrParseError>() {
        return "non è un indirizzo IP con la porta, come 127.0.0.1:8080.".to_owned();
    }
    let told = error.to_string();
    // Of a number outside its range clap says only this, and `10 is not in 1..=5` is all that it says.
    match told.split_once(" is not in ") {
        Some((_, range)) => match range.split_once("..=").or_else(|| range.split_once("..")) {
            Some((from, "")) => format!("il numero deve essere almeno {from}."),
            Some(("", to)) => format!("il numero deve essere al massimo {to}."),
            Some((from, to)) => format!("il numero deve essere fra {from} e {to}."),
            None => "il numero è fuori dai limiti.".to_owned(),
        },
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        let words = line.split(' ').map(std::ffi::OsString::from);
        sentence(&command().try_get_matches_from(words).unwrap_err())
    }

    #[test]
    fn wrong_command_lines_are_told_in_italian() {
        let table = [
            ("messo corri", "«corri» non è un comando."),
            ("messo runn", "«runn» non è un comando. Forse: run."),
            ("messo validate", "manca: <FILE>."),
            ("messo run --confg x", "«--confg» non è un'opzione o un argomento di questo comando. Forse: --config."),
            ("messo run --config", "a «--config <CONFIG>» manca il valore."),
            ("messo batch list --limit dieci", "«dieci» non va bene per «--limit <N>»: non è un numero intero."),
            (
                "messo batch list --limit 99999999999999999999",
                "«99999999999999999999» non va bene per «--limit <N>»: il numero è troppo grande.",
            ),
            ("messo batch list --limit 0", "«0» non va bene per «--limit <N>»: il numero deve essere fra 1 e 10000."),
            ("messo batch list --limit=-1", "«-1» non va bene per «--limit <N>»: il numero deve essere fra 1 e 10000."),
            (
                "messo sandbox --listen qui",
                "«qui» non va bene per «--listen <ADDR>»: non è un indirizzo IP con la porta, come 127.0.0.1:8080.",
            ),
            ("messo batch vai", "«vai» non è un comando."),
        ];
        for (line, want) in table {
            assert_eq!(refused(line), want, "{line}");
        }
    }
}
