#![allow(clippy::unwrap_used, reason = "test code")]

mod answers;
mod crowd;
mod ends;
mod raw;
mod site;
mod stalls;
mod streams;
mod strictness;
mod tls;
