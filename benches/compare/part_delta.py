"""An increment of upgraded wheels as deltas against the older ones that the receiver has: real releases, minor and major versions."""

import json
from pathlib import Path

import tree
import wheels
from bench import discard
from process import Failed
from report import CHIRON, Row

#: Hash-pinned requirements: the same projects, before and after.
UPGRADES = [Path(__file__).parent / f"upgrades-{when}.txt" for when in ("before", "after")]

#: Of the new bytes; resident bytes of the export and the import.
REACH, REACH_MEMORY = 0.55, 200

#: Seconds for an export with deltas: some megabytes of wheel a second.
PATIENCE = 1_800


def measure(bench):
    """The older wheels go over in a first bundle, a receipt comes back, the newer ones follow as deltas."""
    if not bench.chiron:
        return
    kept = bench.tree.parent / "upgrades"
    before, after = (wheels.load(pins, kept, str(bench.uv.parent / "python")) for pins in UPGRADES)
    sender, receiver = bench.site(tree.SHORT), bench.site(tree.SHORT)
    disk = bench.folder("upgrades")
    try:
        for site in (sender, receiver):
            site.run("init")
        sender.run("ingest", *(wheel.path for wheel in before))
        sender.run("airgap", "export", disk / "first")
        root = sender.data / "tuf" / "root.json"
        receiver.run("airgap", "import", disk / "first", "--root", root, "--receipt", disk / "receipt.json")
        sender.run("ingest", *(wheel.path for wheel in after))
        exported = sender.run("airgap", "export", disk / "second", "--against", disk / "receipt.json", "--delta",
                              timeout=PATIENCE)
        imported = receiver.run("airgap", "import", disk / "second", timeout=PATIENCE)
        sizes = _sizes(disk / "second")
        if missing := [wheel.filename for wheel in after if wheel.filename not in sizes]:
            raise Failed(f"the second bundle lacks {', '.join(missing)}")
        for wheel in sorted(after, key=lambda wheel: wheel.project):
            travels = sizes[wheel.filename]
            print(f"delta: {wheel.project:<16} {wheel.size / 1e6:>7.2f} MB  {travels / wheel.size:.3f}", flush=True)
        new = sum(wheel.size for wheel in after)
        travels = sum(path.stat().st_size for path in (disk / "second").rglob("*") if path.is_file())
        bench.add(Row("delta", f"{len(after)} upgrades, {new / 1e6:.0f} MB: bytes of the bundle with deltas, of theirs", "",
                      {CHIRON: [travels / new]}, against=None, reach=REACH, more_is_better=False,
                      note=f"made in {exported.seconds:.0f} s, imported in {imported.seconds:.0f} s"))
        for name, ran in (("export", exported), ("import", imported)):
            bench.add(Row("delta", f"{name}, resident at most", "MB", {CHIRON: [ran.peak_bytes / 1e6]}, against=None,
                          reach=REACH_MEMORY, more_is_better=False))
    finally:
        for folder in (disk, sender.folder, receiver.folder):
            discard(folder)


def _sizes(bundle):
    """What each file of a bundle in a folder takes there: the listings name every item."""
    sizes = {}
    for blob in (bundle / "blobs" / "sha256").iterdir():
        with blob.open("rb") as start:
            if start.read(64).find(b'"chiron.bundle-volume/v1"') < 0:
                continue
        for item in json.loads(blob.read_bytes())["items"]:
            if "filename" in item:
                sizes[item["filename"]] = item["size"]
    return sizes
