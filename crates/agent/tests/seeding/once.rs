//! First use alone: nothing is copied twice, and nothing ever over what a user has.

use std::fs;

use berth_agent::Seeded;

use crate::{Lab, copied_whole, tree};

#[test]
fn the_user_keeps_what_they_changed() {
    let lab = Lab::new();
    lab.file("data/one", "image");
    lab.file("data/two", "image");
    assert_eq!(lab.seed("/data"), copied_whole());
    fs::write(lab.on_disk("/data").join("one"), "user").unwrap();
    fs::remove_file(lab.on_disk("/data").join("two")).unwrap();
    lab.file("data/three", "a newer image");
    assert_eq!(lab.seed("/data"), Seeded::Before);
    assert_eq!(tree::list(&lab.on_disk("/data")), ["one"]);
    assert_eq!(fs::read_to_string(lab.on_disk("/data").join("one")).unwrap(), "user");
    // Emptied by hand it stays empty.
    fs::remove_file(lab.on_disk("/data").join("one")).unwrap();
    assert_eq!(lab.seed("/data"), Seeded::Before);
    assert!(tree::list(&lab.on_disk("/data")).is_empty());
}

#[test]
fn a_disk_older_than_the_marks_is_left_alone() {
    let lab = Lab::new();
    lab.file("data/image", "x");
    fs::create_dir(lab.on_disk("/data")).unwrap();
    fs::write(lab.on_disk("/data").join("user"), "x").unwrap();
    assert_eq!(lab.seed("/data"), Seeded::InUse);
    assert_eq!(lab.seed("/data"), Seeded::Before);
    assert_eq!(tree::list(&lab.on_disk("/data")), ["user"]);
}

#[test]
fn a_folder_that_the_kubelet_made_is_filled() {
    let lab = Lab::new();
    lab.file("data/image", "x");
    fs::create_dir(lab.on_disk("/data")).unwrap();
    assert_eq!(lab.seed("/data"), copied_whole());
    assert_eq!(tree::list(&lab.on_disk("/data")), ["image"]);
}

#[test]
fn a_path_that_comes_later_is_filled_then_and_one_that_comes_back_has_its_data() {
    let lab = Lab::new();
    lab.file("a/image", "x");
    lab.file("b/image", "x");
    lab.seed("/a");
    fs::write(lab.on_disk("/a").join("user"), "x").unwrap();
    assert_eq!(lab.try_seed(&["/b"]).unwrap(), [copied_whole()]);
    assert_eq!(lab.try_seed(&["/a", "/b"]).unwrap(), [Seeded::Before, Seeded::Before]);
    assert_eq!(tree::list(&lab.on_disk("/a")), ["image", "user"]);
}

#[test]
fn an_interrupted_copy_begins_anew() {
    let lab = Lab::new();
    lab.file("data/a/whole", "whole");
    let half = lab.disk.join(".berth/new").join(lab.on_disk("/data").file_name().unwrap());
    fs::create_dir_all(half.join("a/b/c")).unwrap();
    fs::write(half.join("a/whole"), "ha").unwrap();
    fs::write(half.join("stray"), "x").unwrap();
    assert_eq!(lab.seed("/data"), copied_whole());
    assert_eq!(tree::read(&lab.on_disk("/data")), tree::read(&lab.image.join("data")));
    assert_eq!(tree::list(&lab.disk.join(".berth")), ["seeded"]);
}
