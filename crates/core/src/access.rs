//! Authorisation is a value. A [`Grant`] has private fields, is made only by [`Actor::may`], names its target and its
//! owner, and the store's functions demand one. The store filters by the grant's owner, so a container of somebody else
//! looks exactly like one that does not exist.

use std::marker::PhantomData;

use crate::audit::{By, Origin};
use crate::id::{ContainerId, UserId};
use crate::scope::{Resource, Scopes, Verb};
use crate::user::User;

/// Why a known caller may not do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("this token's scopes do not cover this call")]
    Scope,
    #[error("only administrators may do this")]
    NotAdmin,
    #[error("an API token cannot manage the account it belongs to; log in instead")]
    NeedsLogin,
}

/// How far a credential reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// A person who logged in: everything the user may do, credentials included.
    Login,
    /// A token without scopes: everything but managing credentials.
    Token,
    /// A token with scopes: only those.
    Scoped(Scopes),
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    by: By,
    reach: Reach,
}

impl Actor {
    /// To be called by authentication alone.
    pub fn authenticated(user: User, reach: Reach, origin: Origin) -> Self {
        Self { by: By { user, origin }, reach }
    }

    pub fn user(&self) -> &User {
        &self.by.user
    }

    pub fn by(&self) -> &By {
        &self.by
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// # Errors
    /// [`Denied::Scope`] when the caller's token does not reach this container with this verb.
    pub fn may<A: ContainerAction>(&self, target: ContainerId) -> Result<Grant<A>, Denied> {
        self.covers(Resource::Container(self.user().id, target), A::VERB)?;
        Ok(Grant { by: self.by.clone(), target, action: PhantomData })
    }

    /// # Errors
    /// [`Denied`] when the caller's token, or the caller, may not do this to the own account.
    pub fn may_account<A: AccountAction>(&self) -> Result<AccountGrant<A>, Denied> {
        match A::need(self.user().id) {
            Need::Scope(resource, verb) => self.covers(resource, verb)?,
            Need::Login => self.logged_in()?,
            Need::Admin => self.admin()?,
        }
        Ok(AccountGrant { by: self.by.clone(), action: PhantomData })
    }

    fn covers(&self, resource: Resource, verb: Verb) -> Result<(), Denied> {
        match &self.reach {
            Reach::Login | Reach::Token => Ok(()),
            Reach::Scoped(scopes) if scopes.allow(resource, verb) => Ok(()),
            Reach::Scoped(_) => Err(Denied::Scope),
        }
    }

    fn logged_in(&self) -> Result<(), Denied> {
        match self.reach {
            Reach::Login => Ok(()),
            Reach::Token | Reach::Scoped(_) => Err(Denied::NeedsLogin),
        }
    }

    fn admin(&self) -> Result<(), Denied> {
        match (&self.reach, self.user().is_admin) {
            (Reach::Scoped(_), _) => Err(Denied::Scope),
            (Reach::Login | Reach::Token, true) => Ok(()),
            (Reach::Login | Reach::Token, false) => Err(Denied::NotAdmin),
        }
    }
}

/// Leave to do `A` to one container of one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<A> {
    by: By,
    target: ContainerId,
    action: PhantomData<A>,
}

impl<A> Grant<A> {
    pub fn owner(&self) -> UserId {
        self.by.user.id
    }

    pub fn target(&self) -> ContainerId {
        self.target
    }

    /// For the audit log.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Leave to see what it was granted on: every answer to a change shows the container.
    pub fn to_read(&self) -> Grant<Read> {
        Grant { by: self.by.clone(), target: self.target, action: PhantomData }
    }
}

/// Leave to do `A` to the caller's own account (or, for administrators, to the installation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountGrant<A> {
    by: By,
    action: PhantomData<A>,
}

impl<A> AccountGrant<A> {
    pub fn user(&self) -> &User {
        &self.by.user
    }

    /// For the audit log.
    pub fn by(&self) -> &By {
        &self.by
    }
}

/// What can be done to one container.
pub trait ContainerAction {
    const VERB: Verb;
}

/// What can be done to an account.
pub trait AccountAction {
    fn need(user: UserId) -> Need;
}

/// What an account action asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Scope(Resource, Verb),
    Login,
    Admin,
}

