//! TUF for Chiron: roles, their names, their keys and how long their signatures hold.
//!
//! These are the words only; metadata, signing and verification come with the issue that publishes over TUF.
//! Section numbers mean The Update Framework's specification, version 1.0.

mod expiry;
mod key_id;
mod role;
mod threshold;

pub use expiry::{ExpiryError, TIMESTAMP_RESIGN_EVERY, expires_at, lifetime};
pub use key_id::{KeyId, KeyIdError};
pub use role::{Bin, Role, RoleName, RoleNameError};
pub use threshold::{RoleKeys, Threshold, ThresholdError};
