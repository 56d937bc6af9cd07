//! New keys in the midst of much data: what was under way arrives, and nothing of it is lost.

use std::process::{Command, Stdio};

use crate::roots::Root;
use crate::{HOST, Kept, Lab, until};

/// More than the server lets pass before it asks for new keys.
const MEGABYTES: usize = 576;

/// Debian 12's sends on while keys change.
#[test]
fn asyncssh_sends_more_than_one_set_of_keys_is_for() {
    let lab = Lab::new(Root::debian());
    let host_key = std::fs::read_to_string(lab.path("keys/host_key.pub")).unwrap();
    let file = lab.path("much");
    std::fs::File::create(&file).unwrap().set_len((MEGABYTES as u64) << 20).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-W", "ignore", "-c", include_str!("rekeys.py")]).arg(lab.gateway.port().to_string());
    command.arg(lab.path("user")).arg(host_key.trim()).arg(file).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", crate::text(&output));
    eprint!("{}", crate::text(&output));
}

/// Several at once on one connection have more under way than the library takes of one.
#[test]
fn openssh_sends_it_on_several_channels_at_once() {
    let lab = Lab::new(Root::debian());
    let control = format!("ControlPath={}", lab.path("control").display());
    let _master = Kept::start(&mut lab.ssh(&["-M", "-N", "-o", &control, HOST]));
    until("the connection", || {
        lab.ssh(&["-O", "check", "-o", &control, HOST]).output().unwrap().status.success().then_some(())
    });
    let file = lab.path("much");
    std::fs::File::create(&file).unwrap().set_len(((MEGABYTES / 4) as u64) << 20).unwrap();
    let channels: Vec<_> = (0..4)
        .map(|_| {
            let mut channel = lab.ssh(&["-o", &control, HOST, "wc -c"]);
            channel.stdin(std::fs::File::open(&file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        })
        .collect();
    for channel in channels {
        let output = channel.unwrap().wait_with_output().unwrap();
        assert_eq!(crate::text(&output), format!("{}\n", (MEGABYTES / 4) << 20));
    }
}