macro_rules! container_actions {
    ($($(#[$doc:meta])* $name:ident => $verb:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;
        impl ContainerAction for $name {
            const VERB: Verb = Verb::$verb;
        }
    )*};
}

container_actions! {
    /// See one container.
    Read => Read,
    /// Start it.
    Start => Start,
    /// Stop it.
    Stop => Stop,
    /// Change its settings.
    Update => Update,
    /// Delete it.
    Delete => Delete,
}

macro_rules! account_actions {
    ($($(#[$doc:meta])* $name:ident => $need:expr),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;
        impl AccountAction for $name {
            fn need(user: UserId) -> Need {
                let need: fn(UserId) -> Need = $need;
                need(user)
            }
        }
    )*};
}

account_actions! {
    /// List the own containers, instance types and quota.
    ListContainers => |user| Need::Scope(Resource::Containers(user), Verb::Read),
    /// Create a container.
    CreateContainer => |user| Need::Scope(Resource::Containers(user), Verb::Create),
    /// Open the event socket.
    WatchAccount => |user| Need::Scope(Resource::Account(user), Verb::Read),
    /// List the own SSH keys.
    ListKeys => |user| Need::Scope(Resource::Keys(user), Verb::Read),
    /// Add an SSH key.
    CreateKey => |user| Need::Scope(Resource::Keys(user), Verb::Create),
    /// Remove an SSH key.
    DeleteKey => |user| Need::Scope(Resource::Keys(user), Verb::Delete),
    /// List, create and revoke API tokens.
    ManageTokens => |_| Need::Login,
    /// See everybody's containers.
    Administer => |_| Need::Admin,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Username;
    use crate::user::Source;

    fn user(is_admin: bool) -> User {
        User { id: UserId(7), username: Username::parse("ann").unwrap(), is_admin, source: Source::Local }
    }

    fn actor(user: User, reach: Reach) -> Actor {
        Actor::authenticated(user, reach, Origin::local(chrono::DateTime::UNIX_EPOCH))
    }

    fn scoped(resource: &str, verbs: &[&str]) -> Actor {
        let scopes = Scopes::parse([(resource, verbs.iter().copied())]).unwrap();
        actor(user(true), Reach::Scoped(scopes))
    }

    #[test]
    fn a_grant_names_its_owner_and_target() {
        let id: ContainerId = "bcdfghjk".parse().unwrap();
        let grant = actor(user(false), Reach::Login).may::<Stop>(id).unwrap();
        assert_eq!((grant.owner(), grant.target()), (UserId(7), id));
    }

    #[test]
    fn scopes_bound_a_token() {
        let id: ContainerId = "bcdfghjk".parse().unwrap();
        let actor = scoped("compute.7.containers", &["read"]);
        assert!(actor.may::<Read>(id).is_ok());
        assert_eq!(actor.may::<Stop>(id), Err(Denied::Scope));
        assert!(actor.may_account::<ListContainers>().is_ok());
        assert_eq!(actor.may_account::<CreateContainer>(), Err(Denied::Scope));
        assert_eq!(actor.may_account::<WatchAccount>(), Err(Denied::Scope));
        assert_eq!(actor.may_account::<ManageTokens>(), Err(Denied::NeedsLogin));
        assert_eq!(actor.may_account::<Administer>(), Err(Denied::Scope));
        assert_eq!(scoped("compute.8.containers", &["read"]).may::<Read>(id), Err(Denied::Scope));
    }

    #[test]
    fn keys_have_a_scope_of_their_own() {
        let reader = scoped("compute.7.keys", &["read"]);
        assert!(reader.may_account::<ListKeys>().is_ok());
        assert_eq!(reader.may_account::<CreateKey>(), Err(Denied::Scope));
        assert_eq!(reader.may_account::<DeleteKey>(), Err(Denied::Scope));
        assert_eq!(reader.may_account::<ListContainers>(), Err(Denied::Scope));
        assert_eq!(scoped("compute.7.containers", &["read"]).may_account::<ListKeys>(), Err(Denied::Scope));
        assert!(scoped("compute.7", &["delete"]).may_account::<DeleteKey>().is_ok());
    }

    #[test]
    fn administrators_and_logins() {
        assert!(actor(user(true), Reach::Token).may_account::<Administer>().is_ok());
        assert_eq!(actor(user(false), Reach::Login).may_account::<Administer>(), Err(Denied::NotAdmin));
        assert_eq!(actor(user(true), Reach::Token).may_account::<ManageTokens>(), Err(Denied::NeedsLogin));
        assert!(actor(user(false), Reach::Login).may_account::<ManageTokens>().is_ok());
    }
}
