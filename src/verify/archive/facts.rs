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
    pub error: Option<String>,
    /// `wheel` or `sdist`.
    pub kind: Option<String>,
    /// An sdist's container: `tar.gz` or `zip`.
    pub format: Option<String>,
    /// `Metadata-Version`.
    pub metadata_version: Option<String>,
    /// Entries of the archive, folders too.
    pub entries: Option<u64>,
    /// Entries that are files.
    pub files: Option<u64>,
    /// Bytes unpacked.
    pub unpacked_bytes: Option<u64>,
    /// Sdist: the one folder that holds everything.
    pub top_folder: Option<String>,
    /// Sdist: which of `pyproject.toml`, `setup.py` and `setup.cfg` it has.
    pub build_files: Option<Vec<String>>,
    /// Sdist: `.pth` files anywhere in it.
    pub pth_files: Option<Names>,
    /// Sdist in `tar.gz`: links, all of them leading inside.
    pub links: Option<u64>,
    /// Sdist in `tar.gz`: folders with a set-gid or sticky bit.
    pub special_mode_folders: Option<u64>,
    /// Wheel: bytes of all entries as they are packed.
    pub packed_bytes: Option<u64>,
    /// Wheel: bytes of the largest entry, unpacked.
    pub largest_entry_bytes: Option<u64>,
    /// Wheel: the `.dist-info` folder's name.
    pub dist_info: Option<String>,
    /// Wheel: what it puts beside other packages.
    pub top_level: Option<Names>,
    /// Wheel: `Wheel-Version`.
    pub wheel_version: Option<String>,
    /// Wheel: `Generator`, what built it.
    pub generator: Option<String>,
    /// Wheel: `Root-Is-Purelib`.
    pub root_is_purelib: Option<bool>,
    /// Wheel: every tag of `WHEEL`.
    pub tags: Option<Vec<String>>,
    /// Wheel: `equal`, or `narrowed` when the name is narrower than `WHEEL` in its platform.
    pub tags_agree: Option<String>,
    /// Wheel: `Build` of `WHEEL`.
    pub build: Option<String>,
    /// Wheel: hashes in `RECORD` by algorithm, and rows without a size.
    pub record: Option<BTreeMap<String, u64>>,
    /// Wheel: files that Python runs whenever it starts (`.pth`, `sitecustomize`, `usercustomize`).
    pub start_up: Option<Names>,
    /// Wheel: shared libraries and extension modules, by name.
    pub native_libraries: Option<Names>,
    /// Wheel: folders that repair tools put foreign libraries in.
    pub bundled_library_folders: Option<Names>,
    /// Wheel: files in `.dist-info/sboms/`.
    pub sboms: Option<Names>,
    /// Wheel: archives inside.
    pub nested_archives: Option<Names>,
    /// Wheel: signatures over `RECORD` (`RECORD.jws`, `RECORD.p7s`), which nobody checks.
    pub signatures: Option<Names>,
    /// Wheel: files in each scheme of its `.data` folder.
    pub data_schemes: Option<BTreeMap<String, u64>>,
    /// Wheel: files of the `scripts` scheme, installed as commands.
    pub scripts: Option<Names>,
    /// Wheel: commands of `console_scripts` and `gui_scripts`; of other groups how many entries they have.
    pub entry_points: Option<BTreeMap<String, Value>>,
    /// Wheel: files with an executable bit, by what they are.
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
