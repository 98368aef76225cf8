//! Names in the TUF repository: what parses stays in its folder and has one spelling.
#![no_main]

use chiron_tuf::{ConsistentTarget, MetadataName, PublicKey, RoleName, TargetPath};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<MetadataName>() {
        assert_eq!(name.to_string(), text);
        assert!(!text.contains(['/', '\\', '\0', '%']));
    }
    if let Ok(path) = text.parse::<TargetPath>() {
        assert_eq!(path.as_str(), text);
        assert!(text.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.')));
    }
    for target in ConsistentTarget::candidates(text) {
        assert!(target.beside_file() == text || target.before_path() == text);
    }
    if let Ok(role) = text.parse::<RoleName>() {
        assert!(!role.as_str().contains(['/', '.']));
    }
    if let Ok(key) = PublicKey::from_pem(text) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
    }
});
