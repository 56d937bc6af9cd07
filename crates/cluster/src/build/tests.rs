//! The objects of a container as a snapshot, and hostile input.

use berth_core::container::Spec;
use berth_core::exposure::AcceptedKey;
use berth_core::id::{Generation, KeyId, RuleId, UserId};
use berth_core::image::ImageRef;
use berth_core::ingress::{Protocol, PublicPort, Rule, TargetPort};
use berth_core::key::PublicKey;
use berth_core::lifecycle::{Desired, Observed, status};
use berth_core::mount::MountPaths;
use berth_core::name::{ContainerName, Username};
use berth_core::pull_policy::PullPolicy;
use berth_core::registry::Credentials;
use berth_core::size::{MemoryMb, StorageGb};
use berth_core::user::{Source, User};
use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::Pulls;

fn container(name: &str, image: &str, mounts: Vec<String>) -> Container {
    let user =
        User { id: UserId(7), username: Username::parse("ann").unwrap(), is_admin: false, source: Source::Local };
    let observed = Observed::default();
    Container {
        id: "bcdfghjk".parse().unwrap(),
        owner: user.id,
        owner_username: user.username,
        spec: Spec {
            name: ContainerName::from_stored(name.to_owned()),
            image: ImageRef::from_stored(image.to_owned()),
            pull_policy: PullPolicy::default(),
            instance_type: "nano".to_owned(),
            memory: MemoryMb::DEFAULT,
            storage: StorageGb::DEFAULT,
            mounts: MountPaths::from_stored(mounts),
            ssh_enabled: false,
        },
        https_enabled: false,
        external_ip: None,
        desired: Desired::Running,
        generation: Generation::FIRST,
        restart_generation: Generation::FIRST,
        status: status(Desired::Running, &observed),
        observed,
        namespace_uid: None,
        created_at: chrono::DateTime::UNIX_EPOCH,
        stopped_at: None,
        deleted_at: None,
        memory_used_mb: None,
        disk_used: None,
        image_digest: None,
    }
}

fn built(container: &Container) -> Objects {
    built_on(container, &Exposure::default(), true)
}

fn exposed(container: &Container, exposure: &Exposure) -> Objects {
    built_on(container, exposure, true)
}

/// For a cluster that has image volumes, or has none.
fn built_on(container: &Container, exposure: &Exposure, image_volumes: bool) -> Objects {
    built_with(container, exposure, image_volumes, &Config::default())
}

fn built_with(container: &Container, exposure: &Exposure, image_volumes: bool, config: &Config) -> Objects {
    let types = InstanceTypes::default();
    let internal = ["203.0.114.9/32", "10.41.0.2/32"].iter().map(|net| net.parse().unwrap()).collect();
    let facts = Facts { internal, dns: Some("10.43.0.10".parse().unwrap()), architectures: vec![], image_volumes };
    let installation = "0123456789abcdef";
    let domain = "example.com";
    let context = Context { config, facts: &facts, types: &types, installation, domain, user_namespaces: true };
    objects(container, exposure, 1, &context)
}

#[test]
fn the_objects_of_a_container() {
    let objects = built(&container("my-app", "registry.berth.internal/berth/base:latest", vec!["/root".into()]));
    let bodies: Vec<&Value> = std::iter::once(&objects.namespace)
        .chain(objects.fences.iter().map(|o| &o.body))
        .chain([&objects.workload.body, &objects.route])
        .collect();
    insta::assert_json_snapshot!(bodies);
}

fn open(port: i64, target: i64, protocol: Protocol) -> Rule {
    let (port, target) = (PublicPort::new(port).unwrap(), TargetPort::new(target).unwrap());
    Rule { id: RuleId(1), port, target, protocol, created_at: chrono::DateTime::UNIX_EPOCH }
}

fn wide_open() -> Exposure {
    let rules = vec![open(80, 8080, Protocol::Http), open(443, 8080, Protocol::Http), open(8022, 22, Protocol::Tcp)];
    let key = PublicKey::from_stored("ssh-ed25519 AAAA ann's laptop".into(), "SHA256:x".into());
    Exposure { rules, keys: vec![AcceptedKey { id: KeyId(3), key }] }
}

#[test]
fn rules_and_ssh_show_in_the_policy_and_in_the_route() {
    let mut container = container("my-app", "b", vec!["/root".into()]);
    container.spec.ssh_enabled = true;
    let objects = exposed(&container, &wide_open());
    let policy = objects.fences.iter().find(|object| object.resource.kind == "NetworkPolicy").unwrap();
    insta::assert_json_snapshot!((&policy.body["spec"]["ingress"], &objects.route));
}

