//! `--with-deps` of an export: what the named releases need, resolved among what is admitted here.

use url::Url;

use super::super::client::Client;
use super::super::context::ResolverIndex;
use super::super::exit::Failure;
use super::super::ingest::closure::{self, Wanted};
use super::super::ingest::sources::Sources;
use super::super::output::{count, note};
use super::export::WhatArgs;
use crate::api::{IngestItem, StatusView};

/// Has uv resolve against this site's own index as it is now: nothing that is not admitted is on it.
pub(super) async fn resolve(
    client: &Client,
    sources: &Sources,
    what: &WhatArgs,
) -> Result<Vec<IngestItem>, Failure> {
    let uv = closure::find_uv().await?;
    let status: StatusView = client.get("/api/v1/status").await?;
    let listening = client.listen().await?;
    let url = format!(
        "{}/at/{}/simple/",
        listening.address.as_str().trim_end_matches('/'),
        status.log_size
    );
    let url = Url::parse(&url).map_err(Failure::internal)?;
    let wanted = Wanted {
        pythons: what.pythons(),
        platforms: what.platforms(),
        index: ResolverIndex { url, cert: None },
    };
    let resolved = closure::resolve(&uv, sources, what.requirements(), &wanted).await;
    drop(listening);
    let mut items = resolved.map_err(|failure| {
        Failure::not_admitted(failure.what)
            .next("what is needed and not admitted here must be ingested first")
    })?;
    note(format_args!(
        "uv resolved {}",
        count(items.len() as u64, "release", "releases")
    ));
    // uv names the digests of all files of a release; --python and --platform choose among them.
    for item in &mut items {
        item.hashes.clear();
    }
    Ok(items)
}
