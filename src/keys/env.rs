//! Keys in an environment variable: PEM as in a file.

use zeroize::Zeroizing;

use super::error::KeyError;
use super::place::KeyPlace;

/// The variable's text. What was read is wiped when dropped; the process's own copy of its environment stays.
pub fn read(place: &KeyPlace, variable: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    use std::os::unix::ffi::OsStringExt as _;
    let missing = || KeyError::Missing {
        place: place.to_string(),
        why: "the variable is not set in the environment of this process".to_owned(),
    };
    let text = std::env::var_os(variable).filter(|text| !text.is_empty());
    Ok(Zeroizing::new(text.ok_or_else(missing)?.into_vec()))
}
