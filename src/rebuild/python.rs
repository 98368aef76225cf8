//! The Python that builds: where it is, what it calls itself, and which folders it needs to run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::Deserialize;
use uv_pep508::{MarkerEnvironment, MarkerEnvironmentBuilder};

use super::SandboxError;
use crate::package::{PlatformTagSpec, Version};

/// Asked of the interpreter itself, outside any sandbox and isolated from its user's settings (`-I -S`).
const DESCRIBE: &str = r#"
import json, os, platform, sys, sysconfig
base = getattr(sys, "_base_executable", None) or sys.executable
version = "%d.%d" % sys.version_info[:2]
lib = os.path.join(sys.base_prefix, "lib", "python" + version)
hidden = {os.path.join(lib, "site-packages"), os.path.join(lib, "dist-packages"),
          os.path.join(sys.base_prefix, "lib", "python3", "dist-packages"),
          os.path.join(sys.base_prefix, "lib64", "python" + version, "site-packages")}
libc = platform.libc_ver()
machine = platform.machine()
glibc = libc[1].replace(".", "_") if libc[0] == "glibc" else ""
print(json.dumps({
    "executable": os.path.realpath(base), "prefix": os.path.realpath(sys.base_prefix),
    "hidden": sorted(os.path.realpath(p) for p in hidden if os.path.isdir(p)),
    "major": sys.version_info[0], "minor": sys.version_info[1],
    "platform": "manylinux_%s_%s" % (glibc, machine) if glibc else "any",
    "implementation_name": sys.implementation.name,
    "implementation_version": "%d.%d.%d" % sys.implementation.version[:3],
    "os_name": os.name, "platform_machine": machine,
    "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(), "platform_system": platform.system(),
    "platform_version": platform.version(), "python_full_version": platform.python_version(),
    "python_version": version, "sys_platform": sys.platform}))
"#;

/// The oldest Python whose standard library the driver and the build backends of today run on.
const OLDEST: (u8, u8) = (3, 8);

/// An interpreter.
#[derive(Debug, Clone)]
pub struct Python {
    /// The real program, behind links and shims.
    pub(super) executable: PathBuf,
    /// What must be visible for it to run, when it is not under `/usr`.
    pub(super) prefix: PathBuf,
    /// Folders with packages of this machine: covered in the sandbox.
    pub(super) hidden: Vec<PathBuf>,
    /// For markers of requirements (PEP 508).
    pub(super) markers: MarkerEnvironment,
    /// For tags of wheels (PEP 425).
    pub(super) tags: ((u8, u8), PlatformTagSpec),
    /// For `Requires-Python`, and for the environment lock.
    pub(super) version: Version,
}

#[derive(Deserialize)]
struct Described {
    executable: PathBuf,
    prefix: PathBuf,
    hidden: Vec<PathBuf>,
    major: u8,
    minor: u8,
    platform: String,
    implementation_name: String,
    implementation_version: String,
    os_name: String,
    platform_machine: String,
    platform_python_implementation: String,
    platform_release: String,
    platform_system: String,
    platform_version: String,
    python_full_version: String,
    python_version: String,
    sys_platform: String,
}

impl Python {
    /// Asks `program` (a name on PATH or a path) about itself. Blocking, about 50 ms.
    pub(super) fn find(program: &Path) -> Result<Self, SandboxError> {
        let bad = |why: String| SandboxError::Python {
            program: program.to_owned(),
            why,
        };
        let output = Command::new(program)
            .args(["-I", "-S", "-c", DESCRIBE])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| bad(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(bad(said.lines().last().unwrap_or("it failed").to_owned()));
        }
        let about: Described = serde_json::from_slice(&output.stdout)
            .map_err(|error| bad(format!("its answer is not understood ({error})")))?;
        if (about.major, about.minor) < OLDEST {
            return Err(bad(format!(
                "it is {}, and builds need {}.{} or later",
                about.python_full_version, OLDEST.0, OLDEST.1
            )));
        }
        Self::of(about).map_err(bad)
    }

    fn of(about: Described) -> Result<Self, String> {
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: &about.implementation_name,
            implementation_version: &about.implementation_version,
            os_name: &about.os_name,
            platform_machine: &about.platform_machine,
            platform_python_implementation: &about.platform_python_implementation,
            platform_release: &about.platform_release,
            platform_system: &about.platform_system,
            platform_version: &about.platform_version,
            python_full_version: &about.python_full_version,
            python_version: &about.python_version,
            sys_platform: &about.sys_platform,
        })
        .map_err(|error| error.to_string())?;
        let platform = PlatformTagSpec::from_str(&about.platform).map_err(|error| error.to_string())?;
        Ok(Self {
            version: Version::from_str(&about.python_full_version).map_err(|error| error.to_string())?,
            executable: about.executable,
            prefix: about.prefix,
            hidden: about.hidden,
            markers,
            tags: ((about.major, about.minor), platform),
        })
    }

    /// Its version, for people and for the environment lock.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Where it is.
    pub fn executable(&self) -> &Path {
        &self.executable
    }
}

#[cfg(test)]
impl Python {
    /// `CPython` 3.11 on Linux, not looked for.
    pub(super) fn for_tests() -> Self {
        let text = |text: &str| text.to_owned();
        Self::of(Described {
            executable: "/usr/bin/python3".into(),
            prefix: "/usr".into(),
            hidden: Vec::new(),
            major: 3,
            minor: 11,
            platform: text("manylinux_2_36_x86_64"),
            implementation_name: text("cpython"),
            implementation_version: text("3.11.7"),
            os_name: text("posix"),
            platform_machine: text("x86_64"),
            platform_python_implementation: text("CPython"),
            platform_release: text("6.1"),
            platform_system: text("Linux"),
            platform_version: text("#1"),
            python_full_version: text("3.11.7"),
            python_version: text("3.11"),
            sys_platform: text("linux"),
        })
        .unwrap()
    }
}
