//! Which wheels run where: compatibility tags (PEP 425, 600, 656) seen from a mirror.
//!
//! A mirror asks "could a machine of this kind install it?", not "which one is best?".

use std::fmt;
use std::str::FromStr;

use uv_distribution_filename::WheelFilename;
use uv_platform_tags::{AbiTag, Arch, BinaryFormat, CPythonAbiVariants, LanguageTag, PlatformTag};

/// The machines a mirror keeps wheels for.
///
/// | text | keeps |
/// |---|---|
/// | `any` | wheels for every platform, only |
/// | `manylinux_2_17_x86_64` | wheels for that glibc or an older one, and that processor |
/// | `musllinux_1_2_aarch64` | the same for musl |
/// | `macosx_11_0_arm64` | wheels for that macOS or an older one, universal ones included |
/// | `win_amd64`, … | wheels with exactly this tag |
/// | `linux`, `manylinux`, `musllinux`, `macos`, `windows` | every version and processor of the family |
/// | `linux_x86_64`, `macos_arm64`, `windows-amd64`, … | every version, that processor |
///
/// `linux` means glibc and musl. Wheels for every platform (`any`) are kept by all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlatformTagSpec(Spec);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Spec {
    Any,
    Tag(PlatformTag),
    Family(Family, Option<Arch>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    Linux,
    Manylinux,
    Musllinux,
    Macos,
    Windows,
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a platform; give a PEP 425 tag (manylinux_2_28_x86_64, macosx_11_0_arm64, win_amd64, any) \
     or a family (linux, manylinux, musllinux, macos, windows), with or without a processor (linux_x86_64)"
)]
pub struct PlatformError(String);

/// Longest platform text, in bytes.
const MAX_PLATFORM_BYTES: usize = 64;

impl FromStr for PlatformTagSpec {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || PlatformError(text.chars().take(MAX_PLATFORM_BYTES).collect());
        if text.len() > MAX_PLATFORM_BYTES {
            return Err(shown());
        }
        let lower = text.trim().to_ascii_lowercase().replace('-', "_");
        let spec = match PlatformTag::from_str(&lower) {
            Ok(PlatformTag::Any) => Spec::Any,
            // As a tag this is for machines of unknown libc, which nobody publishes for: the family is meant.
            Ok(PlatformTag::Linux { arch }) => Spec::Family(Family::Linux, Some(arch)),
            Ok(tag) => Spec::Tag(tag),
            Err(_) => family(&lower).ok_or_else(shown)?,
        };
        Ok(Self(spec))
    }
}

fn family(text: &str) -> Option<Spec> {
    let (word, arch) = match text.split_once('_') {
        Some((word, arch)) => (word, Some(processor(arch)?)),
        None => (text, None),
    };
    let family = match word {
        "linux" => Family::Linux,
        "manylinux" => Family::Manylinux,
        "musllinux" => Family::Musllinux,
        "macos" | "macosx" | "darwin" => Family::Macos,
        "windows" | "win" => Family::Windows,
        _ => return None,
    };
    Some(Spec::Family(family, arch))
}

fn processor(text: &str) -> Option<Arch> {
    match text {
        "amd64" | "x64" => Some(Arch::X86_64),
        "arm64" => Some(Arch::Aarch64),
        "x86" | "i386" => Some(Arch::X86),
        other => other.parse().ok(),
    }
}

impl fmt::Display for PlatformTagSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Spec::Any => f.write_str("any"),
            Spec::Tag(tag) => tag.fmt(f),
            Spec::Family(family, arch) => {
                f.write_str(match family {
                    Family::Linux => "linux",
                    Family::Manylinux => "manylinux",
                    Family::Musllinux => "musllinux",
                    Family::Macos => "macos",
                    Family::Windows => "windows",
                })?;
                arch.map_or(Ok(()), |arch| write!(f, "_{arch}"))
            }
        }
    }
}

/// Whether `CPython` of the version `python` (major, minor; the ordinary build, not the free-threaded one) on `platform`
/// could install this wheel.
pub fn compatible(wheel: &WheelFilename, python: (u8, u8), platform: &PlatformTagSpec) -> bool {
    runs_on(wheel, python) && built_for(wheel, platform)
}

/// Whether `CPython` of the version `python` could import this wheel's code.
pub fn runs_on(wheel: &WheelFilename, python: (u8, u8)) -> bool {
    let pairs = wheel
        .python_tags()
        .iter()
        .flat_map(|language| wheel.abi_tags().iter().map(move |abi| (*language, *abi)));
    pairs
        .into_iter()
        .any(|(language, abi)| python_fits(language, abi, python))
}

/// Whether this wheel is for `platform`.
pub fn built_for(wheel: &WheelFilename, platform: &PlatformTagSpec) -> bool {
    wheel
        .platform_tags()
        .iter()
        .any(|tag| tag.is_any() || platform_fits(tag, &platform.0))
}

