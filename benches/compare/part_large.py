"""A bundle that is much larger than memory should ever be: what export, verification and import hold at most.

Synthetic wheels with one stored entry of random bytes each, so that nothing compresses and nothing repeats.
"""

import hashlib
import os
import shutil
import zipfile
from base64 import urlsafe_b64encode

import tree
from bench import discard
from process import Failed
from report import CHIRON, Row

#: Wheels and bytes of each; a quick run takes two small ones.
WHEELS, WHEEL_BYTES, QUICK = 16, 512 << 20, (2, 32 << 20)

#: Resident bytes at most, in MB.
REACH = 200

#: The sender's blobs, the bundle, the receiver's blobs, and room to spare.
COPIES = 3.5


def measure(bench):
    """Needs room on the disk: less than that is said, not tried."""
    if not bench.chiron:
        return
    count, size = QUICK if bench.quick else (WHEELS, WHEEL_BYTES)
    free = shutil.disk_usage(bench.work).free
    if free < COPIES * count * size:
        raise Failed(f"{COPIES * count * size / 1e9:.0f} GB are needed below {bench.work.name}, and {free / 1e9:.0f} GB are free")
    sender, receiver = _site(bench), _site(bench)
    folder = bench.folder("large")
    peaks = {}
    try:
        sender.run("init")
        receiver.run("init")
        for number in range(count):
            wheel = _wheel(folder, number, size)
            sender.run("ingest", wheel)
            wheel.unlink()
        bundle = folder / "bundle"
        for name, site, arguments in (
            ("export", sender, ("airgap", "export", bundle)),
            ("verify", sender, ("airgap", "verify", bundle, "--root", sender.data / "tuf" / "root.json")),
            ("import", receiver, ("airgap", "import", bundle, "--root", sender.data / "tuf" / "root.json")),
        ):
            ran = site.run(*arguments, timeout=1800)
            peaks[name] = ran.peak_bytes / 1e6
            rate = count * size / 1e6 / ran.seconds
            bench.add(Row("large", f"{name} of a bundle of {count * size / 1e9:.1f} GB, resident at most", "MB",
                          {CHIRON: [peaks[name]]}, against=None, reach=REACH, more_is_better=False,
                          note=f"{rate:,.0f} MB/s"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for site in (sender, receiver):
            discard(site.folder)


def _site(bench):
    """Under the profile that asks for structure and hashes alone: there is no sdist to follow from."""
    site = bench.site(tree.SHORT)
    site.config.write_text(site.config.read_text() + '[policy]\nprofile = "audit"\n')
    return site


def _wheel(folder, number, size):
    """A pure wheel whose one module is random bytes, stored."""
    name = f"large{number:02}"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    rows = []

    def digest(data):
        return "sha256=" + urlsafe_b64encode(data).rstrip(b"=").decode()

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        whole = hashlib.sha256()
        with archive.open(zipfile.ZipInfo(f"{name}/data.bin"), "w", force_zip64=False) as out:
            for _ in range(size >> 20):
                part = os.urandom(1 << 20)
                whole.update(part)
                out.write(part)
        rows.append((f"{name}/data.bin", digest(whole.digest()), size))
        for member, text in (
            (f"{name}/__init__.py", ""),
            (f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
            (f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ):
            archive.writestr(zipfile.ZipInfo(member), text)
            rows.append((member, digest(hashlib.sha256(text.encode()).digest()), len(text)))
        record = f"{name}-1.0.dist-info/RECORD"
        lines = [f"{member},{sum_},{length}\n" for member, sum_, length in rows] + [f"{record},,\n"]
        archive.writestr(zipfile.ZipInfo(record), "".join(lines))
    return path
