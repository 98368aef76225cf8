//! A place in a registry as people write it, and versions as tags.

use std::fmt;

use chiron_storage::Digest;
use oci_client::Reference;

use super::OciError;

/// Longest tag (OCI distribution specification, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`), bytes.
const MAX_TAG: usize = 128;

/// `HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]`. The host is always said: there is no registry that is meant by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    registry: String,
    /// Where it is asked: some registries are known under a name that is not their address.
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Whatever the tag points to now.
    Tag(String),
    /// This very document.
    Digest(Digest),
}

impl Place {
    /// Reads what the user named.
    pub fn parse(text: &str) -> Result<Self, OciError> {
        let wrong = |why: &str| OciError::Reference {
            text: text.chars().take(200).collect(),
            why: why.to_owned(),
        };
        let text_only = text.strip_prefix("oci://").unwrap_or(text);
        if text_only.contains("://") {
            return Err(wrong("write it as HOST:PORT/REPOSITORY:TAG, without a scheme"));
        }
        let Some((host, rest)) = text_only.split_once('/') else {
            return Err(wrong("write it as HOST:PORT/REPOSITORY:TAG"));
        };
        // As docker does it; without this the name would be looked for at a registry that nobody named.
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(wrong(
                "it begins with no host; a host has a dot or a port, or is `localhost`",
            ));
        }
        let reference: Reference = text_only
            .parse()
            .map_err(|error: oci_client::ParseError| wrong(&error.to_string()))?;
        let digest = reference
            .digest()
            .map(|digest| {
                let hex = digest.strip_prefix("sha256:");
                hex.and_then(|hex| hex.parse().ok())
                    .ok_or_else(|| wrong("its digest is not sha256:HEX in small letters"))
            })
            .transpose()?;
        // The parser fills in a tag where there is none.
        let named = rest.split_once('@').map_or(rest, |(named, _)| named);
        let tag = named
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'))
            .then(|| reference.tag().map(ToOwned::to_owned))
            .flatten();
        Ok(Self {
            registry: host.to_owned(),
            host: reference.resolve_registry().to_owned(),
            repository: reference.repository().to_owned(),
            tag,
            digest,
        })
    }

    /// Host and port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Host and port to connect to.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, when one was named.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when one was named.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same place under this tag.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        }
    }

    /// What of the repository is meant; `None` when neither tag nor digest was named.
    pub fn wanted(&self) -> Option<Wanted> {
        match (self.digest, &self.tag) {
            (Some(digest), _) => Some(Wanted::Digest(digest)),
            (None, Some(tag)) => Some(Wanted::Tag(tag.clone())),
            (None, None) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@sha256:{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

/// A version as a tag: what a tag cannot hold becomes `_HH` (the byte in two hexadecimal digits), and so does `_`, so
/// that no two versions share a tag. `1!2.0+cpu` is `1_212.0_2bcpu`. One that would be too long ends in a digest.
/// Annotations say what is meant; a tag is only where to look.
pub fn tag_of(version: &str) -> String {
    let mut tag = String::with_capacity(version.len());
    for (at, byte) in version.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || (at > 0 && matches!(byte, b'.' | b'-'));
        if plain {
            tag.push(char::from(byte));
        } else {
            tag.push('_');
            tag.push_str(&hex::encode([byte]));
        }
    }
    if tag.len() > MAX_TAG || tag.is_empty() {
        // All of it is ASCII, so that it can be cut anywhere.
        tag.truncate(60);
        tag.push_str("__");
        tag.push_str(&Digest::of(version.as_bytes()).to_string());
    }
    tag
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_has_a_host_a_repository_and_perhaps_a_tag() {
        let place = Place::parse("127.0.0.1:5000/team/bundles:12-ab12cd34ef56").unwrap();
        assert_eq!(place.registry(), "127.0.0.1:5000");
        assert_eq!(place.repository(), "team/bundles");
        assert_eq!(place.wanted(), Some(Wanted::Tag("12-ab12cd34ef56".to_owned())));
        assert_eq!(place.to_string(), "127.0.0.1:5000/team/bundles:12-ab12cd34ef56");

        let bare = Place::parse("oci://localhost/bundles").unwrap();
        assert_eq!(bare.wanted(), None, "nothing is filled in");
        assert_eq!(bare.with_tag("x").to_string(), "localhost/bundles:x");

        let digest = Digest::of(b"x");
        let by_digest = Place::parse(&format!("mirror.example:1/a/b:t@sha256:{digest}")).unwrap();
        assert_eq!(by_digest.wanted(), Some(Wanted::Digest(digest)));
        assert_eq!(by_digest.tag(), Some("t"));
    }

    #[test]
    fn what_names_no_registry_is_refused() {
        for text in [
            "",
            "bundles",
            "team/bundles:1",
            "localhost",
            "https://mirror.example/a:b",
            "mirror.example/Upper:1",
            "mirror.example/a:b c",
            "mirror.example/a@sha256:12",
            "mirror.example/a@sha512:00",
            "mirror.example/../x",
            "me:secret@mirror.example/a",
        ] {
            assert!(
                matches!(Place::parse(text), Err(OciError::Reference { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn versions_are_tags() {
        for (version, tag) in [
            ("3.0.3", "3.0.3"),
            ("1!2.0+cpu", "1_212.0_2bcpu"),
            ("2.0-x", "2.0-x"),
            ("1_0", "1_5f0"),
        ] {
            assert_eq!(tag_of(version), tag);
        }
        assert!(tag_of(&"1".repeat(400)).len() <= MAX_TAG);
    }

    proptest! {
        #[test]
        fn every_version_is_a_tag_and_none_is_anothers(versions in proptest::collection::vec("[0-9a-z.!+_-]{1,150}", 2)) {
            let mut seen = HashMap::new();
            for version in versions {
                let tag = tag_of(&version);
                prop_assert!(tag.len() <= MAX_TAG);
                prop_assert!(!tag.starts_with(['.', '-']));
                prop_assert!(tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')));
                if let Some(other) = seen.insert(tag, version.clone()) {
                    prop_assert_eq!(other, version);
                }
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            if let Ok(place) = Place::parse(&text) {
                prop_assert_eq!(Place::parse(&place.to_string()).unwrap(), place);
            }
        }
    }
}
