//! OpenSSH's extensions, as far as clients are known to want them.

use std::path::PathBuf;

use russh_sftp::protocol::{ExtendedReply, Packet, StatusCode};
use rustix::fs::{StatVfs, fstatvfs, statvfs};

use super::{Answer, MAX_DATA, MAX_PACKET, Sftp, done, named, shown};

pub(super) const OFFERED: [(&str, &str); 7] = [
    ("posix-rename@openssh.com", "1"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

pub(super) fn answer(sftp: &Sftp, id: u32, request: &str, data: &[u8]) -> Answer<Packet> {
    let mut strings = strings(data);
    let mut next = || strings.next().ok_or(StatusCode::BadMessage);
    match request {
        "posix-rename@openssh.com" => std::fs::rename(sftp.path(&next()?), sftp.path(&next()?))?,
        "hardlink@openssh.com" => std::fs::hard_link(sftp.path(&next()?), sftp.path(&next()?))?,
        "fsync@openssh.com" => sftp.handles.file(&next()?)?.sync_all()?,
        "statvfs@openssh.com" => return Ok(numbers(id, &figures(&statvfs(sftp.path(&next()?))?))),
        "fstatvfs@openssh.com" => return Ok(numbers(id, &figures(&fstatvfs(sftp.handles.file(&next()?)?)?))),
        "limits@openssh.com" => {
            return Ok(numbers(id, &[MAX_PACKET.into(), MAX_DATA.into(), MAX_DATA.into(), 0]));
        }
        "expand-path@openssh.com" => return Ok(Packet::Name(named(id, expanded(sftp, &next()?)?))),
        _other => return Err(StatusCode::OpUnsupported.into()),
    }
    Ok(Packet::Status(done(id)))
}

/// `~` and `~/…` are the home; somebody else's home is not looked for.
fn expanded(sftp: &Sftp, path: &str) -> Answer<String> {
    let home = || std::env::var_os("HOME").map_or_else(|| sftp.base.clone(), PathBuf::from);
    let path = match path.strip_prefix('~') {
        Some("") => shown(&home()),
        Some(rest) if rest.starts_with('/') => shown(&home().join(rest.trim_start_matches('/'))),
        Some(_) | None => path.to_owned(),
    };
    sftp.real(&path)
}

fn strings(mut data: &[u8]) -> impl Iterator<Item = String> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        data = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    })
}

fn numbers(id: u32, numbers: &[u64]) -> Packet {
    Packet::ExtendedReply(ExtendedReply { id, data: numbers.iter().flat_map(|number| number.to_be_bytes()).collect() })
}

fn figures(stat: &StatVfs) -> [u64; 11] {
    [
        stat.f_bsize,
        stat.f_frsize,
        stat.f_blocks,
        stat.f_bfree,
        stat.f_bavail,
        stat.f_files,
        stat.f_ffree,
        stat.f_favail,
        stat.f_fsid,
        // Read-only and without set-id, as the extension numbers them.
        stat.f_flag.bits() & 3,
        stat.f_namemax,
    ]
}
