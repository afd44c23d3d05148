//! Configuration: clap reads flags and the environment; here stands what clap does not do. An empty variable is an error,
//! a secret `X` may come as the file `X_FILE`, and every error names its variable and shows no secret.
//!
//! A field is a secret when it is marked `hide_env_values = true`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::SecretString;

use crate::admin::AdminListener;

const HEALTHCHECK: &str = "healthcheck";

/// What a service's `Config` is: a clap parser whose fields have a `long` and an `env`.
pub trait ServiceConfig: clap::Parser {
    /// Where the admin server listens.
    fn admin_listener(&self) -> AdminListener;

    /// What only several fields together can tell.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// A wrong configuration: which variable, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the environment variable.
    pub variable: String,
    /// What is wrong, without the value of a secret.
    pub problem: String,
}

impl ConfigError {
    /// An error of one variable.
    pub fn new(variable: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { variable: variable.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}: {}", self.variable, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Why a value that is, or may hold, a secret is refused: words known beforehand. The value is not shown with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretError(pub &'static str);

impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for SecretError {}

/// A bearer token: visible ASCII without spaces. Other characters would be sent, or cut off, and never match (RFC 6750, 2.1).
pub fn parse_token(text: &str) -> Result<SecretString, SecretError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError("a token is made of visible ASCII characters, without spaces"));
    }
    Ok(text.into())
}

/// What the command line asked for.
pub(crate) enum Start<C> {
    Serve(C),
    CheckHealth(C),
}

/// Reads the configuration of this process; `--help`, `--version` and unknown flags end it here, as clap does.
pub(crate) fn start<C: ServiceConfig>(arguments: Vec<OsString>) -> Result<Start<C>, ConfigError> {
    let (config, matches) = read::<C>(arguments, true)?;
    Ok(if matches.get_flag(HEALTHCHECK) { Start::CheckHealth(config) } else { Start::Serve(config) })
}

/// Reads the configuration of one service out of several in this process: `overrides` are flags (`--name=value`), all else
/// comes from the environment.
pub fn read_with<C: ServiceConfig>(overrides: &[String]) -> Result<C, ConfigError> {
    let (config, _) = read::<C>(overrides.iter().map(OsString::from).collect(), false)?;
    Ok(config)
}

fn read<C: ServiceConfig>(mut arguments: Vec<OsString>, may_exit: bool) -> Result<(C, ArgMatches), ConfigError> {
    let healthcheck = Arg::new(HEALTHCHECK).long(HEALTHCHECK).action(ArgAction::SetTrue);
    let command = C::command().arg(healthcheck.help("Ask the running service whether it is ready, and exit"));
    refuse_empty(&command)?;
    add_secret_files(&command, &mut arguments)?;
    arguments.insert(0, command.get_name().into());
    let matches = match command.clone().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => match explain(&command, &error) {
            Some(explained) => return Err(explained),
            None if may_exit => error.exit(),
            None => return Err(ConfigError::new("command line", error.to_string())),
        },
    };
    let config = C::from_arg_matches(&matches).map_err(|error| ConfigError::new("command line", error.to_string()))?;
    config.check()?;
    Ok((config, matches))
}

fn variable(argument: &Arg) -> Option<&str> {
    argument.get_env()?.to_str()
}

fn refuse_empty(command: &Command) -> Result<(), ConfigError> {
    for name in command.get_arguments().filter_map(variable) {
        for name in [name.to_owned(), format!("{name}_FILE")] {
            if std::env::var_os(&name).is_some_and(|value| value.is_empty()) {
                return Err(ConfigError::new(&name, "is empty; give it a value or leave it out"));
            }
        }
    }
    Ok(())
}

/// The content of `X_FILE` becomes a flag of this process's argument list in memory (never of its real command line).
fn add_secret_files(command: &Command, arguments: &mut Vec<OsString>) -> Result<(), ConfigError> {
    for argument in command.get_arguments().filter(|argument| argument.is_hide_env_values_set()) {
        let (Some(name), Some(long)) = (variable(argument), argument.get_long()) else { continue };
        let file_variable = format!("{name}_FILE");
        let Some(path) = std::env::var_os(&file_variable) else { continue };
        // a flag wins over the file, as it does over the variable
        if has_flag(arguments, long) {
            continue;
        }
        if std::env::var_os(name).is_some() {
            return Err(ConfigError::new(&file_variable, format!("{name} is set too; leave one of them out")));
        }
        let secret = read_secret_file(path.as_ref()).map_err(|problem| ConfigError::new(&file_variable, problem))?;
        arguments.push(format!("--{long}={secret}").into());
    }
    Ok(())
}

