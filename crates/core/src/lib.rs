//! Words and decisions of Berth.
//!
//! Everything here is a total function or a parsed value: no IO, no async, no clock, no randomness. Whoever needs
//! the time or a random id passes it in. Tenant input becomes one of these types before it goes anywhere else.

pub mod access;
pub mod address;
pub mod audit;
pub mod connection;
pub mod container;
pub mod disk;
pub mod exposure;
pub mod id;
pub mod image;
pub mod ingress;
pub mod instance;
pub mod invalid;
pub mod isolation;
pub mod key;
pub mod lifecycle;
pub mod logs;
pub mod mount;
pub mod name;
pub mod names;
pub mod pod_io;
pub mod pull_policy;
pub mod quota;
pub mod registry;
pub mod return_to;
pub mod scope;
pub mod size;
pub mod terminal;
pub mod timeline;
pub mod user;

pub use invalid::Invalid;
