//! Where a repository is: at an address, or in a folder.

use std::path::{Path, PathBuf};

use url::Url;

use super::error::TufClientError;
use super::http::{Http, Patience};
use super::transport::FetchError;

/// A TUF repository: where its metadata and where its targets are.
#[derive(Clone)]
pub enum Source {
    /// Both end in `/`.
    Http {
        /// Above `timestamp.json`.
        metadata: Url,
        /// Above the targets' paths.
        targets: Url,
    },
    /// On this machine's disk.
    Folder {
        /// With `timestamp.json`.
        metadata: PathBuf,
        /// Above the targets' paths.
        targets: PathBuf,
    },
}

/// Below a repository's address or folder: metadata, targets. A daemon's own address, a repository's, and one that keeps
/// its metadata at the top.
const LAYOUTS: [(&str, &str); 3] = [
    ("tuf/metadata/", "tuf/targets/"),
    ("metadata/", "targets/"),
    ("", "targets/"),
];

impl Source {
    /// What the daemon at `base` serves.
    pub fn daemon(base: &Url) -> Result<Self, TufClientError> {
        Self::below(base, LAYOUTS[0])
    }

    fn below(base: &Url, (metadata, targets): (&str, &str)) -> Result<Self, TufClientError> {
        let base = folder_url(base);
        let join = |to: &str| {
            base.join(to)
                .map_err(|error| TufClientError::Setup(format!("the address cannot be used: {error}")))
        };
        Ok(Self::Http {
            metadata: join(metadata)?,
            targets: join(targets)?,
        })
    }

    /// The repository at `base`: a daemon's address, or the address above `metadata/` and `targets/`.
    pub async fn find(base: &Url, patience: Patience) -> Result<Self, TufClientError> {
        let http = Http::new(base, patience).map_err(TufClientError::Setup)?;
        for layout in LAYOUTS {
            let source = Self::below(base, layout)?;
            let Self::Http { metadata, .. } = &source else {
                continue;
            };
            let url = metadata
                .join("timestamp.json")
                .map_err(|error| TufClientError::Setup(error.to_string()))?;
            let found = http.document(url, chiron_tuf::limits::MAX_TIMESTAMP_BYTES).await;
            match found {
                Ok(None) => {}
                // Too long is the client's to refuse, in its words.
                Ok(Some(_)) | Err(FetchError::TooLong { .. }) => return Ok(source),
                Err(error) => return Err(error.about("timestamp.json")),
            }
        }
        Err(TufClientError::Unreachable {
            file: "timestamp.json".to_owned(),
            why: "there is none at this address, nor below metadata/ or tuf/metadata/".to_owned(),
        })
    }

    /// The repository in a folder: a daemon's data folder, or the folder above `metadata/` and `targets/`.
    pub fn folder(base: &Path) -> Result<Self, TufClientError> {
        for (metadata, targets) in LAYOUTS {
            let metadata = base.join(metadata);
            if metadata.join("timestamp.json").is_file() {
                return Ok(Self::Folder {
                    metadata,
                    targets: base.join(targets),
                });
            }
        }
        Err(TufClientError::Setup(format!(
            "there is no timestamp.json in {}, nor below metadata/ or tuf/metadata/",
            base.display()
        )))
    }
}

/// The same address with a `/` at the end, below which others are found.
pub fn folder_url(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url.set_query(None);
    url.set_fragment(None);
    url
}

impl Source {
    /// Whether it has a place for the targets' content: a daemon's folder on disk has only metadata.
    pub fn has_targets(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Folder { targets, .. } => targets.is_dir(),
        }
    }
}
