//! Berth's own part of a container's pod: the agent, which fills the disk before main starts and then stays beside it. It sees
//! the whole disk, main only its mounted folders.
//!
//! Where the cluster has image volumes, one native sidecar does both: the tenant's image is mounted read-only into it, and its
//! postStart hook copies; main does not start before a hook has ended. A container that runs to completion would cost each
//! start a second, which is how often a kubelet looks. Elsewhere the program is copied into a volume and run from there by a
//! container of the tenant's own image.

use berth_core::container::Container;
use berth_core::names::{AGENT, IMAGE_VOLUME, INSTALL, PROGRAM_VOLUME, SEED, VOLUME_CLAIM};
use serde_json::{Value, json};

use super::{Context, ssh};

/// Limits of each container here; the namespace's quota counts them beside main's.
pub(super) const MEMORY_MB: i64 = 64;
pub(super) const SCRATCH_MB: i64 = 16;

/// Of the container that copies; the others have none. Files as they are need owners, modes, set-id bits and file
/// capabilities, whatever the modes say. No MKNOD.
const CAPABILITIES: [&str; 5] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP"];

const IMAGE: &str = "/image";
const DISK: &str = "/disk";
const PROGRAM: &str = "/berth-agent";
/// In a container of the tenant's image nothing may cover a folder that is copied: no mount path lies in here.
pub(super) const BERTH: &str = "/run/berth";

pub(super) fn init_containers(container: &Container, context: &Context<'_>) -> Vec<Value> {
    let disk = |path: &str| json!({ "name": VOLUME_CLAIM, "mountPath": path });
    let agent = context.config.agent_image.as_str();
    let mut sidecar = one(AGENT, agent, &[PROGRAM, "serve"], vec![disk(DISK)]);
    sidecar["restartPolicy"] = json!("Always");
    let with_ssh = |sidecar: &mut Value| {
        if context.config.ssh.is_some() {
            ssh::serve(container, sidecar);
        }
    };
    let copies = |ours: &mut Value| ours["securityContext"]["capabilities"]["add"] = json!(CAPABILITIES);
    let paths = container.spec.mounts.iter();
    if context.image_volumes() {
        let command: Vec<&str> =
            [PROGRAM, "seed", "--image", IMAGE, "--disk", DISK, "--"].into_iter().chain(paths).collect();
        copies(&mut sidecar);
        sidecar["lifecycle"] = json!({ "postStart": { "exec": { "command": command } } });
        sidecar["volumeMounts"] = json!([disk(DISK), { "name": IMAGE_VOLUME, "mountPath": IMAGE, "readOnly": true }]);
        with_ssh(&mut sidecar);
        return vec![sidecar];
    }
    let programs = |path: &str| json!({ "name": PROGRAM_VOLUME, "mountPath": path });
    let install = one(INSTALL, agent, &[PROGRAM, "install", "/program"], vec![programs("/program")]);

    let (program, disk_path) = (format!("{BERTH}/bin/berth-agent"), format!("{BERTH}/disk"));
    // Kubernetes replaces $(NAME) in commands, but not in those of hooks; $$ is a dollar.
    let paths: Vec<String> = paths.map(|path| path.replace('$', "$$")).collect();
    let mut command = vec![program.as_str(), "seed", "--image", "/", "--disk", &disk_path, "--"];
    command.extend(paths.iter().map(String::as_str));
    let mounts = vec![disk(&disk_path), programs(&format!("{BERTH}/bin"))];
    let mut seed = one(SEED, container.spec.image.as_str(), &command, mounts);
    copies(&mut seed);
    seed["imagePullPolicy"] = json!(container.spec.pull_policy.as_str());
    with_ssh(&mut sidecar);
    vec![install, seed, sidecar]
}

/// Beside the disk.
pub(super) fn volume(container: &Container, context: &Context<'_>) -> Value {
    if context.image_volumes() {
        let image =
            json!({ "reference": container.spec.image.as_str(), "pullPolicy": container.spec.pull_policy.as_str() });
        json!({ "name": IMAGE_VOLUME, "image": image })
    } else {
        json!({ "name": PROGRAM_VOLUME, "emptyDir": { "sizeLimit": format!("{SCRATCH_MB}Mi") } })
    }
}

fn one(name: &str, image: &str, command: &[&str], mounts: Vec<Value>) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        // A working folder of the tenant's image would be made when it is missing, and then copied.
        "workingDir": "/",
        "resources": {
            "limits": {
                "cpu": "500m",
                "memory": format!("{MEMORY_MB}Mi"),
                "ephemeral-storage": format!("{SCRATCH_MB}Mi"),
            },
            "requests": { "cpu": "5m", "memory": "16Mi", "ephemeral-storage": "1Mi" },
        },
        "securityContext": {
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
            "runAsGroup": 0,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": mounts,
    })
}
