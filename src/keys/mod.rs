//! Private keys: where they are, and how they are asked to sign.
