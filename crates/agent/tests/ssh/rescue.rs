//! The rescue shell, while main is down.

use std::fs;

use crate::roots::Root;
use crate::terminals::Person;
use crate::{HOST, Lab, text};

#[test]
fn the_disk_can_be_reached_while_main_is_down() {
    let lab = Lab::without_spawn(Root::debian());
    fs::create_dir(lab.path("disk/data")).unwrap();
    fs::write(lab.path("disk/data/log"), "why it failed\n").unwrap();
    fs::write(lab.path("secret"), "secret").unwrap();
    let output = lab.ssh(&[HOST, "cat data/log"]).output().unwrap();
    assert!(text(&output).contains("rescue shell"), "the banner says so: {}", text(&output));
    assert_eq!(output.stdout, b"why it failed\n");
    let up = lab.ssh(&[HOST, "cat ../secret"]).output().unwrap();
    assert_eq!((up.status.code(), text(&up).contains("No such file")), (Some(1), true), "{}", text(&up));

    let mut person = Person::sits_at(&lab.ssh(&[HOST]));
    person.sees("rescue:/> ");
    person.types("cd data\r");
    person.sees("rescue:/data> ");
    person.types("ls\rdf\rnonsense\rrm log\r");
    person.sees("log");
    person.sees("MiB free");
    person.sees("nonsense: not here");
    person.types("exit\r");
    assert_eq!(person.client.wait().unwrap().code(), Some(0));
    assert!(!lab.path("disk/data/log").exists());

    let copied = lab.client("scp").arg(lab.path("user.pub")).arg(format!("{HOST}:data/")).output().unwrap();
    assert!(copied.status.success(), "{}", text(&copied));
    assert!(lab.path("disk/data/user.pub").exists());
}
