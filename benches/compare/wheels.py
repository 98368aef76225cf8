"""The corpus: pinned wheels, downloaded once with pip into the cache folder, and what a page says of them."""

import hashlib
import os
import re
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from process import Failed

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)\s+(?P<hashes>--hash=sha256:[0-9a-f]{64}.*)$")
_REQUIRES_PYTHON = re.compile(rb"^Requires-Python: *(.+?)\s*$", re.MULTILINE)

#: The CPython that the corpus is pinned for (on Linux x86-64); pip and uv are told so when they run on another.
PYTHON = "3.11"


@dataclass(frozen=True)
class Wheel:
    """One wheel of the corpus, with everything that its row on a simple page says."""

    path: Path
    project: str
    version: str
    sha256: str
    size: int
    requires_python: str | None
    metadata: bytes

    @property
    def filename(self):
        return self.path.name

    @property
    def url_path(self):
        """The content address that Chiron and the static tree share."""
        return f"/files/{self.sha256}/{self.filename}"


def normalize(name):
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def load(requirements: Path, folder: Path, python: str):
    """The wheels of a hash-pinned requirements file: read from `folder`, downloaded by pip where absent."""
    pins = {}
    for line in requirements.read_text().splitlines():
        if match := _PIN.match(line):
            digests = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", match["hashes"]))
            pins[normalize(match["name"])] = (match["version"], digests)
        elif line.strip() and not line.startswith("#"):
            raise Failed(f"{requirements}: not a pin with a SHA-256: {line!r}")
    wheels = _read(pins, folder)
    if len(wheels) < len(pins):
        _download(requirements, folder, python)
        wheels = _read(pins, folder)
    if missing := sorted(set(pins) - {wheel.project for wheel in wheels}):
        raise Failed(f"{folder} lacks wheels with the pinned SHA-256 of: {', '.join(missing)}")
    return sorted(wheels, key=lambda wheel: wheel.project)


def _download(requirements, folder, python):
    folder.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", str(requirements)]
    command += ["--dest", str(folder), "--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"]
    command += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    tags = ("_2_28", "_2_27", "_2_24", "_2_17", "2014", "2010", "1")
    command += [f"--platform=manylinux{tag}_x86_64" for tag in tags]
    # The index is the one that pip on this machine is configured with, so pip keeps its environment.
    if subprocess.run(command, env=os.environ, timeout=1800).returncode != 0:
        raise Failed("pip could not download the corpus: see above")


def _read(pins, folder):
    found = []
    for path in sorted(folder.glob("*.whl")) if folder.is_dir() else ():
        project = normalize(path.name.split("-")[0])
        version, digests = pins.get(project, (None, ()))
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in digests:
            metadata = _metadata(path)
            requires = _REQUIRES_PYTHON.search(metadata)
            found.append(
                Wheel(path, project, version, sha256, len(data), requires and requires[1].decode(), metadata)
            )
    return found


def _metadata(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                return archive.read(name)
    raise Failed(f"{path} has no METADATA")
