"""Uses a wheel delta as docs/bundle-delta.md says, and shares no code with Chiron: Python's standard library, and the program
zstd.

    bundle_delta.py BASE DELTA OUT

Bounds are left out: this is for deltas that one has made oneself.
"""

import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

base = Path(sys.argv[1]).read_bytes()
delta = Path(sys.argv[2]).open("rb")
scratch = Path(tempfile.mkdtemp())


def unpack(frame, prefix=b""):
    (scratch / "frame").write_bytes(frame)
    (scratch / "prefix").write_bytes(prefix)
    command = ["zstd", "--quiet", "--force", "-d", "--long=27", scratch / "frame", "-o", scratch / "out"]
    if prefix:
        command.insert(1, f"--patch-from={scratch / 'prefix'}")
    subprocess.run(command, check=True)
    return (scratch / "out").read_bytes()


def part(part):
    if "raw" in part:
        at, count = part["raw"]
        return base[at:at + count]
    at, packed, skip, count = part["inflated"]
    return zlib.decompressobj(-15).decompress(base[at:at + packed])[skip:skip + count]


def block(block):
    (length,) = struct.unpack("<I", delta.read(4))
    content = unpack(delta.read(length), b"".join(map(part, block.get("prefix", []))))
    assert len(content) == block["bytes"]
    return content


assert delta.read(16) == b"chiron-delta/v1\n"
packed, length = struct.unpack("<II", delta.read(8))
header = unpack(delta.read(packed))
assert len(header) == length
header = json.loads(header)
assert header["base_size"] == len(base)
records = block(header["records"])
blocks = b"".join(map(block, header["blocks"]))
assert delta.read() == b""
wheel = bytearray()
for segment in header["segments"]:
    ((kind, value),) = segment.items()
    if kind == "copy":
        wheel += base[value[0]:sum(value)]
    elif kind == "records":
        wheel += records[:value]
        records = records[value:]
    elif kind == "stored":
        wheel += blocks[:value]
        blocks = blocks[value:]
    else:
        count, recipe = value
        how = header["recipes"][recipe]
        packer = zlib.compressobj(how["level"], zlib.DEFLATED, -how["window"], how["memory"], how["strategy"])
        wheel += packer.compress(blocks[:count]) + packer.flush()
        blocks = blocks[count:]
assert not records and not blocks and len(wheel) == header["size"]
Path(sys.argv[3]).write_bytes(wheel)
