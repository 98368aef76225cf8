//! The digests that a page gives for a file.

use chiron_storage::digest::Digest;
use serde::{Deserialize, Serialize};

use super::HashClaim;

/// Digests by algorithm, each algorithm once. Nearly every entry of nearly every page has a SHA-256 and
/// nothing else, and pages have thousands of entries: that one is kept as its 32 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<HashClaim>,
}

impl Hashes {
    /// Adds a claim; the first one of an algorithm stands.
    pub fn insert(&mut self, claim: HashClaim) {
        if claim.algorithm == "sha256" {
            if self.sha256.is_none() {
                self.sha256 = claim.value_hex.parse().ok();
            }
        } else if !self.others.iter().any(|other| other.algorithm == claim.algorithm) {
            self.others.push(claim);
        }
    }

    /// The SHA-256.
    pub fn sha256(&self) -> Option<Digest> {
        self.sha256
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.others.len() + usize::from(self.sha256.is_some())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, the SHA-256 first.
    pub fn claims(&self) -> Vec<HashClaim> {
        let sha256 = self.sha256.map(|digest| HashClaim {
            algorithm: "sha256".to_owned(),
            value_hex: digest.to_string(),
        });
        sha256.into_iter().chain(self.others.iter().cloned()).collect()
    }
}

impl FromIterator<HashClaim> for Hashes {
    fn from_iter<T: IntoIterator<Item = HashClaim>>(claims: T) -> Self {
        let mut hashes = Self::default();
        claims.into_iter().for_each(|claim| hashes.insert(claim));
        hashes
    }
}
