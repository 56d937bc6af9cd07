#![allow(clippy::unwrap_used, reason = "test code")]

mod answers;
mod ends;
mod raw;
mod site;
mod streams;
mod strictness;
mod tls;
