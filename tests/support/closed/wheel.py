"""Writes a wheel as most build backends do: deflated by zlib at its default level, with a module that is long and alike from version to version.

    wheel.py PROJECT VERSION FOLDER [LINES]
"""

import base64
import hashlib
import random
import sys
import zipfile
from pathlib import Path

project, version, folder = sys.argv[1:4]
lines = int(sys.argv[4]) if len(sys.argv) > 4 else 4000
same = random.Random(project)
words = [f"    value_{number} = {same.random()!r}\n" for number in range(lines)]
changed = random.Random(f"{project} {version}")
for _ in range(max(1, lines // 50)):
    place = changed.randrange(lines)
    words[place] = f"    value_{place} = {changed.random()!r}  # of {version}\n"
info = f"{project}-{version}.dist-info"
members = [
    (f"{project}/__init__.py", f'__version__ = "{version}"\n'),
    (f"{project}/table.py", "class Table:\n" + "".join(words)),
    (f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"),
    (f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: chiron-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
]
record = ""
for name, text in members:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record += f"{name},sha256={digest},{len(text.encode())}\n"
members.append((f"{info}/RECORD", record + f"{info}/RECORD,,\n"))
path = Path(folder) / f"{project}-{version}-py3-none-any.whl"
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, text in members:
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.external_attr = 0o100644 << 16
        archive.writestr(entry, text)
print(path)
