//! The log's checkpoint as the TUF repository signs it: the two vouch for each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use chiron_tuf::limits::MAX_ROOT_BYTES;
use clap::Args;
use jiff::Timestamp;

use super::at_hand;
use super::keys::Authorities;
use crate::blocking;
use crate::cli::exit::Failure;
use crate::cli::proxy::{client_failure, web_address};
use crate::tuf_client::{Patience, Source, TufClient, TufClientError};

/// How long the repository may say nothing.
const STALL: Duration = Duration::from_secs(10);

/// Where the TUF repository is, and what it is believed by.
#[derive(Debug, Args)]
pub struct TufArgs {
    /// Also hold the log against the checkpoint that this TUF repository signs
    #[arg(long, value_name = "URL|DIR", requires = "root")]
    pub tuf: Option<String>,
    /// The TUF root that you trust: the first one, or any later one
    #[arg(long, value_name = "FILE", requires = "tuf")]
    pub root: Option<PathBuf>,
    /// Folder that remembers which metadata was seen, so that older metadata is refused [default: nothing is remembered]
    #[arg(long, value_name = "DIR", requires = "tuf")]
    pub state: Option<PathBuf>,
}

/// What the repository says of the log, verified by TUF.
pub struct Vouched {
    /// The signed checkpoint. The log's own signature is not looked at yet.
    pub checkpoint: Vec<u8>,
    /// Whose keys the root states.
    pub keys: Authorities,
}

/// Asks the repository.
///
/// One of the checkpoints `at_hand` may be it: then only metadata is read, and a folder without targets is enough.
pub async fn vouched(place: &str, args: &TufArgs, at_hand: &[Vec<u8>]) -> Result<Vouched, Failure> {
    let root = args
        .root
        .as_ref()
        .ok_or_else(|| Failure::usage("a TUF repository is believed by its root").next("--root root.json"))?;
    let root = at_hand::read(root, MAX_ROOT_BYTES, "a TUF root")?;
    let patience = Patience::stalling_after(STALL);
    let source = source(place, patience).await?;
    // Without a folder of its own the client remembers for as long as it is asked.
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
    let state = args.state.clone().unwrap_or_else(|| scratch.path().to_owned());
    let opening = blocking::run(move || TufClient::open(source, &root, &state, patience));
    let client = opening
        .await
        .map_err(Failure::internal)?
        .map_err(|error| client_failure(&error))?;
    let newest = newest(&client, at_hand, Timestamp::now()).await;
    let checkpoint = newest.map_err(|error| client_failure(&error))?.ok_or_else(|| {
        Failure::not_admitted(format_args!(
            "the TUF repository does not list {}: it does not vouch for the log",
            TargetPath::checkpoint()
        ))
        .next("is this the repository of the daemon whose log it is?")
    })?;
    Ok(Vouched {
        checkpoint,
        keys: client.authorities().await,
    })
}

async fn newest(
    client: &TufClient,
    at_hand: &[Vec<u8>],
    now: Timestamp,
) -> Result<Option<Vec<u8>>, TufClientError> {
    client.refresh(now).await?;
    let Some(target) = client.target(&TargetPath::checkpoint(), now).await? else {
        return Ok(None);
    };
    if let Some(note) = at_hand.iter().find(|note| Digest::of(note) == target.sha256) {
        return Ok(Some(note.clone()));
    }
    let bytes = client.fetch_bytes(&target, at_hand::MAX_CHECKPOINT_BYTES).await?;
    Ok(Some(bytes.to_vec()))
}

async fn source(place: &str, patience: Patience) -> Result<Source, Failure> {
    let folder = Path::new(place);
    let source = if folder.is_dir() {
        Source::folder(folder)
    } else {
        // Not repeated in the error: an address may hold a password.
        let url = web_address(place).map_err(|why| {
            Failure::usage(format_args!(
                "the repository is neither a folder that is there nor an address: {why}"
            ))
        })?;
        Source::find(url.expose(), patience).await
    };
    source.map_err(|error| client_failure(&error))
}
