//! Whom signatures may lead back to: trusted roots and plain keys.

use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use bytes::Bytes;

use super::sigstore::{Key, PUBLIC_GOOD, Root, STAGING};
use crate::package::ProjectName;

/// Name of the embedded trusted root.
pub const PUBLIC_GOOD_NAME: &str = "public-good";

/// Why trust material was refused. Nothing of it is in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The file of a trusted root is none.
    #[error("the trusted root \"{name}\" cannot be used: {why}")]
    Root {
        /// Name it was to have.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file of a key holds none that can be used.
    #[error("the key \"{name}\" cannot be used: {why}")]
    Key {
        /// Name it was to have.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two of one name: evidence would not say which one it means.
    #[error("the name \"{0}\" is given to two trusted roots or two keys; each needs its own")]
    Twice(String),
    /// Anybody can get a signature from Sigstore's staging instance; it never stands beside roots that count.
    #[error(
        "the trusted root \"{0}\" is the one of Sigstore's staging instance, which is for tests: it cannot stand \
         beside another root; use it alone, with `public_good = false`"
    )]
    Staging(String),
    /// A file could not be read.
    #[error("{what}: {path} cannot be read: {why}")]
    Unreadable {
        /// The key of the configuration.
        what: String,
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// Which projects a key may sign.
type Applies = Arc<dyn Fn(&ProjectName) -> bool + Send + Sync>;

/// A key with its name and its projects.
#[derive(Clone)]
pub(super) struct NamedKey {
    pub name: Arc<str>,
    pub key: Arc<Key>,
    applies: Option<Applies>,
}

impl NamedKey {
    pub(super) fn may_sign(&self, project: &ProjectName) -> bool {
        self.applies.as_ref().is_none_or(|applies| applies(project))
    }
}

/// Trust material at one moment; all of it was read before any of it came into force.
#[derive(Clone, Default)]
pub(super) struct Material {
    pub roots: Vec<Arc<Root>>,
    pub keys: Vec<NamedKey>,
}

/// Whom signatures may lead back to. Cheap to clone; clones see what [`Trust::replace`] puts in force.
#[derive(Clone)]
pub struct Trust(Arc<RwLock<Arc<Material>>>);

/// Read once: parsing its certificates takes milliseconds.
static EMBEDDED: LazyLock<Option<Arc<Root>>> = LazyLock::new(|| {
    Root::read(PUBLIC_GOOD_NAME, PUBLIC_GOOD.as_bytes())
        .ok()
        .map(Arc::new)
});

/// To say "this is staging's" where nothing else is known of a signature.
static STAGING_ROOT: LazyLock<Option<Arc<Root>>> =
    LazyLock::new(|| Root::read("staging", STAGING.as_bytes()).ok().map(Arc::new));

/// Sigstore's staging root; for diagnosis only.
pub(super) fn staging() -> Option<Arc<Root>> {
    STAGING_ROOT.clone()
}

impl Default for Trust {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Trust {
    /// The embedded root of Sigstore's public-good instance, and no key.
    pub fn builtin() -> Self {
        Self::of(Material {
            roots: EMBEDDED.iter().cloned().collect(),
            keys: Vec::new(),
        })
    }

    /// Nobody at all.
    pub fn empty() -> Self {
        Self::of(Material::default())
    }

    fn of(material: Material) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(material))))
    }

    /// With one more trusted root: the bytes of a `trusted_root.json`.
    pub fn with_root(&self, name: &str, bytes: &[u8]) -> Result<Self, TrustError> {
        let refused = |why: String| TrustError::Root {
            name: name.to_owned(),
            why,
        };
        let root = Root::read(name, bytes).map_err(refused)?;
        let mut material = (*self.material()).clone();
        if material.roots.iter().any(|other| other.name() == name) {
            return Err(TrustError::Twice(name.to_owned()));
        }
        let is_staging = |root: &Root| staging().is_some_and(|staging| root.same_instance(&staging));
        material.roots.push(Arc::new(root));
        if material.roots.len() > 1
            && let Some(stage) = material.roots.iter().find(|root| is_staging(root))
        {
            return Err(TrustError::Staging(stage.name().to_owned()));
        }
        Ok(Self::of(material))
    }

    /// With one more public key, in PEM, that may sign any project.
    pub fn with_key(&self, name: &str, pem: &[u8]) -> Result<Self, TrustError> {
        self.add_key(name, pem, None)
    }

    /// With one more public key that may sign the projects that `applies` takes.
    pub fn with_key_for(
        &self,
        name: &str,
        pem: &[u8],
        applies: impl Fn(&ProjectName) -> bool + Send + Sync + 'static,
    ) -> Result<Self, TrustError> {
        self.add_key(name, pem, Some(Arc::new(applies)))
    }

    fn add_key(&self, name: &str, pem: &[u8], applies: Option<Applies>) -> Result<Self, TrustError> {
        let key = Key::read(pem).map_err(|why| TrustError::Key {
            name: name.to_owned(),
            why,
        })?;
        let mut material = (*self.material()).clone();
        if material.keys.iter().any(|other| &*other.name == name) {
            return Err(TrustError::Twice(name.to_owned()));
        }
        material.keys.push(NamedKey {
            name: name.into(),
            key: Arc::new(key),
            applies,
        });
        Ok(Self::of(material))
    }

    /// Puts other material in force for every clone of this value, at once and whole: checks that are under way go on
    /// with what they began with.
    pub fn replace(&self, with: &Self) {
        let material = with.material();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = material;
    }

    /// The trusted roots, each with its age.
    pub fn roots(&self) -> Vec<super::facts::TrustRootFact> {
        self.material().roots.iter().map(|root| root.fact()).collect()
    }

    /// The trusted roots by name, byte for byte as they were read.
    pub fn documents(&self) -> Vec<(String, Bytes)> {
        let material = self.material();
        let one = |root: &Arc<Root>| (root.name().to_owned(), root.bytes().clone());
        material.roots.iter().map(one).collect()
    }

    /// The names of the trusted roots and of the keys.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let material = self.material();
        (
            material.roots.iter().map(|root| root.name().to_owned()).collect(),
            material.keys.iter().map(|key| key.name.to_string()).collect(),
        )
    }

    pub(super) fn material(&self) -> Arc<Material> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roots, keys) = self.names();
        f.debug_struct("Trust")
            .field("roots", &roots)
            .field("keys", &keys)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_embedded_roots_are_sound() {
        assert_eq!(Trust::builtin().names().0, [PUBLIC_GOOD_NAME]);
        assert!(staging().is_some());
        let fact = Trust::builtin().material().roots[0].fact();
        assert!(fact.dated.is_some(), "{fact:?}");
    }

    #[test]
    fn staging_stands_alone_or_not_at_all() {
        let staging = STAGING.as_bytes();
        let alone = Trust::empty().with_root("stage", staging).unwrap();
        assert_eq!(alone.names().0, ["stage"]);
        let refused = Trust::builtin().with_root("stage", staging).unwrap_err();
        assert_eq!(refused, TrustError::Staging("stage".to_owned()));
        let refused = alone.with_root("ours", PUBLIC_GOOD.as_bytes()).unwrap_err();
        assert_eq!(refused, TrustError::Staging("stage".to_owned()));
    }

    #[test]
    fn bad_material_is_refused_and_changes_nothing() {
        let trust = Trust::builtin();
        for bytes in [
            &b""[..],
            b"{}",
            b"not json",
            b"{\"mediaType\":\"x\",\"tlogs\":[]}",
            b"\xff",
        ] {
            assert!(
                matches!(trust.with_root("ours", bytes), Err(TrustError::Root { .. })),
                "{bytes:?}"
            );
            assert!(
                matches!(trust.with_key("ours", bytes), Err(TrustError::Key { .. })),
                "{bytes:?}"
            );
        }
        let twice = trust
            .with_root(PUBLIC_GOOD_NAME, PUBLIC_GOOD.as_bytes())
            .unwrap_err();
        assert_eq!(twice, TrustError::Twice(PUBLIC_GOOD_NAME.to_owned()));
        assert_eq!(trust.names().0, [PUBLIC_GOOD_NAME]);
    }

    #[test]
    fn what_is_replaced_is_replaced_for_every_clone() {
        let trust = Trust::builtin();
        let clone = trust.clone();
        trust.replace(&Trust::empty());
        assert_eq!(clone.names(), (vec![], vec![]));
    }
}
