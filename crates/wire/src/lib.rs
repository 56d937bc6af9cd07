//! JSON shapes of the API: what existing clients rely on. Adding a field is welcome, renaming one is not.

mod access;
mod auth;
mod connection;
mod container;
mod image;
mod key;
mod people;
mod problem;
mod settings;
mod socket;
mod terminal;
mod timeline;

pub use access::{CreateIngressRule, IngressRule, IngressRules, SetSsh, SshStatus};
pub use auth::{LoggedIn, Login, LoginMethods, Me, NewToken, OidcMethod, Token, TokenCreated, Tokens};
pub use connection::{Connection, Connections};
pub use container::{
    AdminContainer, Container, Containers, CreateContainer, Done, InstanceType, InstanceTypes, Quota, QuotaLine,
};
pub use image::{Image, ImageSource};
pub use key::{CreateSshKey, SshKey, SshKeys};
pub use people::{AdminUser, AdminUsers, AuditEntry, AuditPage, Suspension};
pub use problem::Problem;
pub use settings::{Mounts, MountsSet, PullPolicy};
pub use socket::{ContainerEvent, Frame, StatusUpdate};
pub use terminal::TerminalFrame;
pub use timeline::{Event, Events, Waited};
