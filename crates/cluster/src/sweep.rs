//! Leftovers, both ways: rows without a namespace are woken, and namespaces of this installation that no row speaks of
//! are deleted. Rows with one are left to the watches and to each pass's own timer: at 10,000 rows, reading the objects of
//! all of them every minute would be most of the API server's work. Namespaces of another installation are not ours to judge.

use std::collections::HashSet;

use berth_core::id::ContainerId;
use berth_core::names::{LABEL_CONTAINER, LABEL_INSTALLATION, parse_namespace};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::controller::Ctx;
use crate::{Result, apply};

pub(crate) async fn sweep(ctx: &Ctx) -> Result<()> {
    let ours = ListParams::default().labels(&format!("{LABEL_INSTALLATION}={}", ctx.installation));
    // Namespaces are listed before rows are read: one that was made in between has its row.
    let namespaces = Api::<Namespace>::all(ctx.client.clone()).list(&ours).await?;
    let present: HashSet<ContainerId> =
        namespaces.iter().filter_map(|namespace| Some(parse_namespace(&namespace.name_any())?.id)).collect();
    ctx.store.all_ids().await?.into_iter().filter(|id| !present.contains(id)).for_each(|id| ctx.waker.wake(id));
    for namespace in namespaces {
        let name = namespace.name_any();
        let Some(names) = parse_namespace(&name) else { continue };
        let labelled = namespace.labels().get(LABEL_CONTAINER).map(String::as_str) == Some(names.id.as_str());
        let deleting = namespace.metadata.deletion_timestamp.is_some();
        if !labelled || deleting || ctx.store.for_reconcile(names.id).await?.is_some() {
            continue;
        }
        let uid = namespace.uid().unwrap_or_default();
        tracing::warn!(namespace = name, "no row speaks of it; it is removed");
        apply::remove_route(&ctx.client, &names).await?;
        apply::remove_workload(&ctx.client, &names).await?;
        apply::remove_namespace(&ctx.client, &name, &uid).await?;
    }
    Ok(())
}
