//! Main comes and goes.

use std::process::{Command, Stdio};

use crate::roots::Root;
use crate::{HOST, Kept, Lab, program, text, until};

#[test]
fn a_session_ends_with_main_and_the_next_main_has_new_ones() {
    let mut lab = Lab::new(Root::debian());
    let mut client = lab.ssh(&[HOST, "echo started; exec sleep 1000"]);
    let mut client = Kept::start(client.stdout(Stdio::piped()).stderr(Stdio::piped()));
    assert_eq!(client.line(), "started");
    let mut spawn = lab.spawn.take().unwrap();
    spawn.kill().unwrap();
    spawn.wait().unwrap();
    let ended = until("the session to end", || client.0.try_wait().unwrap());
    assert!(!ended.success());
    lab.start_spawn();
    until("the next one to answer", || {
        let output = lab.ssh(&[HOST, "echo again"]).output().unwrap();
        (output.stdout == b"again\n").then_some(())
    });
}

#[test]
fn spawn_goes_into_the_background_once_it_listens() {
    let folder = tempfile::tempdir().unwrap();
    // In a process namespace, so that nothing is left behind.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    let script = "\"$1\" spawn --link \"$2\" && test -S \"$2/spawn\" && pid=$(pgrep -x berth-agent) && ls -l /proc/$pid/fd \
                  && ps -o sid=,pid= -p $pid && \"$1\" spawn --link /nowhere";
    let output = command.arg(script).arg("sh").arg(program()).arg(folder.path()).output().unwrap();
    let said = text(&output);
    for stream in [" 0 -> /dev/null", " 1 -> /dev/null", " 2 -> /dev/null"] {
        assert!(said.contains(stream), "{said}");
    }
    let ids: Vec<&str> = said.lines().rev().nth(1).unwrap_or_default().split_whitespace().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "a session of its own: {said}");
    assert!(said.ends_with("/nowhere: No such file or directory (os error 2)\n"), "{said}");
    assert!(output.status.success(), "a hook that fails would end main");
}
