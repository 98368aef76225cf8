//! Sources with a build backend of their own (PEP 517, `backend-path`), and the wheels that they make: bit for bit the
//! same each time, without any build dependency. What a hostile one does before that is given as Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The backend. `@…@` are filled in.
const BACKEND: &str = r#"
import base64, hashlib, os, sys, time, zipfile

NAME, VERSION = "@name@", "@version@"

def get_requires_for_build_wheel(settings=None):
    return @requires@

def entries():
    info = "%s-%s.dist-info" % (NAME, VERSION)
    files = [(NAME + "/__init__.py", b'__version__ = "%s"\n' % VERSION.encode()),
             (info + "/METADATA", b"Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (NAME.encode(), VERSION.encode())),
             (info + "/WHEEL", b"Wheel-Version: 1.0\nGenerator: own 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")]
    lines = []
    for name, content in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append("%s,sha256=%s,%d\n" % (name, digest, len(content)))
    lines.append(info + "/RECORD,,\n")
    return files + [(info + "/RECORD", "".join(lines).encode())]

def build_wheel(out, settings=None, metadata=None):
    filename = "%s-%s-py3-none-any.whl" % (NAME, VERSION)
    path = os.path.join(out, filename)
    if os.environ.get("HONEST") != "1":
        hostile(path)
    if not os.path.exists(path):
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in entries():
                info = zipfile.ZipInfo(name, (2020, 2, 2, 0, 0, 0))
                info.external_attr = 0o100644 << 16
                wheel.writestr(info, content)
    return filename

def hostile(path):
@hostile@
"#;

/// A release with its own backend.
#[derive(Clone, Debug)]
pub struct Built {
    pub project: String,
    pub version: String,
    /// Part of the arguments of every process of its build: no other process has it.
    pub token: String,
    hostile: String,
    requires: String,
}

impl Built {
    /// One that builds what it should. `project` without dashes.
    pub fn new(project: &str, version: &str) -> Self {
        let unique = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        Self {
            project: project.to_owned(),
            version: version.to_owned(),
            token: format!("own_{project}_{unique}"),
            hostile: "pass".to_owned(),
            requires: "[]".to_owned(),
        }
    }

    /// What it does before it builds. It may write the wheel itself, to `path`.
    #[must_use]
    pub fn hostile(mut self, python: &str) -> Self {
        python.trim().clone_into(&mut self.hostile);
        self
    }

    /// What `get_requires_for_build_wheel` answers, a Python expression.
    #[must_use]
    pub fn requires(mut self, python: &str) -> Self {
        python.clone_into(&mut self.requires);
        self
    }

    fn backend(&self) -> String {
        let hostile: Vec<String> = self.hostile.lines().map(|line| format!("    {line}")).collect();
        BACKEND
            .replace("@name@", &self.project)
            .replace("@version@", &self.version)
            .replace("@requires@", &self.requires)
            .replace("@hostile@", &hostile.join("\n"))
    }

    /// The source distribution: its name and bytes.
    pub fn sdist(&self) -> (String, Vec<u8>) {
        let top = format!("{}-{}", self.project, self.version);
        let pyproject = format!(
            "[build-system]\nrequires = []\nbuild-backend = \"{}\"\nbackend-path = [\".\"]\n",
            self.token
        );
        let info = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n",
            self.project, self.version
        );
        let module = format!("__version__ = \"{}\"\n", self.version);
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, content) in [
            (format!("{top}/PKG-INFO"), info),
            (format!("{top}/pyproject.toml"), pyproject),
            (format!("{top}/{}.py", self.token), self.backend()),
            (format!("{top}/{}/__init__.py", self.project), module),
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_580_601_600);
            header.set_cksum();
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        (
            format!("{top}.tar.gz"),
            tar.into_inner().unwrap().finish().unwrap(),
        )
    }

    /// The wheel that its backend makes when it is honest: its name and bytes.
    pub fn wheel(&self) -> (String, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.py"), self.backend()).unwrap();
        let output = Command::new("python3")
            .args(["-c", "import own; print(own.build_wheel('.'))"])
            .current_dir(folder.path())
            .env("HONEST", "1")
            .env("PYTHONPATH", folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let filename = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let bytes = std::fs::read(folder.path().join(&filename)).unwrap();
        (filename, bytes)
    }

    /// Writes both into a folder: the paths of the wheel and of the source.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let write = |(name, bytes): (String, Vec<u8>)| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        (write(self.wheel()), write(self.sdist()))
    }

    /// The processes of its build that run on this machine now.
    pub fn processes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&self.token) {
                found.push(format!("{}: {line}", entry.path().display()));
            }
        }
        found
    }
}
