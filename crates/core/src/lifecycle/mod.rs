//! What a container should do, what was seen of it, what that means, and what to do next.
//!
//! [`status`] and [`decide`] are total functions over (desired, observed); tables test every pair.

mod decide;
mod desired;
mod goal;
mod observed;
mod status;

pub use decide::{Plan, RemoveStep, decide};
pub use desired::{Desired, UnknownWord};
pub use goal::{Goal, Verdict, judge};
pub use observed::{Exit, NamespaceState, Observed, PodFacts, PodStage, VolumeState, Workload};
pub(crate) use status::words;
pub use status::{Phase, Reason, Status, Transition, status};

#[cfg(test)]
mod tests;
