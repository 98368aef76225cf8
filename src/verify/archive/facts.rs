//! The facts of the `structure` check, as a type: what policy may rely on, and what the published schema says.
//!
//! The check states its facts one by one while it reads, and stops at the first defect, so every fact may be missing
//! but the findings. Which ones a sound wheel and a sound sdist have is said at each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The facts of the `structure` check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StructureFacts {
    /// The first 50 defects; any makes the check fail.
    pub findings: Vec<StructureFinding>,
    /// How many there are.
    pub findings_total: u64,
    /// Instead of everything else: why the file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `wheel` or `sdist`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// An sdist's container: `tar.gz` or `zip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// `Metadata-Version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_version: Option<String>,
    /// Entries of the archive, folders too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Entries that are files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked_bytes: Option<u64>,
    /// Sdist: the one folder that holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_folder: Option<String>,
    /// Sdist: which of `pyproject.toml`, `setup.py` and `setup.cfg` it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_files: Option<Vec<String>>,
    /// Sdist: `.pth` files anywhere in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pth_files: Option<Names>,
    /// Sdist in `tar.gz`: links, all of them leading inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<u64>,
    /// Sdist in `tar.gz`: folders with a set-gid or sticky bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_mode_folders: Option<u64>,
    /// Wheel: bytes of all entries as they are packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_bytes: Option<u64>,
    /// Wheel: bytes of the largest entry, unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_entry_bytes: Option<u64>,
    /// Wheel: the `.dist-info` folder's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dist_info: Option<String>,
    /// Wheel: what it puts beside other packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_level: Option<Names>,
    /// Wheel: `Wheel-Version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wheel_version: Option<String>,
    /// Wheel: `Generator`, what built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// Wheel: `Root-Is-Purelib`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_is_purelib: Option<bool>,
    /// Wheel: every tag of `WHEEL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Wheel: `equal`, or `narrowed` when the name is narrower than `WHEEL` in its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags_agree: Option<String>,
    /// Wheel: `Build` of `WHEEL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Wheel: hashes in `RECORD` by algorithm, and rows without a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<BTreeMap<String, u64>>,
    /// Wheel: files that Python runs whenever it starts (`.pth`, `sitecustomize`, `usercustomize`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_up: Option<Names>,
    /// Wheel: shared libraries and extension modules, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_libraries: Option<Names>,
    /// Wheel: folders that repair tools put foreign libraries in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundled_library_folders: Option<Names>,
    /// Wheel: files in `.dist-info/sboms/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sboms: Option<Names>,
    /// Wheel: archives inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_archives: Option<Names>,
    /// Wheel: signatures over `RECORD` (`RECORD.jws`, `RECORD.p7s`), which nobody checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Names>,
    /// Wheel: files in each scheme of its `.data` folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_schemes: Option<BTreeMap<String, u64>>,
    /// Wheel: files of the `scripts` scheme, installed as commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Names>,
    /// Wheel: commands of `console_scripts` and `gui_scripts`; of other groups how many entries they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_points: Option<BTreeMap<String, Value>>,
    /// Wheel: files with an executable bit, by what they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executables: Option<Executable>,
}

/// One defect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StructureFinding {
    /// Stable name.
    pub code: String,
    /// The entry concerned; absent for the archive as a whole.
    pub entry: Option<String>,
    /// For a person.
    pub detail: String,
}

/// A list of names: how many there are, and the first 50.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// All of them.
    pub count: u64,
    /// The first ones, shortened and with control characters escaped.
    pub first: Vec<String>,
}

/// Files with an executable bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Executable {
    /// All of them.
    pub count: u64,
    /// Every file of the archive has the bit, so it says nothing.
    pub every_file: bool,
    /// In the `scripts` scheme.
    pub scripts: u64,
    /// Native programs and libraries, by content.
    pub native: u64,
    /// Beginning with `#!`.
    pub shebang: u64,
    /// Python modules.
    pub python: Names,
    /// Anything else.
    pub unexpected: Names,
}
