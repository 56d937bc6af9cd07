//! `dig`, asking a gateway.

use tokio::process::Command;

/// What it prints.
pub async fn dig(server: &str, question: &[&str]) -> String {
    let mut dig = Command::new("dig");
    dig.arg(format!("@{server}")).args(["+norecurse", "+tries=1", "+timeout=5"]).args(question);
    let output = dig.output().await.expect("dig runs");
    assert!(output.status.success(), "{question:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