fn python_fits(language: LanguageTag, abi: AbiTag, python: (u8, u8)) -> bool {
    let other_builds = CPythonAbiVariants::Freethreading | CPythonAbiVariants::Debug;
    match (language, abi) {
        (
            LanguageTag::CPython { python_version },
            AbiTag::CPython {
                python_version: abi,
                variant,
            },
        ) => python_version == python && abi == python && !variant.intersects(other_builds),
        (
            LanguageTag::CPython {
                python_version: (major, minor),
            },
            AbiTag::Abi3,
        ) => {
            // The stable ABI began with 3.2 and is promised to every later minor version.
            major == 3 && python.0 == 3 && (2..=python.1).contains(&minor)
        }
        (LanguageTag::CPython { python_version }, AbiTag::None) => python_version == python,
        (LanguageTag::Python { major, minor }, AbiTag::None) => {
            major == python.0 && minor.is_none_or(|minor| minor <= python.1)
        }
        _ => false,
    }
}

fn platform_fits(tag: &PlatformTag, wanted: &Spec) -> bool {
    match wanted {
        Spec::Any => false,
        Spec::Family(family, arch) => {
            let of_family = match family {
                Family::Linux => tag.is_linux(),
                Family::Manylinux => glibc(tag).is_some(),
                Family::Musllinux => matches!(tag, PlatformTag::Musllinux { .. }),
                Family::Macos => tag.is_macos(),
                Family::Windows => tag.is_windows(),
            };
            of_family && arch.is_none_or(|arch| has_processor(tag, arch))
        }
        Spec::Tag(PlatformTag::Macos {
            major,
            minor,
            binary_format,
        }) => match tag {
            PlatformTag::Macos {
                major: oldest_major,
                minor: oldest_minor,
                binary_format: built,
            } => (oldest_major, oldest_minor) <= (major, minor) && mac_runs(*built, *binary_format),
            _ => false,
        },
        Spec::Tag(PlatformTag::Musllinux { major, minor, arch }) => match tag {
            PlatformTag::Musllinux {
                major: tag_major,
                minor: tag_minor,
                arch: tag_arch,
            } => tag_major == major && tag_minor <= minor && tag_arch == arch,
            PlatformTag::Linux { arch: tag_arch } => tag_arch == arch,
            _ => false,
        },
        Spec::Tag(wanted) => match (glibc(wanted), glibc(tag), tag) {
            (Some((newest, arch)), Some((oldest, tag_arch)), _) => {
                oldest.0 == newest.0 && oldest.1 <= newest.1 && tag_arch == arch
            }
            (Some((_, arch)), None, PlatformTag::Linux { arch: tag_arch }) => *tag_arch == arch,
            _ => tag == wanted,
        },
    }
}

/// The glibc version a manylinux tag demands (PEP 600 gives the old names theirs) and its processor.
fn glibc(tag: &PlatformTag) -> Option<((u16, u16), Arch)> {
    match tag {
        PlatformTag::Manylinux { major, minor, arch } => Some(((*major, *minor), *arch)),
        PlatformTag::Manylinux1 { arch } => Some(((2, 5), *arch)),
        PlatformTag::Manylinux2010 { arch } => Some(((2, 12), *arch)),
        PlatformTag::Manylinux2014 { arch } => Some(((2, 17), *arch)),
        _ => None,
    }
}

fn has_processor(tag: &PlatformTag, arch: Arch) -> bool {
    match tag {
        PlatformTag::Musllinux { arch: built, .. } | PlatformTag::Linux { arch: built } => *built == arch,
        PlatformTag::Macos { binary_format, .. } => match arch {
            Arch::Aarch64 => mac_runs(*binary_format, BinaryFormat::Arm64),
            Arch::X86_64 => mac_runs(*binary_format, BinaryFormat::X86_64),
            _ => false,
        },
        PlatformTag::Win32 => arch == Arch::X86,
        PlatformTag::WinAmd64 => arch == Arch::X86_64,
        PlatformTag::WinArm64 => arch == Arch::Aarch64,
        other => glibc(other).is_some_and(|(_, built)| built == arch),
    }
}

