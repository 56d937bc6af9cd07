//! The command line of `berth-agent`.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use berth_agent::Seeded;
use lexopt::prelude::*;

const USAGE: &str = "\
usage: berth-agent serve [--disk DIR]
       berth-agent seed [--image DIR] [--disk DIR] [--words FILE] [--] MOUNT_PATH…
       berth-agent install DIR";

struct Arguments {
    command: String,
    image: PathBuf,
    disk: PathBuf,
    /// Where the reason of a failure goes; Kubernetes shows this file's text in the container's status.
    words: PathBuf,
    operands: Vec<String>,
}

fn parse() -> Result<Arguments, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut arguments = Arguments {
        command: String::new(),
        image: PathBuf::from("/image"),
        disk: PathBuf::from("/disk"),
        words: PathBuf::from("/dev/termination-log"),
        operands: Vec::new(),
    };
    let mut first = true;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("image") => arguments.image = parser.value()?.into(),
            Long("disk") => arguments.disk = parser.value()?.into(),
            Long("words") => arguments.words = parser.value()?.into(),
            Value(command) if first => arguments.command = command.string()?,
            Value(operand) => arguments.operands.push(operand.string()?),
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
    match (arguments.command.as_str(), arguments.operands.as_slice()) {
        ("serve", []) => match berth_agent::serve(&arguments.disk, &mut io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => tell(1, &error.to_string()),
        },
        ("seed", [_, ..]) => seed(&arguments),
        ("install", [folder]) => match berth_agent::install(Path::new(folder)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => tell(1, &format!("installing into {folder}: {error}")),
        },
        _other => tell(2, USAGE),
    }
}

fn seed(arguments: &Arguments) -> ExitCode {
    match berth_agent::seed(&arguments.image, &arguments.disk, &arguments.operands) {
        Ok(done) => {
            let mut words = String::new();
            for (path, seeded) in arguments.operands.iter().zip(done) {
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
