//! Prints `deploy/crd-routes.yaml`.
#![allow(clippy::print_stdout, reason = "the definition is its output")]

use berth_route::Route;
use kube::CustomResourceExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("# What the controller tells the gateway of one container: kubectl get routes -A");
    println!("# Written by cargo run -p berth-route --example crd; the type is in crates/route.");
    print!("{}", serde_saphyr::to_string(&serde_json::to_value(Route::crd())?)?);
    Ok(())
}
