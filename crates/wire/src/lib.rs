//! JSON shapes of the API: what existing clients rely on. Adding a field is welcome, renaming one is not.

mod auth;
mod container;
mod people;
mod problem;
mod socket;

pub use auth::{LoggedIn, Login, LoginMethods, Me, NewToken, OidcMethod, Token, TokenCreated, Tokens};
pub use container::{
    AdminContainer, Container, Containers, CreateContainer, Done, InstanceType, InstanceTypes, Quota, QuotaLine,
};
pub use people::{AdminUser, AdminUsers, AuditEntry, AuditPage, Suspension};
pub use problem::Problem;
pub use socket::{Frame, StatusUpdate};
