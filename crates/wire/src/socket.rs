//! Frames of the event socket.

use serde::{Deserialize, Serialize};

use crate::{Container, Event};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Frame {
    /// Everything: first, after every gap, and whenever a container comes or goes.
    Containers(Vec<Container>),
    /// One container changed.
    ContainerStatus(StatusUpdate),
    /// Something happened to a container, or happened again (the same `id`). After a gap of frames the list of its events
    /// tells what was missed.
    ContainerEvent(ContainerEvent),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    pub container_id: String,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusUpdate {
    pub container_id: String,
    pub status: String,
    pub external_ip: Option<String>,
    pub transition: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
}

impl From<&Container> for StatusUpdate {
    fn from(container: &Container) -> Self {
        Self {
            container_id: container.id.clone(),
            status: container.status.clone(),
            external_ip: container.external_ip.clone(),
            transition: container.transition.clone(),
            reason: container.reason.clone(),
            message: container.message.clone(),
        }
    }
}
