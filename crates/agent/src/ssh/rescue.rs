//! When main is down, or `spawn` in it: a few commands of our own, and sftp, on the container's disk. There is no other
//! program in this container, and none is needed to look at files, to make room, or to fetch what is there.

use std::fmt::Write as _;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use berth_sshkit::{Gate, Inlet, Writer, read_from};
use russh::{ChannelMsg, ChannelReadHalf};
use rustix::fs::statvfs;

use super::Context;
use crate::link::{Run, Terminal};

pub(super) const BANNER: &str = "\
The container's own process is not running, or nothing in it answers: this is Berth's rescue shell.\r
The container's disk is here, each mount path in a folder of its own. sftp and scp work too.\r
A restart of the container brings its own shell back.\r
";

const HELP: &str = "\
ls [PATH]     what is there          cd [PATH]     go there
cat PATH      a file's content       df            how full the disk is
rm PATH...    remove files           rm -r PATH... and folders
mv FROM TO    rename                 exit          leave
";

/// Bytes of one line.
const MAX_LINE: usize = 4096;
/// Bytes of a file that `cat` shows.
const MAX_SHOWN: u64 = 1 << 20;

pub(super) async fn session(
    context: &Context,
    gate: &Arc<Gate>,
    run: Run,
    terminal: Option<Terminal>,
    mut incoming: ChannelReadHalf,
    writer: &Writer,
) {
    let mut shell = Shell { root: context.disk.clone(), folder: PathBuf::from("/") };
    let code = match run {
        Run::Sftp => sftp(context, gate, incoming, writer).await,
        Run::Command(command) => {
            let (text, code) = shell.run(&String::from_utf8_lossy(&command.0)).unwrap_or_default();
            let _gone = writer.data_bytes(text.into_bytes()).await;
            code
        }
        Run::Shell => {
            interactive(&mut shell, terminal.is_some(), &mut incoming, writer).await;
            0
        }
    };
    let _gone = writer.exit_status(code).await;
    let _gone = writer.eof().await;
}

async fn sftp(context: &Context, gate: &Arc<Gate>, mut incoming: ChannelReadHalf, writer: &Writer) -> u32 {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (source, destination) = tokio::io::split(ours);
    let (inlet, waiting) = Inlet::new(gate.clone(), writer.id());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(waiting.write_to(destination));
    tasks.spawn(read_from(source, writer.clone(), None));
    let served = crate::sftp::serve(theirs, context.disk.clone());
    tokio::pin!(served);
    let mut inlet = Some(inlet);
    loop {
        tokio::select! {
            () = &mut served => return 0,
            message = incoming.wait() => match message {
                Some(ChannelMsg::Data { data }) => inlet.iter().for_each(|inlet| inlet.give(data.clone())),
                Some(ChannelMsg::Eof) => inlet = None,
                Some(ChannelMsg::Close) | None => return 0,
                Some(_other) => {}
            },
        }
    }
}

async fn interactive(shell: &mut Shell, echo: bool, incoming: &mut ChannelReadHalf, writer: &Writer) {
    let prompt = |shell: &Shell| format!("rescue:{}> ", shell.folder.display());
    let mut line = Vec::new();
    let mut say =
        writer.data_bytes(format!("{BANNER}{}\r\n{}", HELP.replace('\n', "\r\n"), prompt(shell)).into_bytes()).await;
    while let (Ok(()), Some(message)) = (&say, incoming.wait().await) {
        let data = match message {
            ChannelMsg::Data { data } => data,
            ChannelMsg::Eof | ChannelMsg::Close => return,
            _other => continue,
        };
        let mut out = String::new();
        for byte in data {
            match byte {
                b'\r' | b'\n' => {
                    let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                    out.push_str(if echo { "\r\n" } else { "" });
                    let Some((answer, _code)) = shell.run(&text) else {
                        let _gone = writer.data_bytes(out.into_bytes()).await;
                        return;
                    };
                    out.push_str(&answer.replace('\n', "\r\n"));
                    out.push_str(&prompt(shell));
                }
                // Control-D.
                4 if line.is_empty() => return,
                // Control-C.
                3 => {
                    line.clear();
                    out.push_str("^C\r\n");
                    out.push_str(&prompt(shell));
                }
                8 | 127 => out.push_str(if line.pop().is_some() && echo { "\x08 \x08" } else { "" }),
                byte if byte >= b' ' && line.len() < MAX_LINE => {
                    line.push(byte);
                    if echo {
                        out.push(char::from(byte));
                    }
                }
                _other => {}
            }
        }
        if !out.is_empty() {
            say = writer.data_bytes(out.into_bytes()).await;
        }
    }
}

