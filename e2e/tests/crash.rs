//! berthd is killed with SIGKILL at named steps; started again over the same rows it converges, and nothing is orphaned.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::Berthd;
use berth_e2e::{kubectl, until};
use reqwest::StatusCode;

#[tokio::test]
async fn killed_at_each_step_it_converges() {
    let mut berthd = Berthd::start().await;
    for step in ["reply", "namespace", "networkpolicy", "statefulset", "pod"] {
        let id = berthd.user(81, "ann").create(&format!("at-{step}")).await;
        let namespace = berthd.user(81, "ann").namespace(&id);
        let reached = async || match step {
            "reply" => true,
            "namespace" => kubectl::exists("namespace", &namespace).await,
            "networkpolicy" => kubectl::exists_in(&namespace, "networkpolicy", "berth").await,
            "statefulset" => kubectl::exists_in(&namespace, "statefulset", "machine").await,
            _pod => kubectl::exists_in(&namespace, "pod", "machine-0").await,
        };
        until(step, 60, async || reached().await.then_some(())).await;
        berthd.kill();
        berthd.launch().await;
        let ann = berthd.user(81, "ann");
        ann.settled(&id, "running").await;

        assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
        berthd.kill();
        berthd.launch().await;
        let ann = berthd.user(81, "ann");
        ann.settled(&id, "stopped").await;
        until("the pod to go", 60, async || (!kubectl::exists_in(&namespace, "pod", "machine-0").await).then_some(()))
            .await;

        assert_eq!(ann.post(&id, "start").await.0, StatusCode::OK);
        berthd.kill();
        berthd.launch().await;
        let ann = berthd.user(81, "ann");
        ann.settled(&id, "running").await;

        assert_eq!(ann.delete(&id).await, StatusCode::OK);
        until("the delete to begin", 60, async || {
            let workload = kubectl::exists_in(&namespace, "statefulset", "machine").await;
            (step == "reply" || !workload).then_some(())
        })
        .await;
        berthd.kill();
        berthd.launch().await;
        until("the namespace to go", 60, async || (!kubectl::exists("namespace", &namespace).await).then_some(()))
            .await;
        assert_eq!(berthd.user(81, "ann").get(&id).await.0, StatusCode::NOT_FOUND);
    }
}
