//! One process of one session.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, OFlags, access};
use rustix::process::{Pid, getuid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::account::{account, environment, shells, words};
use super::modes;
use crate::link::{Run, Size, Start, Terminal};

pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) master: Option<OwnedFd>,
}

/// What is run, and under which name.
struct Program {
    path: OsString,
    /// A leading hyphen makes it a login shell.
    name: OsString,
    arguments: Vec<OsString>,
}

/// # Errors
/// Why it cannot be, in words for the person who asked.
pub(super) fn start(
    start: &Start,
    streams: Vec<OwnedFd>,
    ourselves: &Path,
    agent: Option<&Path>,
) -> Result<Started, String> {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let account = account(&passwd, getuid().as_raw());
    let shell = shells(&account).find(|shell| access(*shell, Access::EXEC_OK).is_ok());
    let program = program(&start.run, shell, ourselves)?;
    let (master, slave) = match &start.terminal {
        Some(asked) => {
            let (master, path) = terminal(asked).map_err(|error| format!("no terminal can be made: {error}"))?;
            (Some(master), Some(path))
        }
        None => (None, None),
    };
    let streams: [Stdio; 3] = match &slave {
        Some(path) => {
            // Not ours: a session's leader without a terminal would get it with the first that it opens.
            let flags = OFlags::NOCTTY.bits().cast_signed();
            let open = || File::options().read(true).write(true).custom_flags(flags).open(path);
            let slave = open().map_err(|error| format!("{}: {error}", path.display()))?;
            let again = || slave.try_clone().map_err(|error| error.to_string());
            [again()?.into(), again()?.into(), slave.into()]
        }
        None => {
            let streams: [OwnedFd; 3] =
                streams.try_into().map_err(|_| "three streams belong to a command".to_owned())?;
            streams.map(Stdio::from)
        }
    };
    let env = environment(
        std::env::vars_os(),
        &account,
        shell,
        start,
        slave.as_deref().map(Path::as_os_str),
        agent.map(Path::as_os_str),
    );
    let home = env.get(OsStr::new("HOME")).cloned().unwrap_or_else(|| OsString::from_vec(account.home.clone()));
    let mut command = Command::new(ourselves);
    command.arg("enter").args(slave.is_some().then_some("--terminal")).arg("--");
    command.arg(home).arg(program.path).arg(program.name).args(program.arguments);
    command.env_clear().envs(env);
    let [input, output, error] = streams;
    command.stdin(input).stdout(output).stderr(error);
    // Its end is noticed by number, with those of all others.
    let child = command.spawn().map_err(|error| format!("no process can be started: {error}"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process without a number")?;
    Ok(Started { pid, master })
}

fn program(run: &Run, shell: Option<&OsStr>, ourselves: &Path) -> Result<Program, String> {
    let login = |shell: &OsStr| {
        let base = Path::new(shell).file_name().unwrap_or(shell);
        [OsStr::new("-"), base].into_iter().collect::<OsString>()
    };
    match (run, shell) {
        (Run::Sftp, _) => {
            Ok(Program { path: ourselves.into(), name: "sftp-server".into(), arguments: vec!["sftp".into()] })
        }
        (Run::Shell, Some(shell)) => Ok(Program { path: shell.into(), name: login(shell), arguments: Vec::new() }),
        (Run::Shell, None) => Err("this image has no shell: neither its /etc/passwd names one that is there, nor is there \
             /bin/bash or /bin/sh. Commands by their path, sftp, scp and forwarding work; a shell comes with an image that \
             has one"
            .to_owned()),
        (Run::Command(command), Some(shell)) => {
            let base = Path::new(shell).file_name().unwrap_or(shell);
            let command = OsStr::from_bytes(&command.0).to_owned();
            Ok(Program { path: shell.into(), name: base.into(), arguments: vec!["-c".into(), command] })
        }
        (Run::Command(command), None) => {
            let mut words = words(&command.0).ok_or("this image has no shell, and the command leaves a quote open")?;
            if words.is_empty() {
                return Err("the command is empty".to_owned());
            }
            let path = words.remove(0);
            Ok(Program { path: path.clone(), name: path, arguments: words })
        }
    }
}

fn terminal(asked: &Terminal) -> io::Result<(OwnedFd, PathBuf)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = PathBuf::from(OsString::from_vec(ptsname(&master, Vec::new())?.into_bytes()));
    let mut termios = tcgetattr(&master)?;
    modes::apply(&asked.modes, &mut termios);
    tcsetattr(&master, OptionalActions::Now, &termios)?;
    tcsetwinsize(&master, winsize(asked.size))?;
    Ok((master, path))
}

pub(crate) fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: size.width, ws_ypixel: size.height }
}
