//! An SFTP server (protocol 3, with OpenSSH's extensions) on any stream. It runs in main as a session's program, so files are
//! main's and so are permissions; in the rescue shell it runs in the agent, on the disk.

mod attributes;
mod extended;
mod open;

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use russh_sftp::server::{Config, StatusReply, run_with_config};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use attributes::{apply, attributes, longname};
use open::{Handles, Open};

/// Bytes of one packet, as OpenSSH has it, and of what one read or write in it carries.
const MAX_PACKET: u32 = 256 * 1024;
const MAX_DATA: u32 = MAX_PACKET - 1024;
/// Names in one answer.
const NAMES: usize = 128;

/// Serves until the stream ends. Relative paths begin at `base`.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, base: PathBuf) {
    let (alive, gone) = oneshot::channel();
    let server = Sftp { base, handles: Handles::default(), _alive: alive };
    run_with_config(stream, server, Config { max_client_packet_len: MAX_PACKET }).await;
    // The library serves in a task of its own, and drops the server at the end.
    let _ended = gone.await;
}

/// On standard input and output, until they end.
///
/// # Errors
/// When there is no runtime to be had.
pub fn serve_sftp() -> io::Result<()> {
    let base = std::env::current_dir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let [input, output] = [rustix::io::dup(rustix::stdio::stdin())?, rustix::io::dup(rustix::stdio::stdout())?];
        let input = tokio::net::unix::pipe::Receiver::from_owned_fd(input)?;
        let output = tokio::net::unix::pipe::Sender::from_owned_fd(output)?;
        serve(tokio::io::join(input, output), base).await;
        Ok(())
    })
}

struct Sftp {
    base: PathBuf,
    handles: Handles,
    _alive: oneshot::Sender<()>,
}

/// Why a request failed.
struct Failed(StatusReply);

impl From<Failed> for StatusReply {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

impl From<StatusCode> for Failed {
    fn from(code: StatusCode) -> Self {
        Self(code.into())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => StatusCode::NoSuchFile,
            io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
            io::ErrorKind::Unsupported => StatusCode::OpUnsupported,
            _other => StatusCode::Failure,
        };
        Self(code.with_message(error.to_string()))
    }
}

impl From<Errno> for Failed {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

type Answer<T> = Result<T, Failed>;

impl Sftp {
    fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Absolute and without links, as far as it exists.
    fn real(&self, path: &str) -> Answer<String> {
        let path = self.path(path);
        let real = match std::fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (parent, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
                std::fs::canonicalize(parent).map(|parent| parent.join(name))
            }
            done => done,
        };
        Ok(shown(&real?))
    }
}

/// The protocol's library takes names for text; other bytes in them are lost to it.
fn shown(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

fn done(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: "Success".to_owned(), language_tag: String::new() }
}

fn named(id: u32, name: String) -> Name {
    Name { id, files: vec![Entry { longname: name.clone(), filename: name, attrs: FileAttributes::empty() }] }
}

impl russh_sftp::server::Handler for Sftp {
    type Error = Failed;

    fn unimplemented(&self) -> Failed {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Answer<Version> {
        let mut version = Version::new();
        version.extensions = extended::OFFERED.map(|(name, version)| (name.to_owned(), version.to_owned())).into();
        Ok(version)
    }

    async fn open(&mut self, id: u32, path: String, flags: OpenFlags, attrs: FileAttributes) -> Answer<Handle> {
        let file = open::file(&self.path(&path), flags, attrs.permissions)?;
        Ok(Handle { id, handle: self.handles.add(Open::File(file))? })
    }

    async fn close(&mut self, id: u32, handle: String) -> Answer<Status> {
        self.handles.remove(&handle)?;
        Ok(done(id))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Answer<Data> {
        let mut data = vec![0; usize::try_from(len.min(MAX_DATA)).unwrap_or(0)];
        let read = self.handles.file(&handle)?.read_at(&mut data, offset)?;
        if read == 0 && len > 0 {
            return Err(StatusCode::Eof.into());
        }
        data.truncate(read);
        Ok(Data { id, data })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Answer<Status> {
        self.handles.file(&handle)?.write_all_at(&data, offset)?;
        Ok(done(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        Ok(Attrs { id, attrs: attributes(&std::fs::symlink_metadata(self.path(&path))?) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        Ok(Attrs { id, attrs: attributes(&std::fs::metadata(self.path(&path))?) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Answer<Attrs> {
        Ok(Attrs { id, attrs: attributes(&self.handles.file(&handle)?.metadata()?) })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Answer<Status> {
        apply(&open::to_change(&self.path(&path), attrs.size.is_some())?, &attrs)?;
        Ok(done(id))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Answer<Status> {
        let file = self.handles.file(&handle)?;
        apply(&open::Change::File(file), &attrs)?;
        Ok(done(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Answer<Handle> {
        let path = self.path(&path);
        let entries = std::fs::read_dir(&path)?;
        Ok(Handle { id, handle: self.handles.add(Open::Folder { path, dots: true, entries })? })
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Answer<Name> {
        let files: Vec<Entry> = self
            .handles
            .names(&handle, NAMES)?
            .into_iter()
            .map(|(filename, path)| {
                // What vanished meanwhile is listed without more.
                let attrs =
                    std::fs::symlink_metadata(&path).map_or_else(|_| FileAttributes::empty(), |meta| attributes(&meta));
                Entry { longname: longname(&filename, &attrs), filename, attrs }
            })
            .collect();
        if files.is_empty() { Err(StatusCode::Eof.into()) } else { Ok(Name { id, files }) }
    }

    async fn remove(&mut self, id: u32, path: String) -> Answer<Status> {
        std::fs::remove_file(self.path(&path))?;
        Ok(done(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, attrs: FileAttributes) -> Answer<Status> {
        let mode = attrs.permissions.map_or(0o777, |mode| mode & 0o7777);
        std::fs::DirBuilder::new().mode(mode).create(self.path(&path))?;
        Ok(done(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Answer<Status> {
        std::fs::remove_dir(self.path(&path))?;
        Ok(done(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Answer<Name> {
        let path = if path.is_empty() { "." } else { &path };
        Ok(named(id, self.real(path)?))
    }

    async fn rename(&mut self, id: u32, from: String, to: String) -> Answer<Status> {
        // This protocol's rename never replaces; the extension's does.
        renameat_with(CWD, self.path(&from), CWD, self.path(&to), RenameFlags::NOREPLACE)?;
        Ok(done(id))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Answer<Name> {
        Ok(named(id, shown(&std::fs::read_link(self.path(&path))?)))
    }

    async fn symlink(&mut self, id: u32, target: String, link: String) -> Answer<Status> {
        // In this order: every client follows OpenSSH, which swapped what the protocol says.
        std::os::unix::fs::symlink(target, self.path(&link))?;
        Ok(done(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Answer<Packet> {
        extended::answer(self, id, &request, &data)
    }
}
