//! The copy is the original, as far as a program can tell.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, lchown};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use berth_agent::Seeded;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use crate::{Lab, copied_whole, tree};

/// CAP_NET_RAW, as `setcap` writes it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn owners_modes_times_links_attributes_and_names() {
    let lab = Lab::new();
    let plain = lab.file("data/plain", "plain");
    chown(&plain, Some(1234), Some(4321)).unwrap();
    mode(&plain, 0o640);
    let program = lab.file("data/bin/program", "#!");
    chown(&program, Some(33), Some(44)).unwrap();
    mode(&program, 0o6755);
    setxattr(&program, "user.note", b"kept\0whole", XattrFlags::empty()).unwrap();
    let capable = lab.file("data/bin/capable", "#!");
    setxattr(&capable, "security.capability", &CAPABILITY, XattrFlags::empty()).unwrap();
    fs::hard_link(&plain, lab.image.join("data/bin/other-name")).unwrap();
    fs::create_dir(lab.image.join("data/drop")).unwrap();
    chown(lab.image.join("data/drop"), Some(7), Some(8)).unwrap();
    mode(&lab.image.join("data/drop"), 0o3777);
    setxattr(lab.image.join("data/drop"), "user.folder", b"x", XattrFlags::empty()).unwrap();
    fs::create_dir(lab.image.join("data/closed")).unwrap();
    lab.file("data/closed/inside", "x");
    mode(&lab.image.join("data/closed"), 0o000);
    for (name, to) in
        [("up", "../../outside/secret"), ("absolute", "/etc/passwd"), ("self", "self"), ("gone", "nowhere")]
    {
        lab.link(&format!("data/{name}"), to);
    }
    lchown(lab.image.join("data/gone"), Some(5), Some(6)).unwrap();
    fs::hard_link(lab.image.join("data/gone"), lab.image.join("data/gone-too")).unwrap();
    let odd = PathBuf::from(std::ffi::OsString::from_vec(b"data/odd\n\xff\t -rf".to_vec()));
    fs::write(lab.image.join(odd), "odd").unwrap();
    let old = UNIX_EPOCH + Duration::new(123_456_789, 987_654_321);
    File::open(&plain).unwrap().set_times(FileTimes::new().set_modified(old).set_accessed(old)).unwrap();
    File::open(lab.image.join("data")).unwrap().set_times(FileTimes::new().set_modified(old)).unwrap();
    mode(&lab.image.join("data"), 0o1750);

    assert_eq!(lab.seed("/data"), copied_whole());
    // First, because comparing reads and so changes it.
    let plain = lab.on_disk("/data").join("plain").metadata().unwrap();
    assert_eq!((plain.atime(), plain.atime_nsec(), plain.nlink()), (123_456_789, 987_654_321, 2));
    assert_eq!(tree::read(&lab.on_disk("/data")), tree::read(&lab.image.join("data")));
    assert_eq!(tree::list(&lab.disk.join(".berth")), ["seeded"], "nothing is left beside");
}

#[test]
fn holes_stay_holes() {
    let lab = Lab::new();
    let path = lab.file("data/sparse", "start");
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"middle", 64 << 20).unwrap();
    file.set_len(256 << 20).unwrap();
    File::create(lab.image.join("data/hole")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(lab.seed("/data"), copied_whole());
    let copy = lab.on_disk("/data").join("sparse");
    let (from, to) = (path.metadata().unwrap(), copy.metadata().unwrap());
    assert_eq!((to.len(), to.blocks()), (from.len(), from.blocks()));
    let hole = lab.on_disk("/data").join("hole").metadata().unwrap();
    assert_eq!((hole.len(), hole.blocks()), (1 << 40, 0));
    let mut middle = [0; 8];
    File::open(copy).unwrap().read_exact_at(&mut middle, (64 << 20) - 1).unwrap();
    assert_eq!(&middle, b"\0middle\0");
}

