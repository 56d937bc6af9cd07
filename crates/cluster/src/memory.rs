//! Memory in use, from metrics.k8s.io: one list for all containers.

use std::collections::HashMap;

use berth_core::id::ContainerId;
use berth_core::names::{LABEL_CONTAINER, LABEL_INSTALLATION, MAIN};
use serde::Deserialize;

use crate::controller::Ctx;
use crate::{Error, Result};

#[derive(Deserialize)]
struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: HashMap<String, String>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    usage: HashMap<String, String>,
}

pub(crate) async fn record(ctx: &Ctx) -> Result<()> {
    let selector = format!("{LABEL_INSTALLATION}%3D{}", ctx.installation);
    let request = http::Request::get(format!("/apis/metrics.k8s.io/v1beta1/pods?labelSelector={selector}"));
    let request = request.body(Vec::new()).map_err(|error| Error::Refused(error.to_string()))?;
    let list: PodMetricsList = ctx.client.request(request).await?;
    let mut used: Vec<(ContainerId, Option<i32>)> = Vec::with_capacity(list.items.len());
    for pod in &list.items {
        let id = pod.metadata.labels.get(LABEL_CONTAINER).and_then(|label| label.parse().ok());
        let main = pod.containers.iter().find(|container| container.name == MAIN);
        if let (Some(id), Some(main)) = (id, main) {
            used.push((id, main.usage.get("memory").and_then(|quantity| mebibytes(quantity))));
        }
    }
    Ok(ctx.store.record_memory(&used).await?)
}

/// A Kubernetes quantity of bytes in MiB, rounded up; `None` for what is none.
fn mebibytes(quantity: &str) -> Option<i32> {
    let digits = quantity.trim_end_matches(|c: char| !c.is_ascii_digit());
    let value: u64 = digits.parse().ok()?;
    let bytes = match &quantity[digits.len()..] {
        "" => Some(value),
        "k" => value.checked_mul(1000),
        "Ki" => value.checked_mul(1 << 10),
        "M" => value.checked_mul(1_000_000),
        "Mi" => value.checked_mul(1 << 20),
        "Gi" => value.checked_mul(1 << 30),
        _ => None,
    }?;
    i32::try_from(bytes.div_ceil(1 << 20)).ok()
}

#[cfg(test)]
mod tests {
    use super::mebibytes;

    #[test]
    fn quantities() {
        for (text, mb) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("2048Ki", Some(2)),
            ("61Mi", Some(61)),
            ("1Gi", Some(1024)),
            ("5x", None),
            ("", None),
            ("-1Mi", None),
        ] {
            assert_eq!(mebibytes(text), mb, "{text}");
        }
    }
}
