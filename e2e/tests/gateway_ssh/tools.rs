//! OpenSSH's programs over one way.

use std::path::Path;
use std::process::Stdio;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::{err, out};

pub(super) async fn commands(client: &Client, way: &str) {
    let output = client.output("ssh", &[way, "echo out; echo err >&2; exit 42"]).await;
    assert_eq!((out(&output).as_str(), output.status.code()), ("out", Some(42)), "{way}: {output:?}");
    assert!(err(&output).contains("err"), "{way}: {output:?}");
    let mut cat =
        client.command("ssh").args([way, "cat; hostname"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut input = cat.as_mut().unwrap().stdin.take().unwrap();
    input.write_all(b"over and out\n").await.unwrap();
    drop(input);
    let output = cat.unwrap().wait_with_output().await.unwrap();
    assert_eq!(out(&output), "over and out\nmachine-0", "{way}");
    // A process that a signal ended.
    let output = client.output("ssh", &[way, "kill -TERM $$"]).await;
    assert_eq!(output.status.code(), Some(255), "{way}: {output:?}");
    let output = client.output("ssh", &["-o", "SetEnv=GREETING=hello", way, "echo $GREETING $SSH_CONNECTION"]).await;
    assert!(out(&output).starts_with("hello 127."), "{way}: {output:?}");
    let output = client.output("ssh", &["-s", way, "nosuch"]).await;
    assert!(err(&output).contains("subsystem request failed"), "{way}: {output:?}");
    let output = client.output("ssh", &["-X", "-o", "ForwardX11Trusted=no", way, "echo $DISPLAY."]).await;
    assert_eq!(out(&output), ".", "{way}: {output:?}");
}

pub(super) async fn terminal(client: &Client, way: &str) {
    let config = client.path("config").display().to_string();
    let line = format!("stty rows 41 cols 97; ssh -F {config} -tt {way} 'stty size; tty; exit 3'");
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().await.unwrap();
    let text = out(&output);
    assert!(text.contains("41 97") && text.contains("/dev/pts/"), "{way}: {output:?}");
    assert_eq!(output.status.code(), Some(3), "{way}: {output:?}");
}

pub(super) async fn files(client: &Client, way: &str) {
    let big: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).take(3_000_000).collect();
    let (file, back) = (client.path("file"), client.path("back"));
    std::fs::write(&file, &big).unwrap();
    let check = |what: &str| {
        assert!(std::fs::read(&back).unwrap() == big, "{way}: {what} brings something else back");
        std::fs::remove_file(&back).unwrap();
    };
    let (from, to) = (file.display().to_string(), back.display().to_string());
    for words in [["scp", "-q", &from, &format!("{way}:copied")], ["scp", "-q", &format!("{way}:copied"), &to]] {
        let output = client.output(words[0], &words[1..]).await;
        assert!(output.status.success(), "{way}: {output:?}");
    }
    check("scp");

    let batch = client.path("batch");
    std::fs::write(&batch, format!("put {from} put\nrename put moved\nget moved {to}\nrm moved\n")).unwrap();
    let output = client.output("sftp", &["-q", "-b", &batch.display().to_string(), way]).await;
    assert!(output.status.success(), "{way}: {output:?}");
    check("sftp");

    let shell = format!("ssh -F {}", client.path("config").display());
    let there = format!("{way}:synced");
    for (from, to) in [(&from, &there), (&there, &to)] {
        let mut rsync = Command::new("rsync");
        let output = rsync.args(["-e", &shell, "--rsync-path", RSYNC, from, to]).output().await.unwrap();
        assert!(output.status.success(), "{way}: {output:?}");
    }
    check("rsync");
}

/// A folder there and back by scp's own protocol, which old clients speak alone, and by that of sftp: names, modes and times stay.
pub(super) async fn folders(client: &Client, way: &str) {
    let tree = client.path("tree");
    if !tree.exists() {
        let make = "mkdir -m 750 -p deep/empty && head -c 300000 /dev/urandom > deep/data && echo words > 'two words' && \
                    chmod 640 deep/data && touch -d '2001-02-03 04:05:06 UTC' deep/data 'two words' && chmod 751 deep/empty";
        std::fs::create_dir(&tree).unwrap();
        list(&tree, make).await;
    }
    const LIST: &str = "find . -type f -exec sha256sum {} + -exec stat -c '%n %a %Y' {} + -o -mindepth 1 -exec stat -c '%n %a' {} + | sort";
    let expected = list(&tree, LIST).await;
    for protocol in ["-O", "-s"] {
        let back = client.path("tree-back");
        let (from, there, to) = (tree.display().to_string(), format!("{way}:tree"), back.display().to_string());
        for (from, to) in [(&from, &there), (&there, &to)] {
            let output = client.output("scp", &["-q", protocol, "-p", "-r", from, to]).await;
            assert!(output.status.success(), "{way}: scp {protocol} {from} {to}: {output:?}");
        }
        assert_eq!(list(&back, LIST).await, expected, "{way}: scp {protocol}");
        let output = client.output("ssh", &[way, &format!("cd tree && {LIST} && rm -r ../tree")]).await;
        assert_eq!(out(&output), expected, "{way}: scp {protocol}: {output:?}");
        std::fs::remove_dir_all(&back).unwrap();
    }
}

/// What a line of shell prints in a folder of this machine.
async fn list(folder: &Path, line: &str) -> String {
    let output =
        Command::new("bash").args(["-ec", line]).env("LC_ALL", "C").current_dir(folder).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    out(&output)
}

/// Of this machine, with everything that it is linked to.
const RSYNC: &str = "/root/rsync/ld --library-path /root/rsync /root/rsync/rsync";

pub(super) async fn bring_rsync(client: &Client) {
    let linked = Command::new("ldd").arg("/usr/bin/rsync").output().await.unwrap();
    let folder = client.path("rsync");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy("/usr/bin/rsync", folder.join("rsync")).unwrap();
    for library in out(&linked).split_whitespace().filter(|word| word.starts_with('/')) {
        let name = library.rsplit('/').next().unwrap();
        let name = if name.starts_with("ld-linux") { "ld" } else { name };
        std::fs::copy(library, folder.join(name)).unwrap();
    }
    let output = client.output("scp", &["-qr", &folder.display().to_string(), "by-user:"]).await;
    assert!(output.status.success(), "{output:?}");
}

/// Many sessions over one connection, and some that nobody reads among them.
pub(super) async fn multiplexing(client: &Client, berthd: &Berthd, way: &str) {
    let control = client.path("control").display().to_string();
    let master = client.output("ssh", &["-fNM", "-S", &control, way]).await;
    assert!(master.status.success(), "{master:?}");
    let before = berthd.memory();
    let session = |command: &str| {
        let mut ssh = client.command("ssh");
        ssh.args(["-S", &control, way, command]);
        ssh
    };
    let stuck = || session("cat /dev/zero").stdout(Stdio::piped()).spawn().unwrap();
    let stuck: Vec<_> = (0..STUCK).map(|_| stuck()).collect();
    let sessions = (0..20).map(|number| {
        let mut ssh = session(&format!("echo {number}; exit {number}"));
        async move { (number, ssh.output().await.unwrap()) }
    });
    for (number, output) in futures::future::join_all(sessions).await {
        assert_eq!((out(&output), output.status.code()), (number.to_string(), Some(number)), "{output:?}");
    }
    let more = berthd.memory().saturating_sub(before);
    eprintln!("{STUCK} sessions that nobody reads take {more} KiB");
    assert!(more < STUCK * 8 * 1024, "{STUCK} sessions that nobody reads take {more} KiB");
    drop(stuck);
    let closed = client.output("ssh", &["-S", &control, "-O", "exit", way]).await;
    assert!(closed.status.success(), "{closed:?}");
}

const STUCK: u64 = 8;

/// So many MiB in each direction, with new keys at each eighth of them.
pub(super) async fn much_data(client: &Client, way: &str, down: u64, up: u64) {
    let config = client.path("config").display().to_string();
    let run = async |mib: u64, line: &dyn Fn(&str, u64) -> String| {
        let ssh = format!("ssh -F {config} -v -o RekeyLimit={}M {way}", mib / 8);
        let (line, begun) = (line(&ssh, mib << 20), Instant::now());
        let output = Command::new("bash").args(["-c", &line]).stdin(Stdio::null()).output().await.unwrap();
        eprintln!("{way}: {line}: {:.1} s", begun.elapsed().as_secs_f64());
        assert_eq!(out(&output), (mib << 20).to_string(), "{way}: {}", err(&output));
        let keys = err(&output).matches("SSH2_MSG_NEWKEYS received").count();
        assert!(keys >= 8, "{way}: keys were agreed on {keys} times\n{}", err(&output));
    };
    run(down, &|ssh, bytes| format!("{ssh} 'head -c {bytes} /dev/zero' | wc -c")).await;
    run(up, &|ssh, bytes| format!("head -c {bytes} /dev/zero | {ssh} 'wc -c'")).await;
}
