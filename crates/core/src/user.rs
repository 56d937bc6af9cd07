//! Who a caller is, as far as decisions need to know.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::name::Username;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub is_admin: bool,
}
