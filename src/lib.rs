//! Chiron: a content-addressed, policy-gated private mirror for Python packages.
//!
//! The library exists for the binary, the benches and the fuzz targets; it promises no stable API.
//! `README.md` has the map of the modules and of who may import whom (`tests/architecture.rs` checks it).

pub mod advisories;
pub mod api;
pub mod app;
mod blocking;
pub mod bundle;
pub mod catalog;
pub mod ceremony;
pub mod cli;
pub mod config;
pub mod http;
pub mod index;
pub mod ingest;
pub mod jobs;
pub mod keys;
pub mod mirror;
pub mod oci;
pub mod package;
pub mod policy;
pub mod proxy;
pub mod publish;
pub mod rebuild;
pub mod snapshot;
pub mod statement;
pub mod telemetry;
pub mod tuf_client;
pub mod upstream;
pub mod verify;
