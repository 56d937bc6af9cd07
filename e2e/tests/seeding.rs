//! A mounted folder begins with the image's own files, exactly and once; an image that means harm gains nothing; a disk that
//! cannot hold them says so. With image volumes and without them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::{images, kubectl, until};
use reqwest::{Method, StatusCode};
use rustix::fs::{XattrFlags, setxattr};
use serde_json::{Value, json};

/// Every file below the folder in its first argument, one a line, with all that must survive a copy.
const LOOK: &str = r#"import hashlib, os, stat, sys
os.chdir(sys.argv[1])
names = {}
for at, folders, files in os.walk('.'):
    for path in [os.path.join(at, name) for name in files + folders] + ([at] if at == '.' else []):
        names.setdefault(os.lstat(path).st_ino, []).append(path)
for ino, paths in sorted(names.items(), key=lambda entry: sorted(entry[1])):
    s = os.lstat(paths[0])
    content = os.readlink(paths[0]) if stat.S_ISLNK(s.st_mode) else ''
    if stat.S_ISREG(s.st_mode):
        content = hashlib.sha256(open(paths[0], 'rb').read()).hexdigest()
    attributes = {n: os.getxattr(paths[0], n, follow_symlinks=False) for n in os.listxattr(paths[0], follow_symlinks=False)}
    print(sorted(paths), oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns, content, sorted(attributes.items()))
"#;

/// CAP_NET_RAW, as `setcap` writes it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn write(root: &Path, path: &str, content: &[u8], owner: u32, mode: u32) -> std::path::PathBuf {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    chown(&path, Some(owner), Some(owner + 1)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// `/srv/odd` is to be copied exactly; the rest of `/srv` wants out.
fn odd_and_hostile(root: &Path) {
    let noted = write(root, "srv/odd/noted", b"noted", 1234, 0o640);
    setxattr(&noted, "user.note", b"kept", XattrFlags::empty()).unwrap();
    fs::hard_link(&noted, root.join("srv/odd/other name")).unwrap();
    write(root, "srv/odd/bin/set-id", b"#!/bin/sh", 33, 0o6755);
    let capable = write(root, "srv/odd/bin/capable", b"#!/bin/sh", 0, 0o755);
    setxattr(&capable, "security.capability", &CAPABILITY, XattrFlags::empty()).unwrap();
    write(root, "srv/odd/secret/closed", &[0; 70_000], 65_534, 0o000);
    fs::set_permissions(root.join("srv/odd/secret"), Permissions::from_mode(0o1700)).unwrap();
    symlink("../../etc/passwd", root.join("srv/odd/link")).unwrap();
    symlink("/nowhere\nat all", root.join("srv/odd/line\nbreak")).unwrap();
    fs::set_permissions(root.join("srv/odd"), Permissions::from_mode(0o2751)).unwrap();
    chown(root.join("srv/odd"), Some(7), Some(8)).unwrap();

    for (name, to) in HOSTILE {
        symlink(to, root.join("srv").join(name)).unwrap();
    }
    for number in 0..5000 {
        write(root, &format!("srv/many/{}/{number}", number % 7), b"", 1, 0o644);
    }
}

/// Mount paths that are links out of the image; the last leads to the disk in a container of the tenant's own image.
const HOSTILE: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("root", "/proc/1/root"),
    ("up", "../../../../../../disk"),
    ("sys", "/sys"),
    ("disk", "/run/berth/disk"),
];