/// Where the secret of this variable comes from, if from a file: for who reads it again when it was changed.
pub fn secret_file(variable: &str) -> Option<PathBuf> {
    std::env::var_os(format!("{variable}_FILE")).map(PathBuf::from)
}

/// What a secret's file holds, without the newline at its end. The error says what is wrong with the file.
pub fn read_secret_file(path: &Path) -> Result<String, String> {
    let content = std::fs::read_to_string(path).map_err(|error| format!("cannot read the file: {error}"))?;
    match content.trim_end_matches(['\r', '\n']) {
        "" => Err("the file is empty".to_owned()),
        secret => Ok(secret.to_owned()),
    }
}

/// Whether `--long` or `--long=value` is among the arguments.
fn has_flag(arguments: &[OsString], long: &str) -> bool {
    let rest = |argument: &OsString| Some(argument.to_string_lossy().strip_prefix("--")?.strip_prefix(long)?.to_owned());
    arguments.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.starts_with('='))
}

/// In our words where a value is at fault; `None` for help, version and wrong flags, which clap words best.
fn explain(command: &Command, error: &clap::Error) -> Option<ConfigError> {
    let argument = |shown: &str| {
        let long = shown.trim_start_matches("--").split([' ', '=']).next().unwrap_or_default().to_owned();
        command.get_arguments().find(|argument| argument.get_long() == Some(long.as_str()))
    };
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
            Some(ConfigError::new(missing.iter().find_map(|shown| variable(argument(shown)?))?, "is required"))
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
            let argument = argument(shown)?;
            let source = std::error::Error::source(error);
            let hides_value = source.is_some_and(<dyn std::error::Error>::is::<SecretError>);
            let is_secret = argument.is_hide_env_values_set();
            let value = match error.get(ContextKind::InvalidValue) {
                Some(ContextValue::String(value)) if !is_secret && !hides_value => format!("\"{value}\" "),
                _ => String::new(),
            };
            let reason = match (source, error.get(ContextKind::ValidValue)) {
                (Some(source), _) if !is_secret || hides_value => format!("is not valid: {source}"),
                (_, Some(ContextValue::Strings(valid))) => format!("is not one of {}", valid.join(", ")),
                _ => "is not valid".to_owned(),
            };
            Some(ConfigError::new(variable(argument)?, format!("{value}{reason}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(clap::Parser)]
    struct Config {
        #[arg(long, env = "RUNTIME_TEST_TOKEN", hide_env_values = true, value_parser = parse_token)]
        token: Option<SecretString>,
    }

    impl ServiceConfig for Config {
        fn admin_listener(&self) -> AdminListener {
            AdminListener::Off
        }
    }

    #[test]
    fn a_flag_is_found_in_both_its_forms_and_not_by_its_beginning() {
        for (argument, found) in [
            ("--token=x", true),
            ("--token=", true),
            ("--token", true),
            ("--token-file=x", false),
            ("--toke", false),
            ("token", false),
            ("-token", false),
        ] {
            assert_eq!(has_flag(&["--other".into(), argument.into()], "token"), found, "{argument}");
        }
    }

    #[test]
    fn a_token_is_visible_ascii_and_the_refusal_says_so_without_showing_it() {
        for text in ["x", "!~", "0123456789abcdef", "a-._~+/="] {
            let config = read_with::<Config>(&[format!("--token={text}")]).unwrap();
            assert_eq!(config.token.unwrap().expose_secret(), text);
        }
        for text in ["", "hush hush", "hush ", "hush\n", "hush\t", "hush\u{7f}", "hüsh", "\u{1f512}"] {
            let Err(error) = read_with::<Config>(&[format!("--token={text}")]) else { panic!("{text:?} is taken") };
            let problem = "is not valid: a token is made of visible ASCII characters, without spaces";
            assert_eq!(error, ConfigError::new("RUNTIME_TEST_TOKEN", problem), "{text:?}");
        }
    }
}