fn with_ssh() -> Config {
    let ssh = crate::Ssh {
        gateway_keys: "ssh-ed25519 AAAA gateway\n".into(),
        host_key_secret: "a secret of at least thirty-two bytes".to_owned().into(),
    };
    Config { ssh: Some(ssh), ..Config::default() }
}

#[test]
fn what_ssh_needs_of_a_pod() {
    let container = container("my-app", "b", vec!["/root".into()]);
    for image_volumes in [true, false] {
        let objects = built_with(&container, &Exposure::default(), image_volumes, &with_ssh());
        let pod = &objects.workload.body["spec"]["template"]["spec"];
        let main = &pod["containers"][0];
        let sidecar = pod["initContainers"].as_array().unwrap().last().unwrap();
        let seen =
            (&main["lifecycle"], &main["volumeMounts"], &sidecar["command"], &sidecar["volumeMounts"], &pod["volumes"]);
        insta::assert_json_snapshot!(format!("ssh_in_the_pod_{image_volumes}"), seen);
    }
}

#[test]
fn a_host_key_is_the_containers_own_and_stays() {
    let secret = |config: &Config, container: &Container| {
        let objects = built_with(container, &Exposure::default(), true, config);
        let secret = objects.fences.iter().find(|object| object.resource.kind == "Secret").unwrap();
        let key = secret.body["stringData"]["host_key"].as_str().unwrap();
        let public = ssh_key::PrivateKey::from_openssh(key).unwrap().public_key().to_openssh().unwrap();
        assert_eq!(objects.route["spec"]["ssh"]["hostKey"], public.trim(), "and the gateway is told which");
        public
    };
    let one = container("a", "b", vec!["/root".into()]);
    let key = secret(&with_ssh(), &one);
    let mut later = one.clone();
    (later.generation, later.restart_generation, later.spec.ssh_enabled) = (Generation(9), Generation(8), true);
    assert_eq!(secret(&with_ssh(), &later), key);
    let mut other = one.clone();
    other.id = "bcdfghjm".parse().unwrap();
    assert_ne!(secret(&with_ssh(), &other), key);
    let mut config = with_ssh();
    config.ssh.as_mut().unwrap().host_key_secret = "another secret".to_owned().into();
    assert_ne!(secret(&config, &one), key);
    let objects = built(&one);
    assert!(!objects.fences.iter().any(|object| object.resource.kind == "Secret"));
}

#[test]
fn access_never_changes_the_pod() {
    let closed = container("a", "b", vec!["/root".into()]);
    let mut with_ssh = closed.clone();
    with_ssh.spec.ssh_enabled = true;
    with_ssh.generation = Generation(7);
    let (one, two) = (built(&closed), exposed(&with_ssh, &wide_open()));
    assert_ne!(one.hash, two.hash);
    assert_eq!(one.workload.body["spec"], two.workload.body["spec"], "nothing rolls");
    let both = [(&closed, Exposure::default()), (&with_ssh, wide_open())];
    let [one, two] = both.map(|(container, exposure)| built_with(container, &exposure, true, &self::with_ssh()));
    assert_eq!(one.workload.body["spec"], two.workload.body["spec"], "nothing rolls");
}