async fn create(user: &User<'_>, name: &str, image: &str, paths: &[&str]) -> String {
    let body = json!({ "name": name, "image": image, "mount_paths": paths, "memory_mb": 128, "storage_gb": 1, "pull_policy": "Always" });
    let (status, answer) = user.call(Method::POST, "/compute/containers", Some(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn look(namespace: &str, folder: &str) -> String {
    let words = ["-n", namespace, "exec", "machine-0", "-c", "main", "--", "python3", "-c", LOOK, folder];
    kubectl::run(&words).await
}

async fn removed(user: &User<'_>, id: &str) {
    assert_eq!(user.delete(id).await, StatusCode::OK);
    let namespace = user.namespace(id);
    until("the namespace to go", 60, async || (!kubectl::exists("namespace", &namespace).await).then_some(())).await;
}

#[tokio::test]
async fn a_folder_begins_with_the_images_files() {
    let files = tempfile::tempdir().unwrap();
    odd_and_hostile(files.path());
    let image = images::push_files("odd", files.path(), true).await;
    let volumes = Berthd::start().await;
    let never = Berthd::start_with(&[("BERTH_CLUSTER__IMAGE_VOLUMES", "never")]).await;
    let (ann, ben) = (volumes.user(121, "ann"), never.user(122, "ben"));
    // What the image holds, seen where it is not mounted over.
    let plain = create(&ann, "plain", &image, &["/root"]).await;
    let seeded = create(&ann, "seeded", &image, &["/srv/odd", "/srv/many", "/lacking"]).await;
    let other = create(&ben, "other", &image, &["/srv/odd", "/srv/many", "/lacking"]).await;
    ann.settled(&plain, "running").await;
    let (odd, many) = (look(&ann.namespace(&plain), "/srv/odd").await, look(&ann.namespace(&plain), "/srv/many").await);
    assert!(odd.contains("user.note") && odd.contains("security.capability") && odd.contains("0o106755"), "{odd}");
    for (user, id) in [(&ann, &seeded), (&ben, &other)] {
        user.settled(id, "running").await;
        let namespace = user.namespace(id);
        assert_eq!(look(&namespace, "/srv/odd").await, odd);
        assert_eq!(look(&namespace, "/srv/many").await, many);
        let lacking = kubectl::sh(&namespace, "stat -c '%a %u %g' /lacking && ls -A /lacking").await;
        assert_eq!(lacking.as_deref(), Some("755 0 0"));
        let sidecar = "{.spec.initContainers[*].name} {.spec.volumes[*].name}";
        let names =
            kubectl::run(&["-n", &namespace, "get", "pod", "machine-0", "-o", &format!("jsonpath={sidecar}")]).await;
        let expected = if user.id == 121 { "agent disk image" } else { "install seed agent disk program" };
        assert_eq!(names, expected);
    }
    what_a_user_changes_stays(&ann, &seeded).await;
    removed(&ben, &other).await;
    hostile_links_lead_nowhere(&ann, &image).await;
    hostile_links_lead_nowhere(&ben, &image).await;
    removed(&ann, &plain).await;
    removed(&ann, &seeded).await;
}

async fn what_a_user_changes_stays(user: &User<'_>, id: &str) {
    let namespace = user.namespace(id);
    kubectl::sh(&namespace, "echo mine > /srv/odd/noted && rm -r /srv/odd/bin /srv/many/*").await.unwrap();
    // The disk ends where storage_gb says, and what is used of it is told.
    assert!(kubectl::sh(&namespace, "head -c 1100M /dev/zero > /srv/odd/full").await.is_none(), "1 GiB holds 1.1 GiB");
    kubectl::sh(&namespace, "truncate -s 500M /srv/odd/full && sync -f /srv/odd").await.unwrap();
    let told = async || {
        let used = user.get(id).await.1["storage_used_gb"].as_f64()?;
        (0.4..0.7).contains(&used).then_some(used)
    };
    let used = until("storage_used_gb to be about half a GiB", 90, told).await;
    assert!((used * 10.0).fract().abs() < 1e-9, "{used} has one decimal");

    assert_eq!(user.post(id, "stop").await.0, StatusCode::OK);
    user.settled(id, "stopped").await;
    assert_eq!(user.get(id).await.1["storage_used_gb"].as_f64(), Some(used), "a stopped container's disk is as full");
    assert_eq!(user.post(id, "start").await.0, StatusCode::OK);
    user.settled(id, "running").await;
    let found = kubectl::sh(&namespace, "cat /srv/odd/noted; ls /srv/odd/bin /srv/many/* 2>/dev/null | wc -l").await;
    assert_eq!(found.as_deref(), Some("mine\n0"));
}

async fn hostile_links_lead_nowhere(user: &User<'_>, image: &str) {
    let paths: Vec<String> = HOSTILE.iter().map(|(name, _)| format!("/srv/{name}")).collect();
    // Main's own mounts follow those links inside its image, so it may not start; its disk is filled in any case.
    let body: Vec<&str> = paths.iter().map(String::as_str).collect();
    let id = create(user, "hostile", image, &body).await;
    let namespace = user.namespace(&id);
    let filled = "{.status.initContainerStatuses[?(@.name==\"agent\")].state.running.startedAt}";
    let filled = async || {
        let read =
            kubectl::try_run(&["-n", &namespace, "get", "pod", "machine-0", "-o", &format!("jsonpath={filled}")]).await;
        read.filter(|started| !started.is_empty())
    };
    until("the hostile image's disk to be filled", 60, filled).await;
    let mut words =
        vec!["-n", &namespace, "exec", "machine-0", "-c", "agent", "--", "/berth-agent", "seed", "--image", "/image"];
    words.extend(["--disk", "/disk", "--"].iter().chain(&body));
    // Again by hand: everything is done already, so it changes nothing and says nothing.
    assert_eq!(kubectl::try_run(&words).await.as_deref(), Some(""));
    let volume = kubectl::run(&["-n", &namespace, "get", "pvc", "disk", "-o", "jsonpath={.spec.volumeName}"]).await;
    let path = kubectl::run(&["get", "pv", &volume, "-o", "jsonpath={.spec.local.path}{.spec.hostPath.path}"]).await;
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("the disk at {path:?}: {error}")) {
        let entry = entry.unwrap();
        if entry.file_name() != ".berth" && entry.file_name() != "lost+found" {
            assert_eq!(fs::read_dir(entry.path()).unwrap().count(), 0, "{entry:?} holds something");
        }
    }
    removed(user, &id).await;
}

#[tokio::test]
async fn a_disk_that_is_too_small_says_so() {
    let files = tempfile::tempdir().unwrap();
    fs::create_dir_all(files.path().join("srv/large")).unwrap();
    // A hole here, but bytes once the runtime has unpacked it.
    fs::File::create(files.path().join("srv/large/zeros")).unwrap().set_len(1300 << 20).unwrap();
    let image = images::push_files("large", files.path(), false).await;
    let ways: [&[(&str, &str)]; 2] = [&[], &[("BERTH_CLUSTER__IMAGE_VOLUMES", "never")]];
    for way in ways {
        let berthd = Berthd::start_with(way).await;
        let ann = berthd.user(123, "ann");
        let id = create(&ann, "small", &image, &["/srv/large"]).await;
        let failed = async || Some(ann.get(&id).await.1).filter(|body: &Value| body["status"] == "failed");
        let body = until("the failure to be told", 120, failed).await;
        let words = "its disk could not be prepared: the image's files at /srv/large need more room than the disk has";
        assert_eq!((body["reason"].as_str(), body["message"].as_str()), (Some("VolumeFailed"), Some(words)), "{body}");
        removed(&ann, &id).await;
    }
}
