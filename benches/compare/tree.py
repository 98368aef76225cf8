"""The static trees that nginx serves: pages with their gzip beside them, wheels and `.metadata` files.

    TREE/files/SHA256/NAME.whl(.metadata)      one folder for all trees
    TREE/{short,long,sizes}/simple/PROJECT/index.json(.gz)
"""

import gzip
import hashlib
import json
import os
import shutil
from pathlib import Path

import pages

#: Files on each page of the `sizes` tree.
PAGE_SIZES = (1, 300, 5_000)

SHORT, LONG, SIZES = "short", "long", "sizes"


def sized_project(files):
    """The name of the synthetic project whose page lists that many files."""
    return f"bench-{files}"


def build(wheels, cache: Path):
    """Build the trees once for a corpus and this code, and return their folder."""
    sources = b"".join(Path(module.__file__).read_bytes() for module in (pages,)) + Path(__file__).read_bytes()
    identity = hashlib.sha256(sources + "".join(wheel.sha256 for wheel in wheels).encode()).hexdigest()[:16]
    done = cache / f"tree-{identity}"
    if done.is_dir():
        return done
    for old in cache.glob("tree-*"):
        shutil.rmtree(old)
    building = cache / f"tree-{identity}.building"
    for wheel in wheels:
        _files(building, wheel)
        write_page(building / SHORT, wheel.project, pages.render(wheel.project, [pages.wheel_row(wheel)]))
    lengths = pages.long_lengths(wheels)
    for wheel in wheels:
        binary = not wheel.filename.endswith("-none-any.whl")
        rows = pages.invented_rows(wheel.project, lengths[wheel.project] - 1, binary=binary, avoid=wheel.version)
        write_page(building / LONG, wheel.project, pages.render(wheel.project, [*rows, pages.wheel_row(wheel)]))
    for number in PAGE_SIZES:
        name = sized_project(number)
        write_page(building / SIZES, name, pages.render(name, pages.invented_rows(name, number, binary=True)))
    for root in (SHORT, LONG, SIZES):
        _project_list(building / root)
    building.rename(done)
    return done


def _files(tree, wheel):
    target = tree / wheel.url_path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(wheel.path, target)
    except OSError:  # another file system
        shutil.copyfile(wheel.path, target)
    target.chmod(0o644)
    target.with_name(target.name + ".metadata").write_bytes(wheel.metadata)


def write_page(root, project, body, compressed=None):
    """Write a page and its gzip: level 9, or `compressed` when that is smaller."""
    folder = root / "simple" / project
    folder.mkdir(parents=True, exist_ok=True)
    best = min((c for c in (gzip.compress(body, 9, mtime=0), compressed) if c), key=len)
    for name, data in (("index.json", body), ("index.json.gz", best)):
        path = folder / name
        path.write_bytes(data)
        os.utime(path, (1_750_000_000, 1_750_000_000))  # gzip_static and ETags want equal, unchanging times


def _project_list(root):
    names = sorted(entry.name for entry in (root / "simple").iterdir())
    page = {"meta": {"api-version": "1.4"}, "projects": [{"name": name} for name in names]}
    write_page(root, ".", json.dumps(page, separators=(",", ":")).encode())
