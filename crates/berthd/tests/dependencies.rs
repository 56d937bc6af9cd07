//! The direction of dependencies between Berth's own crates, as ARCHITECTURE.md draws it.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate → the crates of ours that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("berth-core", &[]),
    ("berth-grant", &["berth-core"]),
    ("berth-route", &[]),
    ("berth-wire", &["berth-core"]),
    ("berth-sshkit", &[]),
    ("berth-agent", &["berth-core", "berth-grant", "berth-sshkit"]),
    ("berth-gateway", &["berth-core", "berth-grant", "berth-route", "berth-sshkit", "berth-wire"]),
    ("berth-store", &["berth-core"]),
    ("berth-cluster", &["berth-core", "berth-route", "berth-store"]),
    ("berth-registry", &["berth-core"]),
    ("berth-api", &["berth-core", "berth-grant", "berth-store", "berth-wire"]),
    (
        "berthd",
        &["berth-api", "berth-cluster", "berth-core", "berth-gateway", "berth-grant", "berth-registry", "berth-store"],
    ),
    ("berth-e2e", &["berth-core", "berth-gateway", "berth-grant", "berth-store"]),
];

/// Outside crate → the only crates of ours that may name it.
const HELD_BY: &[(&str, &[&str])] = &[
    ("kube", &["berth-cluster", "berth-e2e", "berth-gateway", "berth-route"]),
    ("k8s-openapi", &["berth-cluster", "berth-e2e", "berth-gateway", "berth-route"]),
    ("russh", &["berth-agent", "berth-gateway", "berth-sshkit"]),
    ("hyper", &["berth-gateway"]),
    ("tokio-rustls", &["berth-gateway"]),
    ("rcgen", &["berth-gateway"]),
    ("sqlx", &["berth-store"]),
    ("oci-client", &["berth-registry"]),
    ("axum", &["berth-api", "berthd", "berth-e2e", "berth-gateway"]),
];

fn normal_dependencies() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata of this workspace");
    let normal = |package: &cargo_metadata::Package| {
        let kept = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        kept.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), normal(package))).collect()
}

#[test]
fn our_crates_depend_in_one_direction() {
    for (name, dependencies) in normal_dependencies() {
        let (_, allowed) = ALLOWED.iter().find(|(known, _)| *known == name).unwrap_or_else(|| {
            panic!("{name} is not in the table: say in ARCHITECTURE.md and here what it may use");
        });
        for dependency in dependencies.iter().filter(|dependency| dependency.starts_with("berth")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not use {dependency}");
        }
    }
}

#[test]
fn outside_crates_stay_in_their_rooms() {
    for (name, dependencies) in normal_dependencies() {
        for (outside, holders) in HELD_BY {
            let uses = dependencies.iter().any(|dependency| dependency == outside);
            assert!(!uses || holders.contains(&name.as_str()), "{name} may not use {outside}");
        }
    }
}
