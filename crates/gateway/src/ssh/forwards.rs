//! Ports and sockets of the container that lead back to the person. Each is listened on over an inner connection of its own,
//! and given up with it.

use std::collections::HashMap;

use tokio::time::timeout;

use super::inner::{Doors, Inner, PATIENCE};

/// Of one connection, as the agent has it too.
const MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(String, u32),
    Unix(String),
}

#[derive(Default)]
pub(super) struct Forwards(HashMap<Place, Inner>);

impl Forwards {
    /// The port that is listened on; `None` when it cannot be.
    pub(super) async fn tcp(&mut self, doors: &Doors, address: &str, port: u32) -> Option<u32> {
        if self.0.len() >= MAX || self.0.contains_key(&Place::Tcp(address.to_owned(), port)) {
            return None;
        }
        let inner = doors.open().await.ok()?;
        let bound = timeout(PATIENCE, inner.handle.tcpip_forward(address, port)).await.ok()?.ok()?;
        // The agent names the port only where it chose it.
        let bound = if port == 0 { bound } else { port };
        self.0.insert(Place::Tcp(address.to_owned(), bound), inner);
        Some(bound)
    }

    pub(super) async fn unix(&mut self, doors: &Doors, path: &str) -> bool {
        let place = Place::Unix(path.to_owned());
        if self.0.len() >= MAX || self.0.contains_key(&place) {
            return false;
        }
        let Ok(inner) = doors.open().await else { return false };
        let listening = matches!(timeout(PATIENCE, inner.handle.streamlocal_forward(path)).await, Ok(Ok(())));
        if listening {
            self.0.insert(place, inner);
        }
        listening
    }

    /// Whether there was one.
    pub(super) async fn cancel(&mut self, place: &Place) -> bool {
        let Some(inner) = self.0.remove(place) else { return false };
        let cancelled = async {
            match place {
                Place::Tcp(address, port) => inner.handle.cancel_tcpip_forward(address, *port).await,
                Place::Unix(path) => inner.handle.cancel_streamlocal_forward(path).await,
            }
        };
        matches!(timeout(PATIENCE, cancelled).await, Ok(Ok(())))
    }
}
