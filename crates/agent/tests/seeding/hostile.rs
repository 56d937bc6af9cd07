//! Images and disks that mean harm gain nothing: the image is read nowhere but inside, the disk written nowhere but inside.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use berth_agent::{Failure, Seeded};
use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

use crate::{Lab, copied_whole, tree};

#[test]
fn links_on_the_way_end_inside_the_image() {
    let lab = Lab::new();
    let outside = lab.outside.clone();
    let up = format!("../../../../../../../..{}", outside.display());
    lab.link("absolute", &outside);
    lab.link("up", &up);
    lab.link("middle/way", outside.parent().unwrap());
    lab.link("proc", "/proc/self/root");
    lab.link("fd", "/proc/self/cwd");
    lab.link("loop", "loop");
    let paths = [
        "/absolute",
        "/up",
        "/middle/way/outside",
        "/proc",
        "/fd",
        "/loop",
        "/loop/x",
        "/../outside",
        "/a/../../outside",
    ];
    for (path, seeded) in paths.iter().zip(lab.try_seed(&paths).unwrap()) {
        assert_eq!(seeded, copied_whole(), "{path}");
        assert!(tree::list(&lab.on_disk(path)).is_empty(), "{path}");
    }
    // A link whose end is inside is the image's own business and followed, as the container itself would.
    lab.file("srv/real/file", "x");
    lab.link("data", "/srv/../../../srv/real");
    assert_eq!(lab.seed("/data"), copied_whole());
    assert_eq!(tree::list(&lab.on_disk("/data")), ["file"]);
    lab.outside_is_untouched();
}

#[test]
fn links_in_the_tree_stay_links() {
    let lab = Lab::new();
    lab.file("data/file", "x");
    for (name, to) in
        [("folder", lab.outside.as_path()), ("up", Path::new("../../outside")), ("proc", Path::new("/proc"))]
    {
        lab.link(&format!("data/{name}"), to);
    }
    assert_eq!(lab.seed("/data"), copied_whole());
    assert_eq!(tree::read(&lab.on_disk("/data")), tree::read(&lab.image.join("data")));
    lab.nothing_leaked("/data");
}

#[test]
fn links_on_the_disk_lead_nowhere() {
    for planted in [".berth", ".berth/new", ".berth/seeded"] {
        let lab = Lab::new();
        lab.file("data/file", "x");
        if let Some(parent) = lab.disk.join(planted).parent() {
            fs::create_dir_all(parent).unwrap();
        }
        symlink(&lab.outside, lab.disk.join(planted)).unwrap();
        assert_eq!(lab.seed("/data"), copied_whole(), "{planted}");
        assert_eq!(tree::list(&lab.on_disk("/data")), ["file"]);
        lab.outside_is_untouched();
    }
    let lab = Lab::new();
    lab.file("data/file", "x");
    symlink(&lab.outside, lab.on_disk("/data")).unwrap();
    assert!(matches!(lab.try_seed(&["/data"]), Err(Failure::NotAFolder { .. })));
    lab.outside_is_untouched();
    // A tree that an earlier run left is removed, and what its links lead to is not.
    let lab = Lab::new();
    fs::create_dir_all(lab.disk.join(".berth/new/x")).unwrap();
    symlink(&lab.outside, lab.disk.join(".berth/new/x/folder")).unwrap();
    symlink(lab.outside.join("secret"), lab.disk.join(".berth/new/x/file")).unwrap();
    lab.seed("/data");
    lab.outside_is_untouched();
}

#[test]
fn other_file_systems_in_the_image_are_left_out() {
    let lab = Lab::new();
    lab.file("data/file", "x");
    fs::create_dir(lab.image.join("data/mounted")).unwrap();
    let mounted = Mounted::bind(&lab.outside, &lab.image.join("data/mounted"));
    let Seeded::Now(notes) = lab.seed("/data") else { panic!("it was copied") };
    assert_eq!(notes.count, 1, "{notes:?}");
    assert_eq!(lab.seed("/data/mounted"), copied_whole());
    drop(mounted);
    assert_eq!(tree::list(&lab.on_disk("/data")), ["file"]);
    assert!(tree::list(&lab.on_disk("/data/mounted")).is_empty());
}

#[test]
fn a_full_disk_says_so_and_is_left_clean() {
    let lab = Lab::new();
    lab.file("data/small", "x");
    lab.file("data/large", &"x".repeat(4 << 20));
    let _mounted = Mounted::tmpfs(&lab.disk, "1m");
    let failure = lab.try_seed(&["/data"]).unwrap_err();
    assert_eq!(failure.to_string(), "the image's files at /data need more room than the disk has");
    assert_eq!(tree::list(&lab.disk.join(".berth")), ["seeded"]);
    assert!(!lab.on_disk("/data").exists());
    fs::remove_file(lab.image.join("data/large")).unwrap();
    assert_eq!(lab.seed("/data"), copied_whole());
}

#[test]
fn wide_and_deep_trees_need_few_descriptors() {
    let lab = Lab::new();
    let wide = lab.image.join("data/wide");
    fs::create_dir_all(&wide).unwrap();
    for number in 0..20_000 {
        fs::write(wide.join(format!("file{number}")), "").unwrap();
    }
    for number in 0..2_000 {
        fs::create_dir(wide.join(format!("folder{number}"))).unwrap();
    }
    // Deeper than any path that the kernel takes.
    deep(&wide, 3000);
    let run = "ulimit -n 100; ulimit -v 65536; exec \"$@\"";
    let seed = [env!("CARGO_BIN_EXE_berth-agent"), "seed", "--words", "/dev/null", "--image"];
    let mut command = Command::new("bash");
    command.args(["-c", run, "-"]).args(seed).arg(&lab.image).arg("--disk").arg(&lab.disk).args(["--", "/data"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = "cd \"$1\" && find . -ignore_readdir_race | wc -l";
    let count = |folder: &Path| Command::new("bash").args(["-c", count, "-"]).arg(folder).output().unwrap().stdout;
    assert_eq!(count(&lab.on_disk("/data")), count(&lab.image.join("data")));
    // What could not be removed by hand is removed by the same walk.
    fs::rename(lab.on_disk("/data"), lab.disk.join(".berth/new")).unwrap();
    fs::remove_dir_all(lab.disk.join(".berth/seeded")).unwrap();
    assert!(Command::new("rm").arg("-rf").arg(lab.image.join("data")).status().unwrap().success());
    assert!(command.output().unwrap().status.success());
    assert_eq!(tree::list(&lab.disk.join(".berth")), ["seeded"]);
    assert_eq!(lab.on_disk("/data").metadata().unwrap().nlink(), 2);
}

/// Folders in each other, and a file in the last.
fn deep(top: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = open(top, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&here, "dd", Mode::RWXU).unwrap();
        here = openat(&here, "dd", flags, Mode::empty()).unwrap();
    }
    openat(here, "deepest", OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
}

struct Mounted(std::path::PathBuf);

impl Mounted {
    fn bind(from: &Path, to: &Path) -> Self {
        Self::run(Command::new("mount").arg("--bind").arg(from), to)
    }

    fn tmpfs(to: &Path, size: &str) -> Self {
        Self::run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]), to)
    }

    fn run(command: &mut Command, to: &Path) -> Self {
        assert!(command.arg(to).status().unwrap().success(), "mount works for root");
        Self(to.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(done.is_ok_and(|done| done.success()) || std::thread::panicking());
    }
}