/// Whether a binary of the format `built` runs on a Mac of the kind `machine`.
fn mac_runs(built: BinaryFormat, machine: BinaryFormat) -> bool {
    match machine {
        BinaryFormat::Arm64 => matches!(built, BinaryFormat::Arm64 | BinaryFormat::Universal2),
        BinaryFormat::X86_64 => matches!(
            built,
            BinaryFormat::X86_64
                | BinaryFormat::Intel
                | BinaryFormat::Fat64
                | BinaryFormat::Fat32
                | BinaryFormat::Universal2
                | BinaryFormat::Universal
        ),
        // As a wish, "universal2" means Macs of both kinds.
        BinaryFormat::Universal2 => {
            mac_runs(built, BinaryFormat::Arm64) || mac_runs(built, BinaryFormat::X86_64)
        }
        other => built == other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn fits(tags: &str, python: (u8, u8), platform: &str) -> bool {
        let wheel = WheelFilename::from_str(&format!("foo-1.0-{tags}.whl")).unwrap();
        compatible(&wheel, python, &platform.parse().unwrap())
    }

    #[test]
    fn pythons() {
        for (tags, python, expected) in [
            ("cp311-cp311-any", (3, 11), true),
            ("cp310-cp310-any", (3, 11), false),
            ("cp38-abi3-any", (3, 11), true),
            ("cp312-abi3-any", (3, 11), false),
            ("py3-none-any", (3, 11), true),
            ("py2.py3-none-any", (3, 11), true),
            ("py2.py3-none-any", (2, 7), true),
            ("py2-none-any", (3, 11), false),
            ("py312-none-any", (3, 11), false),
            ("py38-none-any", (3, 11), true),
            ("cp311-none-any", (3, 11), true),
            ("cp310-none-any", (3, 11), false),
            ("cp313-cp313t-any", (3, 13), false),
            ("cp37-cp37m-any", (3, 7), true),
            ("cp27-cp27mu-any", (2, 7), true),
            ("pp310-pypy310_pp73-any", (3, 10), false),
            ("cp39.cp310.cp311-cp39.cp310.cp311-any", (3, 10), true),
        ] {
            assert_eq!(fits(tags, python, "any"), expected, "{tags} on {python:?}");
        }
    }

    #[test]
    fn platforms() {
        let old = "manylinux_2_17_x86_64.manylinux2014_x86_64";
        for (tag, platform, expected) in [
            ("any", "any", true),
            ("any", "win_amd64", true),
            (old, "any", false),
            (old, "manylinux_2_17_x86_64", true),
            (old, "manylinux2014_x86_64", true),
            (old, "manylinux_2_28_x86_64", true),
            (old, "manylinux_2_12_x86_64", false),
            (old, "manylinux_2_28_aarch64", false),
            (old, "musllinux_1_2_x86_64", false),
            (old, "linux", true),
            (old, "linux_x86_64", true),
            (old, "linux-amd64", true),
            (old, "linux_arm64", false),
            (old, "manylinux", true),
            (old, "musllinux", false),
            ("manylinux1_x86_64", "manylinux_2_5_x86_64", true),
            ("linux_x86_64", "manylinux_2_5_x86_64", true),
            ("musllinux_1_1_x86_64", "musllinux_1_2_x86_64", true),
            ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", false),
            ("musllinux_1_2_x86_64", "linux", true),
            ("macosx_10_9_x86_64", "macosx_11_0_x86_64", true),
            ("macosx_10_9_universal2", "macosx_11_0_arm64", true),
            ("macosx_10_9_x86_64", "macosx_11_0_arm64", false),
            ("macosx_12_0_arm64", "macosx_11_0_arm64", false),
            ("macosx_12_0_arm64", "macos", true),
            ("macosx_12_0_arm64", "macos_arm64", true),
            ("macosx_12_0_arm64", "macosx_13_0_universal2", true),
            ("win_amd64", "win_amd64", true),
            ("win32", "win_amd64", false),
            ("win32", "windows", true),
            ("win_arm64", "windows_arm64", true),
            ("win_amd64", "linux", false),
            ("plan9_mips", "linux", false),
        ] {
            assert_eq!(
                fits(&format!("py3-none-{tag}"), (3, 11), platform),
                expected,
                "{tag} on {platform}"
            );
        }
    }

    #[test]
    fn texts_that_name_no_platform_say_what_would() {
        for text in ["", "amiga", "linux_mips", "manylinux_2_17", &"x".repeat(100)] {
            let error = PlatformTagSpec::from_str(text).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("is not a platform; give a PEP 425 tag"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn platforms_round_trip(text in "(any|win32|win_amd64|linux|macos|windows|manylinux|musllinux)|\
            (linux|macos|windows|manylinux|musllinux)[-_](amd64|arm64|x86_64|aarch64)|manylinux_2_[0-9]{1,2}_x86_64") {
            let spec: PlatformTagSpec = text.parse().unwrap();
            prop_assert_eq!(spec.to_string().parse::<PlatformTagSpec>().unwrap(), spec);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,80}") {
            if let Ok(spec) = PlatformTagSpec::from_str(&text) {
                prop_assert!(PlatformTagSpec::from_str(&spec.to_string()).is_ok());
            }
        }

        #[test]
        fn a_newer_glibc_keeps_what_an_older_one_keeps(minor in 5u8..40, target in 5u8..40, more in 0u8..10) {
            let tags = format!("py3-none-manylinux_2_{minor}_x86_64");
            if fits(&tags, (3, 11), &format!("manylinux_2_{target}_x86_64")) {
                let newer = format!("manylinux_2_{}_x86_64", target + more);
                prop_assert!(fits(&tags, (3, 11), &newer));
            }
        }
    }
}