#[test]
fn fifos_sockets_and_devices_are_left_out_and_named() {
    let lab = Lab::new();
    lab.file("data/file", "x");
    for (name, kind) in [("fifo", FileType::Fifo), ("socket", FileType::Socket), ("null", FileType::CharacterDevice)] {
        let device = rustix::fs::makedev(1, 3);
        mknodat(CWD, lab.image.join("data").join(name), kind, Mode::RWXU, device).unwrap();
    }
    let Seeded::Now(notes) = lab.seed("/data") else { panic!("it was copied") };
    assert_eq!(notes.count, 3, "{notes:?}");
    assert_eq!(tree::list(&lab.on_disk("/data")), ["file"]);
}

#[test]
fn what_the_image_lacks_becomes_an_empty_folder() {
    let lab = Lab::new();
    lab.file("file", "x");
    lab.try_seed(&["/root", "/srv/data", "/file", "/file/below"]).unwrap();
    for (path, wanted) in [("/root", 0o700), ("/srv/data", 0o755), ("/file", 0o755), ("/file/below", 0o755)] {
        let meta = lab.on_disk(path).metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.is_dir()), (wanted, true), "{path}");
        assert!(tree::list(&lab.on_disk(path)).is_empty());
    }
}

#[derive(Debug, Clone)]
enum Made {
    File { at: Vec<u8>, size: usize, mode: u32, owner: u32 },
    Folder { at: Vec<u8>, mode: u32, owner: u32 },
    Symlink { at: Vec<u8>, to: String },
    HardLink { at: Vec<u8>, of: Vec<u8> },
}

/// Few names, so that entries meet in one folder, and some that a shell would stumble over.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&[u8]> = vec![b"a", b"b", b"c c", b"d\n", b"\xfe", b"-e", b"...", b"$(f)"];
    prop::collection::vec(prop::sample::select(names), 1..5).prop_map(|names| names.join(&b'/'))
}

fn made() -> impl Strategy<Value = Made> {
    let owner = prop::sample::select(vec![0_u32, 1, 1000, 65534]);
    let modes = 0..0o10000_u32;
    prop_oneof![
        (path(), 0..9000_usize, modes.clone(), owner.clone()).prop_map(|(at, size, mode, owner)| Made::File {
            at,
            size,
            mode,
            owner
        }),
        (path(), modes, owner).prop_map(|(at, mode, owner)| Made::Folder { at, mode, owner }),
        (path(), prop_oneof!["/proc/self/root", "\\.\\./\\.\\./\\.\\./outside/secret", "a", "[a-c/.]{1,9}"])
            .prop_map(|(at, to)| Made::Symlink { at, to }),
        (path(), path()).prop_map(|(at, of)| Made::HardLink { at, of }),
    ]
}

/// Whether an earlier entry left no room for one does not matter here: the tree that comes out is compared as it is.
fn make(root: &std::path::Path, made: &Made) -> std::io::Result<()> {
    let whole = |at: &Vec<u8>| root.join(PathBuf::from(std::ffi::OsString::from_vec(at.clone())));
    let above = |at: &Vec<u8>| fs::create_dir_all(whole(at).parent().unwrap());
    match made {
        Made::File { at, size, mode, owner } => {
            above(at)?;
            // Through a link that an earlier entry made, a file would be written outside.
            if whole(at).symlink_metadata().is_ok() {
                return Ok(());
            }
            fs::write(whole(at), vec![b'x'; *size])?;
            chown(whole(at), Some(*owner), Some(*owner))?;
            fs::set_permissions(whole(at), Permissions::from_mode(*mode))
        }
        Made::Folder { at, mode, owner } => {
            above(at)?;
            fs::create_dir(whole(at))?;
            chown(whole(at), Some(*owner), Some(*owner))?;
            fs::set_permissions(whole(at), Permissions::from_mode(*mode))
        }
        Made::Symlink { at, to } => above(at).and_then(|()| std::os::unix::fs::symlink(to, whole(at))),
        Made::HardLink { at, of } => above(at).and_then(|()| fs::hard_link(whole(of), whole(at))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_copied_as_it_is(entries in prop::collection::vec(made(), 0..40)) {
        let lab = Lab::new();
        let root = lab.image.join("data");
        fs::create_dir(&root).unwrap();
        for entry in &entries {
            let _no_room = make(&root, entry);
        }
        prop_assert_eq!(lab.seed("/data"), copied_whole());
        prop_assert_eq!(tree::read(&lab.on_disk("/data")), tree::read(&root));
        lab.outside_is_untouched();
    }
}
