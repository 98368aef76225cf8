//! What the tests against the real binary share.
//!
//! A test that uses both a [`daemon::Daemon`] and an [`upstream::FakeUpstream`] runs on
//! `#[tokio::test(flavor = "multi_thread")]`: the daemon's helpers block the test's own thread while
//! the fake upstream answers on another.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

pub mod advisories;
pub mod builds;
pub mod bundles;
pub mod clients;
pub mod closed;
pub mod daemon;
pub mod der;
pub mod docker_registry;
pub mod documents;
pub mod hostile;
pub mod jobs;
pub mod man_in_the_middle;
pub mod oci_registry;
pub mod people;
pub mod proxy;
pub mod raw;
pub mod release;
pub mod signed;
pub mod sigstore;
pub mod site;
pub mod upstream;
pub mod vectors;
pub mod wheels;
