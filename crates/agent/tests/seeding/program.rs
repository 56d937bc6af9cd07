//! The program itself: kills while it copies, its words for the container's status, the sidecar.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_core::disk::DiskUse;

use crate::{Lab, tree};

const PROGRAM: &str = env!("CARGO_BIN_EXE_berth-agent");

fn seed(lab: &Lab, path: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["seed", "--image"]).arg(&lab.image).arg("--disk").arg(&lab.disk);
    command.arg("--words").arg(lab.outside.join("words")).arg("--").arg(path);
    command.stderr(Stdio::null());
    command
}

#[test]
fn killed_at_any_moment_it_ends_with_a_whole_copy_or_none() {
    let lab = Lab::new();
    for number in 0..1500 {
        lab.file(&format!("data/{}/{number}", number % 10), &"x".repeat(3000));
    }
    let wanted = tree::read(&lab.image.join("data"));
    let (mut kills, mut patience) = (0, Duration::from_millis(1));
    loop {
        let mut child = seed(&lab, "/data").spawn().unwrap();
        let start = Instant::now();
        while start.elapsed() < patience && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let place = lab.on_disk("/data");
        assert!(!place.exists() || tree::read(&place) == wanted, "half a copy is in place after {kills} kills");
        if ended.is_some_and(|ended| ended.success()) {
            break;
        }
        kills += 1;
        patience += patience / 4 + Duration::from_millis(1);
    }
    assert!(kills > 2, "it was killed {kills} times");
    assert_eq!(tree::read(&lab.on_disk("/data")), wanted);
    assert_eq!(tree::list(&lab.disk.join(".berth")), ["seeded"]);
}

#[test]
fn a_failure_is_told_in_words() {
    let lab = Lab::new();
    fs::write(lab.on_disk("/data"), "no folder").unwrap();
    assert_eq!(seed(&lab, "/data").status().unwrap().code(), Some(1));
    let words = fs::read_to_string(lab.outside.join("words")).unwrap();
    assert_eq!(words, "the disk holds something else than a folder where the files of /data belong");
}

#[test]
fn a_path_that_looks_like_an_option_is_a_path() {
    let lab = Lab::new();
    assert!(seed(&lab, "--image").status().unwrap().success());
    assert!(lab.on_disk("--image").is_dir());
}

#[test]
fn the_sidecar_says_how_full_the_disk_is_and_ends_when_asked() {
    let lab = Lab::new();
    let mut child =
        Command::new(PROGRAM).args(["serve", "--disk"]).arg(&lab.disk).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: DiskUse = serde_json::from_str(&line).unwrap();
    assert!(said.disk_used_bytes > 0 && said.disk_total_bytes > said.disk_used_bytes, "{line}");
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_installed_copy_runs() {
    let lab = Lab::new();
    assert!(Command::new(PROGRAM).arg("install").arg(&lab.disk).status().unwrap().success());
    assert_eq!(tree::list(&lab.disk), ["berth-agent"]);
    let usage = Command::new(lab.disk.join("berth-agent")).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
