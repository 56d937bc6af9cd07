//! What a tree of files is, in a form that two trees can be compared by.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{lgetxattr, llistxattr};

/// Everything that must survive a copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    content: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Every name of the same inode, when there are several.
    names: Vec<PathBuf>,
}

pub(crate) fn read(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut inodes: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        add(root, &folder, &mut found, &mut inodes);
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let kind = root.join(&path).symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if !kind.is_fifo() && !kind.is_socket() && !kind.is_char_device() && !kind.is_block_device() {
                add(root, &path, &mut found, &mut inodes);
            }
        }
    }
    for names in inodes.into_values().filter(|names| names.len() > 1) {
        for name in &names {
            let mut names = names.clone();
            names.sort();
            found.get_mut(name).unwrap().names = names;
        }
    }
    found
}

fn add(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, Entry>, inodes: &mut BTreeMap<u64, Vec<PathBuf>>) {
    let whole = root.join(path);
    let meta = whole.symlink_metadata().unwrap();
    let content = if meta.is_symlink() {
        fs::read_link(&whole).unwrap().as_os_str().as_bytes().to_vec()
    } else if meta.is_file() {
        fs::read(&whole).unwrap()
    } else {
        Vec::new()
    };
    if !meta.is_dir() {
        inodes.entry(meta.ino()).or_default().push(path.to_owned());
    }
    let entry = Entry {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        xattrs: xattrs(&whole),
        names: Vec::new(),
    };
    found.insert(path.to_owned(), entry);
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65536];
    let length = llistxattr(path, names.as_mut_slice()).unwrap_or_default();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let length = lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(length);
        value
    };
    names.map(|name| (name.to_vec(), value(name))).collect()
}

/// What is in a folder, sorted.
pub(crate) fn list(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}
