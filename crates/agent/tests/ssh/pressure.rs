//! Who sends more than anybody takes.

use std::fs;
use std::io::{Seek, Write};
use std::process::Stdio;

use crate::roots::Root;
use crate::{HOST, Kept, Lab, until};

/// Bytes that a process holds in memory.
fn resident(pid: u32) -> usize {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Far less than whoever sends at full speed would send meanwhile.
const STILL: usize = 16 * 1024;

/// Until a number has hardly grown for a while.
fn stands_still(what: &str, mut number: impl FnMut() -> usize) {
    let mut seen = Vec::new();
    until(what, || {
        seen.push(number());
        let before = seen.iter().rev().nth(25)?;
        (seen.last()?.saturating_sub(*before) < STILL).then_some(())
    });
}

#[test]
fn a_stuck_destination_costs_a_bounded_amount_and_nobody_else() {
    let lab = Lab::new(Root::debian());
    let control = format!("ControlPath={}", lab.path("control").display());
    let _master = Kept::start(&mut lab.ssh(&["-M", "-N", "-o", &control, HOST]));
    until("the connection", || {
        lab.ssh(&["-O", "check", "-o", &control, HOST]).output().unwrap().status.success().then_some(())
    });
    fs::File::create(lab.path("much")).unwrap().set_len(1 << 30).unwrap();
    let much = fs::File::open(lab.path("much")).unwrap();
    let read = much.try_clone().unwrap();
    let mut stuck = lab.ssh(&["-o", &control, HOST, "echo $$; exec sleep 1000"]);
    let mut stuck = Kept::start(stuck.stdin(much).stdout(Stdio::piped()));
    let pid = stuck.line();
    // Once as much waits as may, the client is let read no further.
    let mut position = &read;
    stands_still("the client to be held up", || position.stream_position().unwrap().try_into().unwrap());
    assert!(read.metadata().unwrap().len() > position.stream_position().unwrap());
    assert!(resident(lab.agent.id()) < 64 << 20, "{} bytes are held", resident(lab.agent.id()));
    // Others on the same connection speak and hear as ever, and so do those on another.
    let others = "head -c 5000000 /dev/zero | wc -c; read word; echo $word";
    for options in [&["-o", &control, HOST, others][..], &[HOST, others]] {
        let mut other = lab.ssh(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        other.stdin.take().unwrap().write_all(b"said\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&other.wait_with_output().unwrap().stdout), "5000000\nsaid\n");
    }
    drop(stuck);
    until("its process to be hung up", || {
        let seen = lab.ssh(&[HOST, &format!("test -e /proc/{pid}")]).status().unwrap();
        (seen.code() == Some(1)).then_some(())
    });
}

#[test]
fn a_client_that_does_not_read_holds_up_its_process_alone() {
    let lab = Lab::new(Root::debian());
    let mut flood = Kept::start(lab.ssh(&[HOST, "exec cat /dev/zero"]).stdout(Stdio::piped()));
    stands_still("the flood to be held up", || resident(lab.agent.id()));
    let held = resident(lab.agent.id());
    assert!(held < 64 << 20, "{held} bytes are held");
    assert_eq!(lab.run("echo others"), "others\n");
    assert!(flood.0.try_wait().unwrap().is_none());
}
