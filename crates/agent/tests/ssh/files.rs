//! Files: sftp, both of scp's protocols, rsync and git.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::roots::Root;
use crate::{HOST, Lab, text};

/// A tree with what is easily lost.
fn tree(lab: &Lab) -> std::path::PathBuf {
    let tree = lab.path("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(tree.join("large"), bytes).unwrap();
    fs::write(tree.join("a/b/ein Name mit ümläut"), "x").unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    fs::set_permissions(tree.join("empty"), fs::Permissions::from_mode(0o751)).unwrap();
    tree
}

fn same(lab: &Lab, inside: &str) {
    let there = lab.root.path(inside);
    let differs = Command::new("diff").arg("-r").arg(lab.path("tree")).arg(&there).output().unwrap();
    assert!(differs.status.success(), "{}", text(&differs));
    assert_eq!(fs::metadata(there.join("empty")).unwrap().mode() & 0o777, 0o751);
}

#[test]
fn scp_copies_there_and_back_in_both_protocols() {
    let lab = Lab::new(Root::debian());
    let tree = tree(&lab);
    for (number, protocol) in ["-s", "-O"].into_iter().enumerate() {
        let there = format!("there-{number}");
        let copied = lab.client("scp").args([protocol, "-r", "-p"]).arg(&tree).arg(format!("{HOST}:{there}")).output();
        let copied = copied.unwrap();
        assert!(copied.status.success(), "{protocol}: {}", text(&copied));
        same(&lab, &there);
        let back = lab.path(&format!("back-{number}"));
        let from = format!("{HOST}:/root/{there}");
        let copied = lab.client("scp").args([protocol, "-r", "-p"]).arg(from).arg(&back).output().unwrap();
        assert!(copied.status.success(), "{protocol}: {}", text(&copied));
        assert!(Command::new("diff").arg("-r").arg(&tree).arg(&back).status().unwrap().success());
    }
}

fn batch(lab: &Lab, lines: &str) -> String {
    fs::write(lab.path("batch"), lines).unwrap();
    let mut command = lab.client("sftp");
    let output = command.arg("-b").arg(lab.path("batch")).arg(HOST).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sftp_does_what_its_clients_know() {
    let lab = Lab::new(Root::debian());
    let tree = tree(&lab);
    let large = tree.join("large");
    let said = batch(
        &lab,
        &format!(
            "pwd\nmkdir d\ncd d\nput {}\nchmod 640 large\nln large other\nln -s large link\nrename other moved\n\
             put {}/empty\nrename large replaced\nrename moved replaced\nls -la\ndf\nrm link\nget replaced {}\nmkdir e\nrmdir e\n",
            large.display(),
            tree.display(),
            lab.path("fetched").display()
        ),
    );
    assert!(said.contains("Remote working directory: /root"), "{said}");
    assert!(said.contains("-rw-r-----") && said.contains("lrwxrwxrwx"), "{said}");
    assert!(said.contains("%"), "the disk's size: {said}");
    assert_eq!(fs::read(lab.path("fetched")).unwrap(), fs::read(&large).unwrap());
    assert_eq!(fs::metadata(lab.root.path("d/replaced")).unwrap().mode() & 0o777, 0o640);

    let many = lab.root.path("many");
    fs::create_dir(&many).unwrap();
    for number in 0..1000 {
        fs::write(many.join(number.to_string()), "").unwrap();
    }
    assert_eq!(batch(&lab, "ls -1 many\n").lines().filter(|line| line.starts_with("many/")).count(), 1000);
    // A home is the home, for the clients that ask.
    let home = lab.client("scp").arg(lab.path("user.pub")).arg(format!("{HOST}:~/many/copied")).output().unwrap();
    assert!(home.status.success() && many.join("copied").exists(), "{}", text(&home));
    // What cannot be done is told as what it is.
    fs::write(lab.path("batch"), "get /nowhere\n").unwrap();
    let failed = lab.client("sftp").arg("-b").arg(lab.path("batch")).arg(HOST).output().unwrap();
    assert!(!failed.status.success() && text(&failed).contains("not found"), "{}", text(&failed));
    fs::write(lab.path("batch"), "put user /proc/version\n").unwrap();
    assert!(!lab.client("sftp").arg("-b").arg(lab.path("batch")).arg(HOST).status().unwrap().success());
}

/// `ssh` and its options as one shell word, for programs that start it themselves.
fn ssh_words(lab: &Lab) -> String {
    let command = lab.ssh(&[]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
}

#[test]
fn rsync_copies_and_sees_what_is_there() {
    let lab = Lab::new(Root::debian());
    let tree = tree(&lab);
    let rsync = || {
        let mut command = Command::new("rsync");
        command.args(["-a", "--stats", "-e", &ssh_words(&lab)]).arg(format!("{}/", tree.display()));
        let output = command.arg(format!("{HOST}:synced/")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    rsync();
    same(&lab, "synced");
    assert!(rsync().contains("Number of regular files transferred: 0"));
}

#[test]
fn git_clones_and_pushes() {
    let lab = Lab::new(Root::debian());
    let git = |folder: &std::path::Path, words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.version=2"]).args(words);
        let output = command.current_dir(folder).env("GIT_SSH_COMMAND", ssh_words(&lab)).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output));
    };
    lab.run("git init -q --bare -b main repository.git");
    let clone = lab.path("clone");
    git(lab.folder.path(), &["clone", "-q", &format!("ssh://{HOST}/root/repository.git"), "clone"]);
    fs::write(clone.join("file"), "content").unwrap();
    git(&clone, &["checkout", "-q", "-b", "main"]);
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "-q", "-m", "one"]);
    git(&clone, &["push", "-q", "origin", "main"]);
    assert_eq!(lab.run("git -C repository.git show main:file"), "content");
}
