"""A bundle of the corpus out of one data folder and into another, everything synced, beside tar piped through SHA-256.

The yardstick does what carrying a folder of wheels costs without any look at it: `tar` of the wheels, written to a file
and hashed by OpenSSL on the way, with a sync at the end.
"""

import shutil

import tree
from bench import discard
from process import timed
from report import CHIRON, Row

TAR = "tar | sha256"

#: Of the yardstick's bytes per second; of bytes that are new; bytes beside them; resident bytes.
REACH_RATE, REACH_SIZE, SIZE_BESIDE, REACH_MEMORY = 0.6, 1.02, 1e6, 200

#: Of the corpus, how much is there before the increment.
FIRST = 100


def measure(bench):
    """Export, import, and the size of an increment."""
    sender = bench.filled_site(tree.SHORT)
    root = sender.data / "tuf" / "root.json"
    megabytes = bench.corpus_bytes / 1e6
    peaks = {"export": [], "import": []}
    bundle = bench.folder("bundle") / "bundle"
    sender.run("airgap", "export", bundle)

    def yardstick():
        folder = bench.folder("tar")
        script = ('tar -cf - -C "$1" -T "$2" | tee "$3/corpus.tar" | openssl dgst -sha256 > "$3/sum" && '
                  'sync "$3/corpus.tar" "$3"')
        names = folder / "names"
        names.write_text("".join(f"{wheel.path.name}\n" for wheel in bench.wheels))
        try:
            return megabytes / timed(["bash", "-euo", "pipefail", "-c", script, "tar", bench.wheels[0].path.parent,
                                      names, folder]).seconds
        finally:
            discard(folder)

    def export():
        folder = bench.folder("export")
        try:
            ran = sender.run("airgap", "export", folder / "bundle")
            peaks["export"].append(ran.peak_bytes / 1e6)
            return megabytes / ran.seconds
        finally:
            discard(folder)

    def bring_in():
        site = bench.site(tree.SHORT)
        try:
            site.run("init")
            ran = site.run("airgap", "import", bundle, "--root", root)
            peaks["import"].append(ran.peak_bytes / 1e6)
            return megabytes / ran.seconds
        finally:
            discard(site.folder)

    for name, contender in (("export", export), ("import", bring_in)):
        samples = bench.interleave({CHIRON: contender, TAR: yardstick})
        bench.add(Row("airgap", f"{name}, {megabytes:.0f} MB", "MB/s", samples, against=TAR, reach=REACH_RATE))
    for name, values in peaks.items():
        bench.add(Row("airgap", f"{name}, resident at most", "MB", {CHIRON: values}, against=None, reach=REACH_MEMORY,
                      more_is_better=False))
    _increment(bench)
    discard(bundle.parent)


def _size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _increment(bench):
    """A first bundle of some wheels, then one of the others: what travels against what is new."""
    site = bench.site(tree.SHORT)
    lines = [f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in bench.wheels]
    folder = bench.folder("increment")
    try:
        site.run("init")
        for name, some in (("first", lines[:FIRST]), ("then", lines[FIRST:])):
            (folder / f"{name}.txt").write_text("".join(some))
        site.run("ingest", "-r", folder / "first.txt")
        site.run("airgap", "export", folder / "first")
        site.run("ingest", "-r", folder / "then.txt")
        site.run("airgap", "export", folder / "then", "--since", folder / "first")
        new = sum(wheel.size for wheel in bench.wheels[FIRST:])
        allowed = REACH_SIZE * new + SIZE_BESIDE
        size = _size(folder / "then")
        bench.add(Row("airgap", f"an increment of {len(lines) - FIRST} wheels, {new / 1e6:.0f} MB: its bytes of those allowed",
                      "", {CHIRON: [size / allowed]}, against=None, reach=1.0, more_is_better=False,
                      note=f"{(size - new) / 1e3:,.0f} kB beside the wheels"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        discard(site.folder)
