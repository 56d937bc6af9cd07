//! The command line of `berth-agent`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_agent::{Seeded, Settings};
use berth_core::id::{ContainerId, Generation};
use lexopt::prelude::*;

const USAGE: &str = "\
usage: berth-agent serve [--disk DIR] [--ssh ADDRESS:PORT --container ID --since GENERATION --keys DIR --link DIR]
       berth-agent spawn --link DIR
       berth-agent seed [--image DIR] [--disk DIR] [--words FILE] [--] MOUNT_PATH…
       berth-agent install DIR";

struct Arguments {
    command: String,
    image: PathBuf,
    disk: PathBuf,
    /// Where the reason of a failure goes; Kubernetes shows this file's text in the container's status.
    words: PathBuf,
    ssh: Option<SocketAddr>,
    container: Option<ContainerId>,
    since: Generation,
    keys: PathBuf,
    link: PathBuf,
    foreground: bool,
    terminal: bool,
    operands: Vec<OsString>,
}

fn parse() -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut arguments = Arguments {
        command: String::new(),
        image: PathBuf::from("/image"),
        disk: PathBuf::from("/disk"),
        words: PathBuf::from("/dev/termination-log"),
        ssh: None,
        container: None,
        since: Generation::FIRST,
        keys: PathBuf::from("/keys"),
        link: PathBuf::from("/link"),
        foreground: false,
        terminal: false,
        operands: Vec::new(),
    };
    let mut first = true;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("image") => arguments.image = parser.value()?.into(),
            Long("disk") => arguments.disk = parser.value()?.into(),
            Long("words") => arguments.words = parser.value()?.into(),
            Long("ssh") => arguments.ssh = Some(parser.value()?.parse()?),
            Long("container") => arguments.container = Some(parser.value()?.parse()?),
            Long("since") => arguments.since = parser.value()?.parse()?,
            Long("keys") => arguments.keys = parser.value()?.into(),
            Long("link") => arguments.link = parser.value()?.into(),
            Long("foreground") => arguments.foreground = true,
            Long("terminal") => arguments.terminal = true,
            Value(command) if first => arguments.command = command.string()?,
            Value(operand) => arguments.operands.push(operand),
            other => return Err(other.unexpected()),
        }
        first = false;
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => return tell(2, &format!("{error}\n{USAGE}")),
    };
    let done = match (arguments.command.as_str(), arguments.operands.as_slice()) {
        ("serve", []) => {
            let Ok(ssh) = settings(&arguments) else { return tell(2, USAGE) };
            berth_agent::serve(&arguments.disk, ssh, &mut io::stdout())
        }
        ("spawn", []) if arguments.foreground => berth_agent::serve_sessions(&arguments.link, io::stdout()),
        // A hook that fails ends main, and without SSH a container still runs: the agent offers its rescue shell.
        ("spawn", []) => {
            return tell(0, &berth_agent::spawn(&arguments.link).err().map_or_else(String::new, |e| e.to_string()));
        }
        ("sftp", []) => berth_agent::serve_sftp(),
        ("enter", [home, program, name, words @ ..]) => {
            let ended = berth_agent::enter(arguments.terminal, home.as_ref(), program.as_ref(), name, words);
            let Err(words) = ended;
            return tell(127, &words);
        }
        ("seed", [_, ..]) => return seed(&arguments),
        ("install", [folder]) => berth_agent::install(Path::new(folder))
            .map_err(|error| io::Error::other(format!("installing into {}: {error}", folder.display()))),
        _other => return tell(2, USAGE),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tell(1, &error.to_string()),
    }
}

/// `Err` when an address is given and no container.
fn settings(arguments: &Arguments) -> Result<Option<Settings>, ()> {
    let Some(listen) = arguments.ssh else { return Ok(None) };
    Ok(Some(Settings {
        listen,
        container: arguments.container.ok_or(())?,
        since: arguments.since,
        keys: arguments.keys.clone(),
        link: arguments.link.clone(),
        disk: arguments.disk.clone(),
    }))
}

fn seed(arguments: &Arguments) -> ExitCode {
    let paths: Option<Vec<&str>> = arguments.operands.iter().map(|path| path.to_str()).collect();
    let Some(paths) = paths else { return tell(2, USAGE) };
    match berth_agent::seed(&arguments.image, &arguments.disk, &paths) {
        Ok(done) => {
            let mut words = String::new();
            for (path, seeded) in paths.iter().zip(done) {
                let Seeded::Now(notes) = seeded else { continue };
                for note in &notes.first {
                    let _infallible = writeln!(words, "{path}: left out {note}");
                }
                if notes.count > notes.first.len() as u64 {
                    let _infallible = writeln!(words, "{path}: {} left out in all", notes.count);
                }
            }
            tell(0, words.trim_end())
        }
        Err(failure) => {
            let words = failure.to_string();
            if let Err(error) = std::fs::write(&arguments.words, &words) {
                return tell(1, &format!("{words}\n{}: {error}", arguments.words.display()));
            }
            tell(1, &words)
        }
    }
}

fn tell(code: u8, words: &str) -> ExitCode {
    if !words.is_empty() {
        // Nobody is left to hear of a closed standard error.
        let _closed = writeln!(io::stderr(), "{words}");
    }
    ExitCode::from(code)
}
