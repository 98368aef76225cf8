"""Simple pages (PEP 691 JSON): the rows of real wheels, and plausible rows that make a page as long as real ones.

The invented rows name wheels and sdists of other versions, Pythons and platforms. An installer reads past them:
they are never asked for, and no such files exist.
"""

import hashlib
import json
from itertools import count

CONTENT_TYPE = "application/vnd.pypi.simple.v1+json"

#: What the corpus' own pages hold together, and the longest of them (numpy's), as the public index lists them.
LONG_ROWS = 150_000
LONGEST_PAGE = 4_400

_PLATFORMS = ("macosx_10_9_x86_64", "macosx_11_0_arm64", "manylinux2014_aarch64.manylinux_2_17_aarch64",
              "musllinux_1_2_aarch64", "win32", "win_amd64", "win_arm64")
_PYTHONS = ("cp39", "cp310", "cp312", "cp313", "cp314")


def render(project, rows):
    """The page as compact JSON. Fields that say nothing are left out, as Chiron does."""
    versions = sorted({row["version"] for row in rows})
    files = [{key: value for key, value in row.items() if key != "version"} for row in rows]
    page = {"meta": {"api-version": "1.4"}, "name": project, "versions": versions, "files": files}
    return json.dumps(page, separators=(",", ":")).encode()


def wheel_row(wheel):
    """The row of a real wheel."""
    return _row(wheel.filename, wheel.version, wheel.sha256, hashlib.sha256(wheel.metadata).hexdigest(),
                wheel.size, wheel.requires_python)


def invented_rows(project, number, *, binary, avoid=""):
    """`number` rows of files that do not exist, of other versions than `avoid`, the same in every run."""
    distribution = project.replace("-", "_")
    rows = []
    for step in count():
        version = f"0.{step // 10 + 1}.{step % 10}"
        if version == avoid:
            continue
        for filename in _filenames(distribution, version, binary):
            if len(rows) == number:
                return rows
            digest = hashlib.sha256(filename.encode()).hexdigest()
            metadata = hashlib.sha256(digest.encode()).hexdigest() if filename.endswith(".whl") else None
            rows.append(_row(filename, version, digest, metadata, 20_000 + int(digest[:5], 16), ">=3.9"))


def _filenames(distribution, version, binary):
    if binary:
        for python in _PYTHONS:
            for platform in _PLATFORMS:
                yield f"{distribution}-{version}-{python}-{python}-{platform}.whl"
    else:
        yield f"{distribution}-{version}-py3-none-any.whl"
    yield f"{distribution}-{version}.tar.gz"


def _row(filename, version, sha256, metadata, size, requires_python):
    minute, second = int(sha256[:2], 16) % 60, int(sha256[2:4], 16) % 60
    row = {"version": version, "filename": filename, "url": f"../../files/{sha256}/{filename}",
           "hashes": {"sha256": sha256}}
    if requires_python:
        row["requires-python"] = requires_python
    if metadata:
        row["core-metadata"] = {"sha256": metadata}
    return row | {"size": size, "upload-time": f"2025-06-01T12:{minute:02}:{second:02}.000000Z", "yanked": False}


def long_lengths(wheels):
    """How many rows each project's page gets: LONG_ROWS in all, LONGEST_PAGE for numpy, falling by a power law.

    Projects with compiled wheels come first, the larger ones before the smaller: they upload most files a release.
    """
    order = sorted(wheels, key=lambda w: (w.project != "numpy", w.filename.endswith("-none-any.whl"), -w.size))

    def lengths(power):
        return [max(1, round(LONGEST_PAGE * (place + 1) ** -power)) for place in range(len(order))]

    low, high = 0.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(lengths(middle)) > LONG_ROWS else (low, middle)
    return {wheel.project: length for wheel, length in zip(order, lengths(high))}