struct Shell {
    root: PathBuf,
    /// Below the root; always absolute and without `..`.
    folder: PathBuf,
}

impl Shell {
    /// What it says, and its exit code; `None` leaves.
    fn run(&mut self, line: &str) -> Option<(String, u32)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = match words.as_slice() {
            [] => Ok(String::new()),
            ["exit" | "logout"] => return None,
            ["help"] => Ok(HELP.to_owned()),
            ["pwd"] => Ok(format!("{}\n", self.folder.display())),
            ["df"] => df(&self.root),
            ["cd"] => self.cd("/"),
            ["cd", path] => self.cd(path),
            ["ls"] => list(&self.path(".")),
            ["ls", path] => list(&self.path(path)),
            ["cat", path] => show(&self.path(path)),
            ["mv", from, to] => std::fs::rename(self.path(from), self.path(to)).map(|()| String::new()),
            ["rm", "-r" | "-rf", paths @ ..] => {
                self.each(paths, |path| match std::fs::symlink_metadata(path)?.is_dir() {
                    true => std::fs::remove_dir_all(path),
                    false => std::fs::remove_file(path),
                })
            }
            ["rm", paths @ ..] => self.each(paths, |path| std::fs::remove_file(path)),
            [other, ..] => Err(io::Error::other(format!("{other}: not here; `help` lists what is"))),
        };
        Some(match done {
            Ok(text) => (text, 0),
            Err(error) => (format!("{error}\n"), 1),
        })
    }

    /// A path as it is outside; it never leads above the root by its own words.
    fn path(&self, path: &str) -> PathBuf {
        let mut inside = PathBuf::from("/");
        for part in self.folder.join(path).components() {
            match part {
                Component::ParentDir => drop(inside.pop()),
                Component::Normal(name) => inside.push(name),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        self.root.join(inside.strip_prefix("/").unwrap_or(&inside))
    }

    fn cd(&mut self, path: &str) -> io::Result<String> {
        let path = self.path(path);
        std::fs::read_dir(&path)?;
        self.folder = Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(Path::new("")));
        Ok(String::new())
    }

    fn each(&self, paths: &[&str], act: impl Fn(&Path) -> io::Result<()>) -> io::Result<String> {
        let failed =
            paths.iter().filter_map(|path| act(&self.path(path)).err().map(|error| format!("{path}: {error}")));
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() { Ok(String::new()) } else { Err(io::Error::other(failed.join("\n"))) }
    }
}

fn list(path: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let kind = if meta.is_dir() { "/" } else { "" };
        lines.push(format!("{:>14}  {}{kind}\n", meta.len(), entry.file_name().display()));
    }
    lines.sort();
    Ok(lines.concat())
}

fn show(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    std::fs::File::open(path)?.take(MAX_SHOWN).read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if meta.len() > MAX_SHOWN {
        let _infallible = write!(text, "\n({} bytes in all; sftp fetches them)\n", meta.len());
    }
    Ok(text)
}

fn df(path: &Path) -> io::Result<String> {
    let stat = statvfs(path)?;
    let mib = |blocks: u64| blocks.saturating_mul(stat.f_frsize) >> 20;
    Ok(format!("{} MiB, {} MiB free\n", mib(stat.f_blocks), mib(stat.f_bavail)))
}
