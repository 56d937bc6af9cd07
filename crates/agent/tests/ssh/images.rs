//! Images that hold little, or nothing.

use crate::roots::Root;
use crate::terminals::Person;
use crate::{HOST, Lab, text};

#[test]
fn busybox_is_enough() {
    let lab = Lab::new(Root::busybox());
    assert_eq!(lab.run("echo $SHELL; id -u; cat /proc/1/comm"), "/bin/ash\n0\nberth-agent\n");
    let mut person = Person::sits_at(&lab.ssh(&[HOST]));
    person.types("echo $0-$((1 + 1))\n");
    person.sees("-ash-2");
    person.types("exit 3\n");
    assert_eq!(person.client.wait().unwrap().code(), Some(3));
}

#[test]
fn without_a_shell_it_says_why_and_all_else_works() {
    let lab = Lab::new(Root::bare());
    for options in [&["-tt", HOST][..], &["-T", HOST]] {
        let output = lab.ssh(options).output().unwrap();
        assert!(text(&output).contains("this image has no shell"), "{}", text(&output));
        assert_eq!(output.status.code(), Some(127));
    }
    // A program by its path, with its words.
    let usage = lab.ssh(&[HOST, "/berth/berth-agent 'no such' command"]).output().unwrap();
    assert!(text(&usage).starts_with("usage: berth-agent"), "{}", text(&usage));
    assert_eq!(usage.status.code(), Some(2));
    let open = lab.ssh(&[HOST, "/berth/berth-agent 'no"]).output().unwrap();
    assert!(text(&open).contains("leaves a quote open"), "{}", text(&open));
    let copied = lab.client("scp").arg(lab.path("user.pub")).arg(format!("{HOST}:copied")).output().unwrap();
    assert!(copied.status.success(), "{}", text(&copied));
    assert_eq!(std::fs::read(lab.root.path("root/copied")).unwrap(), std::fs::read(lab.path("user.pub")).unwrap());
}
