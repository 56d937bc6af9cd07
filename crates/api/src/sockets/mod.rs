//! WebSockets: bounded, pinged, and closed when their credential ends.

pub(crate) mod events;