#[test]
fn without_ssh_the_agents_port_is_closed() {
    let objects = exposed(&container("a", "b", vec!["/root".into()]), &wide_open());
    let policy = objects.fences.iter().find(|object| object.resource.kind == "NetworkPolicy").unwrap();
    let ingress = policy.body["spec"]["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 1);
    assert_eq!(ingress[0]["ports"].as_array().unwrap().len(), 2, "a target that two rules share is listed once");
    assert!(!ingress[0]["ports"].to_string().contains("22022"));
}

#[test]
fn the_pod_where_there_are_no_image_volumes() {
    let objects = built_on(&container("a", "b", vec!["/data/$(HOME)$".into()]), &Exposure::default(), false);
    insta::assert_json_snapshot!(objects.workload.body["spec"]["template"]["spec"]);
}

#[test]
fn an_address_inside_an_excluded_range_is_not_listed_again() {
    let objects = built(&container("a", "b", vec!["/root".into()]));
    let policy = objects.fences.iter().find(|object| object.resource.kind == "NetworkPolicy").unwrap();
    let except = policy.body["spec"]["egress"][1]["to"][0]["ipBlock"]["except"].to_string();
    assert!(except.contains("203.0.114.9/32") && !except.contains("10.41.0.2/32"), "{except}");
}

#[test]
fn every_input_changes_the_hash() {
    let base = container("a", "b", vec!["/root".into()]);
    let same = built(&base).hash;
    assert_eq!(built(&base).hash, same);
    assert_ne!(built(&container("a", "c", vec!["/root".into()])).hash, same);
    assert_ne!(built(&container("a", "b", vec!["/data".into()])).hash, same);
}

fn with_credentials(password: &str) -> Config {
    let credentials = Credentials { username: "berth".to_owned(), password: SecretString::from(password) };
    Config { pulls: Some(Pulls { registry: "r.example".to_owned(), credentials }), ..Config::default() }
}

#[test]
fn credentials_are_named_by_the_pod_and_shown_nowhere() {
    let container = container("a", "r.example/b", vec!["/root".into()]);
    let open = built(&container);
    assert!(open.pull_secret.is_none() && open.workload.body["spec"]["template"]["spec"]["imagePullSecrets"].is_null());
    let closed = |password| built_with(&container, &Exposure::default(), true, &with_credentials(password));
    let (one, two) = (closed("first word"), closed("second word"));
    assert_eq!(one.workload.body["spec"]["template"]["spec"]["imagePullSecrets"], json!([{ "name": "registry" }]));
    assert_eq!(one.workload.body["spec"], two.workload.body["spec"], "new credentials never touch a running pod");
    assert!(one.hash != two.hash && one.hash != open.hash, "but they are applied");
    assert_eq!(one.hash, closed("first word").hash);
    assert!(!format!("{one:?}").contains("first word"));
    assert_eq!(one.pull_secret.unwrap().exposed().body["metadata"]["labels"], one.workload.body["metadata"]["labels"]);
}

/// Every key of a JSON tree with its value.
fn walk<'a>(value: &'a Value, seen: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            seen.push((key, value));
            walk(value, seen);
        }),
        Value::Array(list) => list.iter().for_each(|value| walk(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    /// Even input that no parser would let through becomes nothing but strings in their places.
    #[test]
    fn hostile_input_gains_nothing(name in ".{0,200}", image in "\\PC{0,200}|\\.\\./.*|.*\n.*", path in "/.{0,100}|(\\.\\./){1,5}.*", image_volumes: bool) {
        let objects = built_on(&container(&name, &image, vec![path.clone()]), &Exposure::default(), image_volumes);
        let pod = &objects.workload.body["spec"]["template"]["spec"];
        for ours in pod["initContainers"].as_array().unwrap() {
            let named = ours["name"].as_str().unwrap();
            let config = Config::default();
            prop_assert!(["agent", "install", "seed"].contains(&named));
            prop_assert_eq!(&ours["image"], if named == "seed" { image.as_str() } else { config.agent_image.as_str() });
            let command = ours["lifecycle"]["postStart"]["exec"]["command"].as_array().or(ours["command"].as_array()).unwrap();
            // Every word is ours, but for the path: it stands alone behind the end of all options.
            let words: Vec<&str> = command.iter().map(|word| word.as_str().unwrap()).collect();
            let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
            let (ours, paths) = (&words[..end], words.get(end + 1..).unwrap_or_default());
            let fixed: &[&[&str]] = &[
                &["/berth-agent", "seed", "--image", "/image", "--disk", "/disk"],
                &["/berth-agent", "serve"],
                &["/berth-agent", "install", "/program"],
                &["/run/berth/bin/berth-agent", "seed", "--image", "/", "--disk", "/run/berth/disk"],
            ];
            prop_assert!(fixed.contains(&ours), "{:?}", ours);
            prop_assert!(paths.is_empty() || paths == [if named == "seed" { path.replace('$', "$$") } else { path.clone() }], "{:?}", paths);
        }
        let all = std::iter::once(&objects.namespace).chain(objects.fences.iter().map(|o| &o.body)).chain([&objects.workload.body, &objects.route]);
        for body in all {
            let mut seen = Vec::new();
            walk(body, &mut seen);
            for (key, value) in seen {
                prop_assert!(!["hostPath", "hostNetwork", "hostPID", "hostIPC", "hostPort", "procMount"].contains(&key));
                prop_assert!(key != "privileged" || value == false);
                prop_assert!(key != "hostUsers" || value == false);
                prop_assert!(key != "namespace");
                prop_assert!(key != "subPath" || value.as_str().unwrap().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            }
        }
        prop_assert_eq!(&objects.namespace["metadata"]["name"], "compute-7-bcdfghjk");
    }
}
