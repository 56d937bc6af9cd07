//! Commands: their bytes, their ends, what they see.

use std::io::Write;
use std::process::Stdio;

use crate::roots::Root;
use crate::{HOST, Kept, Lab, is_alive, text, until};

#[test]
fn a_command_ends_as_it_ends() {
    let lab = Lab::new(Root::debian());
    for code in [0, 1, 42, 255] {
        let status = lab.ssh(&[HOST, &format!("exit {code}")]).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
    let killed = lab.ssh(&["-v", HOST, "kill -TERM $$"]).output().unwrap();
    assert_eq!(killed.status.code(), Some(255));
    assert!(text(&killed).contains("rtype exit-signal"), "{}", text(&killed));
    assert_eq!(lab.ssh(&[HOST, "/no/such/program"]).status().unwrap().code(), Some(127));
    let output = lab.ssh(&[HOST, "echo out; echo err >&2; exit 3"]).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn every_byte_passes_both_ways() {
    let lab = Lab::new(Root::debian());
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut child = lab.ssh(&[HOST, "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, sent) = (child.stdin.take().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || input.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == bytes, "{} of {} bytes came back", output.stdout.len(), bytes.len());
}

#[test]
fn the_environment_is_the_containers_and_what_the_client_adds() {
    let lab = Lab::new(Root::debian());
    let output = lab.ssh(&["-o", "SetEnv=LANG=de_DE.UTF-8 BERTH_TEST=a_b", HOST, "env; pwd"]).output().unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    for line in [
        "FROM_IMAGE=yes",
        "LANG=de_DE.UTF-8",
        "BERTH_TEST=a_b",
        "USER=root",
        "LOGNAME=root",
        "HOME=/root",
        "SSH_CLIENT=203.0.113.7 4711 22",
        "SSH_CONNECTION=203.0.113.7 4711 127.0.0.1 22",
        "/root",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is not in\n{seen}");
    }
    assert!(!seen.contains("SSH_TTY") && !seen.contains("SSH_AUTH_SOCK"), "{seen}");
}

#[test]
fn a_session_is_in_mains_namespaces() {
    let lab = Lab::new(Root::debian());
    let main = lab.run("cat /proc/1/comm; readlink /proc/1/ns/{mnt,pid,net,user} /proc/self/ns/{mnt,pid,net,user}");
    let lines: Vec<&str> = main.lines().collect();
    assert_eq!(lines[0], "berth-agent", "process 1 is what was started as main");
    assert_eq!(lines[1..5], lines[5..9]);
    let ours = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    assert_ne!(lines[1], ours.to_str().unwrap(), "and its mounts are not the agent's");
    assert_eq!(lab.run("cat /proc/self/cgroup"), lab.run("cat /proc/1/cgroup"));
}

#[test]
fn who_loses_its_parent_is_taken_in_and_leaves_no_zombie() {
    let lab = Lab::new(Root::debian());
    assert_eq!(lab.run("setsid sh -c 'sleep 0.1 & echo $!' > /root/orphan; wait"), "");
    until("no zombie to be left", || {
        let states = lab.run("ps -eo stat,ppid,comm");
        (!states.lines().any(|line| line.starts_with('Z'))).then_some(())
    });
}

#[test]
fn what_still_runs_is_hung_up_when_the_client_leaves() {
    let lab = Lab::new(Root::debian());
    let mut client = Kept::start(lab.ssh(&[HOST, "echo $$; exec sleep 1000"]).stdout(Stdio::piped()));
    let pid = client.line();
    assert_eq!(lab.run(&format!("cat /proc/{pid}/comm")), "sleep\n");
    drop(client);
    until("the process to be hung up", || {
        let seen = lab.ssh(&[HOST, &format!("test -e /proc/{pid}")]).status().unwrap();
        (seen.code() == Some(1)).then_some(())
    });
    // What has put itself into a session of its own goes on, as with any SSH server.
    let daemon = lab.run("setsid sleep 1000 > /dev/null 2>&1 < /dev/null & echo $!");
    assert_eq!(lab.run(&format!("cat /proc/{}/comm", daemon.trim())), "sleep\n");
    lab.run(&format!("kill {}", daemon.trim()));
    assert!(is_alive("self"));
}

#[test]
fn sessions_share_one_connection() {
    let lab = Lab::new(Root::debian());
    let control = lab.path("control");
    let control = format!("ControlPath={}", control.display());
    let master = Kept::start(&mut lab.ssh(&["-M", "-N", "-o", &control, HOST]));
    until("the first client to be connected", || {
        lab.ssh(&["-O", "check", "-o", &control, HOST]).output().unwrap().status.success().then_some(())
    });
    // From now on no new connection would be let in.
    lab.gateway.forge(|_| Vec::new());
    let mut clients: Vec<_> = (0..12)
        .map(|number| {
            let command = format!("head -c 300000 /dev/zero | wc -c; echo {number}");
            lab.ssh(&["-o", &control, HOST, &command]).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for (number, client) in clients.drain(..).enumerate() {
        let output = client.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("300000\n{number}\n"));
    }
    drop(master);
}

#[test]
fn a_bootstrap_over_standard_input_leaves_a_server_running() {
    // What VS Code does: a shell without a terminal that reads its script, starts a server and tells where it listens.
    let lab = Lab::new(Root::debian());
    let proxy = crate::forwards::free_port().to_string();
    let mut client = lab.ssh(&["-T", "-D", &proxy, HOST, "bash"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let script = "set -e\nuname -s\nmkdir -p ~/.server\n\
        nohup sleep 1000 > ~/.server/log 2>&1 < /dev/null &\necho $! > ~/.server/pid\necho \"listeningOn==4000==\"\nexit 0\n";
    client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Linux\nlisteningOn==4000==\n");
    assert!(output.status.success());
    assert_eq!(lab.run("cat /proc/$(cat ~/.server/pid)/comm; kill $(cat ~/.server/pid)"), "sleep\n");
}
