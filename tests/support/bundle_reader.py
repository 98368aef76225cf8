"""Reads a bundle as docs/bundle-format.md says, and shares no code with Chiron: Python's standard library, and the program
zstd.

    bundle_reader.py ROOT.json PLACE…

ROOT.json is the root of trust; a place is a folder layout or a tar volume. What the page asks of a reader is checked, but for
the TUF targets (any TUF client does that) and deltas. Prints a JSON object with what is in the bundle; ends with status 1
and a line on stderr when anything is not as the page says.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

BUNDLE = "application/vnd.chiron.bundle.v1"
MANIFEST = "application/vnd.chiron.bundle.manifest.v1.dsse+json"
PAYLOAD = "application/vnd.chiron.bundle.manifest.v1+json"
LISTING = "application/vnd.chiron.bundle.volume.v1+json"
TYPES = {
    "tuf": "application/vnd.chiron.bundle.tuf.v1.tar+zstd",
    "entries": "application/vnd.chiron.bundle.log-entries.v1+zstd",
    "proven-entries": "application/vnd.chiron.bundle.log-proofs.v1.tar+zstd",
    "documents": "application/vnd.chiron.bundle.documents.v1.tar+zstd",
    "advisories": "application/vnd.chiron.bundle.advisories.v1.tar+zstd",
    "wheel-delta": "application/vnd.chiron.bundle.wheel-delta.v1",
}
INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"


class Wrong(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Wrong(what)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read_json(data, what):
    """In the one spelling that it has."""
    value = json.loads(data)
    need(compact(value) == data, f"{what} is spelled in another way")
    return value


# --- signatures (RFC 8032 and FIPS 186-5, written for reading and not for speed) ---


class Ed25519:
    p = 2**255 - 19
    q = 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, -1, p) % p
    base_y = 4 * pow(5, -1, p) % p

    @classmethod
    def recover(cls, y, sign):
        x2 = (y * y - 1) * pow(cls.d * y * y + 1, -1, cls.p) % cls.p
        x = pow(x2, (cls.p + 3) // 8, cls.p)
        if (x * x - x2) % cls.p:
            x = x * pow(2, (cls.p - 1) // 4, cls.p) % cls.p
        need((x * x - x2) % cls.p == 0, "no point of the curve")
        return (cls.p - x if x & 1 != sign else x), y

    @classmethod
    def point(cls, data):
        y = int.from_bytes(data, "little")
        return cls.recover(y & ((1 << 255) - 1), y >> 255)

    @classmethod
    def add(cls, a, b):
        (x1, y1), (x2, y2) = a, b
        t = cls.d * x1 * x2 * y1 * y2 % cls.p
        x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, cls.p) % cls.p
        return x, (y1 * y2 + x1 * x2) * pow(1 - t, -1, cls.p) % cls.p

    @classmethod
    def times(cls, n, point):
        result = (0, 1)
        while n:
            if n & 1:
                result = cls.add(result, point)
            point = cls.add(point, point)
            n >>= 1
        return result

    @classmethod
    def verifies(cls, public, message, sig):
        if len(sig) != 64 or (s := int.from_bytes(sig[32:], "little")) >= cls.q:
            return False
        a, r = cls.point(public), cls.point(sig[:32])
        h = int.from_bytes(hashlib.sha512(sig[:32] + public + message).digest(), "little") % cls.q
        return cls.times(s, cls.recover(cls.base_y, 0)) == cls.add(r, cls.times(h, a))


class P256:
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    g = (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    )

    @classmethod
    def add(cls, a, b):
        if a is None or b is None:
            return a or b
        (x1, y1), (x2, y2) = a, b
        if x1 == x2:
            if (y1 + y2) % cls.p == 0:
                return None
            m = 3 * (x1 * x1 - 1) * pow(2 * y1, -1, cls.p)
        else:
            m = (y2 - y1) * pow(x2 - x1, -1, cls.p)
        x = (m * m - x1 - x2) % cls.p
        return x, (m * (x1 - x) - y1) % cls.p

    @classmethod
    def times(cls, n, point):
        result = None
        while n:
            if n & 1:
                result = cls.add(result, point)
            point = cls.add(point, point)
            n >>= 1
        return result

    @classmethod
    def verifies(cls, pem, message, sig):
        der = base64.b64decode("".join(pem.split("-----")[2].split()))
        key = int.from_bytes(der[-64:-32], "big"), int.from_bytes(der[-32:], "big")
        need(sig[0] == 0x30 and sig[1] == len(sig) - 2 and sig[2] == 2, "no signature in DER")
        r, rest = sig[4 : 4 + sig[3]], sig[4 + sig[3] :]
        need(rest[0] == 2 and rest[1] == len(rest) - 2, "no signature in DER")
        r, s = int.from_bytes(r, "big"), int.from_bytes(rest[2:], "big")
        if not (0 < r < cls.n and 0 < s < cls.n):
            return False
        e, w = int(sha256(message), 16), pow(s, -1, cls.n)
        found = cls.add(cls.times(e * w % cls.n, cls.g), cls.times(r * w % cls.n, key))
        return found is not None and found[0] % cls.n == r


def verifies(key, message, sig):
    public = key["keyval"]["public"]
    if key["scheme"] == "ed25519":
        return Ed25519.verifies(bytes.fromhex(public), message, sig)
    need(key["scheme"] == "ecdsa-sha2-nistp256", f"a key of the scheme {key['scheme']}")
    return P256.verifies(public, message, sig)


def enough(root, role, message, signatures):
    """Whether as many keys of the role signed as the root asks for. `signatures`: (key id, signature)."""
    role = root["roles"][role]
    signed = {
        keyid
        for keyid, sig in signatures
        if keyid in role["keyids"] and verifies(root["keys"][keyid], message, sig)
    }
    return len(signed) >= role["threshold"]


def canonical(value):
    """OLPC canonical JSON, of what TUF metadata has."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def newest_root(trusted, files):
    root = json.loads(trusted)["signed"]
    while (data := files.get(f"metadata/{root['version'] + 1}.root.json")) is not None:
        document = json.loads(data)
        signatures = [(s["keyid"], bytes.fromhex(s["sig"])) for s in document["signatures"]]
        for asked in (root, document["signed"]):
            need(enough(asked, "root", canonical(document["signed"]), signatures), "a root that is not signed")
        need(document["signed"]["version"] == root["version"] + 1, "a root of another version")
        root = document["signed"]
    return root


# --- places ---


def header(name, size):
    prefix = ""
    if len(name) > 100:
        cut = next(at for at, c in enumerate(name) if c == "/" and len(name) - at - 1 <= 100)
        prefix, name = name[:cut], name[cut + 1 :]
    fields = [
        (name.encode(), 100),
        (b"0000644\0" + b"0000000\0" * 2, 24),
        (b"%011o\0" % size + b"00000000000\0" + b" " * 8 + b"0", 33),
        (b"", 100),
        (b"ustar\x0000", 8),
        (b"", 64),
        (b"0000000\0" * 2, 16),
        (prefix.encode(), 167),
    ]
    block = b"".join(data.ljust(size, b"\0") for data, size in fields)
    need(len(block) == 512, "a name that is too long")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class Tar:
    """The members of a tar in their order; of the whole only one member is in memory."""

    def __init__(self, file, what):
        self.file, self.what = file, what

    def exactly(self, size):
        data = self.file.read(size)
        need(len(data) == size, f"{self.what} ends early")
        return data

    def member(self):
        """(name, contents), or None at the end."""
        block = self.exactly(512)
        if block == bytes(512):
            need(self.exactly(512) == bytes(512), f"{self.what} does not end with two blocks of zeros")
            need(self.file.read(1) == b"", f"{self.what} goes on after its end")
            return None
        name, size = block[:100].rstrip(b"\0").decode(), int(block[124:135], 8)
        if prefix := block[345:500].rstrip(b"\0").decode():
            name = f"{prefix}/{name}"
        parts = name.split("/")
        need(all(re.fullmatch(r"[A-Za-z0-9._+!-]+", p) and p not in (".", "..") for p in parts), name)
        need(header(name, size) == block, f"{self.what} has another header for {name}")
        data = self.exactly(size)
        need(not any(self.exactly(-size % 512)), f"{self.what} is not filled with zeros")
        return name, data

    def next(self, name):
        found = self.member()
        need(found is not None and found[0] == name, f"{self.what} does not have {name} next")
        return found[1]


class TarVolume:
    def __init__(self, path):
        self.tar = Tar(open(path, "rb"), path)
        need(self.tar.next("oci-layout") == b'{"imageLayoutVersion":"1.0.0"}', "oci-layout")
        self.index = self.tar.next("index.json")

    def blob(self, digest):
        return self.tar.next(f"blobs/sha256/{digest}")

    def end(self):
        need(self.tar.member() is None, f"{self.tar.what} has more members")


class Folder:
    def __init__(self, path):
        self.path = Path(path)
        need((self.path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}', "oci-layout")
        self.index = (self.path / "index.json").read_bytes()

    def blob(self, digest):
        return (self.path / "blobs" / "sha256" / digest).read_bytes()

    def end(self):
        pass


# --- documents ---


def descriptor(kind, data, **more):
    """`data`: the bytes, or (digest, size)."""
    digest, size = data if isinstance(data, tuple) else (sha256(data), len(data))
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size, **more}


def image_manifest(envelope, listing_bytes, listing):
    layers = [descriptor(LISTING, listing_bytes)]
    for item in listing["items"]:
        digest, more = item["digest"].removeprefix("sha256:"), {}
        kind = TYPES.get(item["kind"])
        if item["kind"] == "file":
            wheel = item["filename"].endswith(".whl")
            kind = "application/vnd.pypi.wheel.v1+zip" if wheel else "application/vnd.pypi.sdist.v1"
            more = {"annotations": {TITLE: item["filename"]}}
        layers.append(descriptor(kind, (digest, item["size"]), **more))
    config = descriptor(MANIFEST, envelope)
    head = {"schemaVersion": 2, "mediaType": IMAGE, "artifactType": BUNDLE}
    return compact({**head, "config": config, "layers": layers})


def image_index(name, images):
    manifests = [descriptor(IMAGE, image, artifactType=BUNDLE) for image in images]
    head = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": BUNDLE}
    return compact({**head, "manifests": manifests, "annotations": {NAME: name}})


def index_json(name, index):
    one = descriptor(INDEX, index, artifactType=BUNDLE, annotations={NAME: name})
    return compact({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]})


# --- packs and the log ---


def unpack(data, size):
    done = subprocess.run(["zstd", "-dcq", "--memory=8MB"], input=data, capture_output=True)
    need(done.returncode == 0, f"zstd: {done.stderr.decode()}")
    need(len(done.stdout) == size, "a pack has another size than it says")
    return done.stdout


def pack(data, size):
    import io

    tar, files = Tar(io.BytesIO(unpack(data, size)), "a pack"), {}
    while (member := tar.member()) is not None:
        need(member[0] not in files, f"{member[0]} twice")
        files[member[0]] = member[1]
    return files


def hashed(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """RFC 6962, section 2.1: the full subtrees from left to right, (height, hash)."""

    def __init__(self, size, hashes):
        heights = [height for height in range(64, -1, -1) if size >> height & 1]
        need(len(heights) == len(hashes), "the frontier has another number of hashes")
        self.trees = list(zip(heights, hashes))

    def push(self, entry):
        new = (0, hashed(b"\0", entry))
        while self.trees and self.trees[-1][0] == new[0]:
            height, left = self.trees.pop()
            new = (height + 1, hashed(b"\1", left, new[1]))
        self.trees.append(new)

    def root(self):
        if not self.trees:
            return hashed()
        result = self.trees[-1][1]
        for _, left in reversed(self.trees[:-1]):
            result = hashed(b"\1", left, result)
        return result


def proven_root(number, size, entry, proof):
    """The root that an audit path leads to (RFC 9162, section 2.1.3.2)."""
    fn, sn, r = number, size - 1, hashed(b"\0", entry)
    for p in proof:
        need(sn > 0, "a proof that is too long")
        if fn & 1 or fn == sn:
            r = hashed(b"\1", p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashed(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "a proof that is too short")
    return r


# --- the whole ---


class Reader:
    def __init__(self, trusted):
        self.trusted = trusted
        self.envelope = self.manifest = self.root = None
        self.entries, self.proven, self.documents = {}, {}, set()
        self.files, self.volumes = [], {}

    def believe(self, envelope, tuf):
        """The manifest's signatures, by the keys of the newest root in the TUF pack."""
        wire = read_json(envelope, "the envelope")
        need(wire["payloadType"] == PAYLOAD, "another payload type")
        payload = base64.b64decode(wire["payload"], validate=True)
        covered = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
        signatures = [(s["keyid"], base64.b64decode(s["sig"], validate=True)) for s in wire["signatures"]]
        files = pack(*tuf)
        root = newest_root(self.trusted, files)
        need(enough(root, "snapshot", covered, signatures), "the manifest is not signed by the snapshot role's keys")
        self.envelope, self.manifest, self.root = envelope, read_json(payload, "the manifest"), root
        log, m = self.manifest["log"], self.manifest
        need(m["schema"] == "chiron.bundle/v1", m["schema"])
        checkpoints = [data for name, data in files.items() if re.fullmatch(r"targets/log/([0-9a-f]{64}\.)?checkpoint", name)]
        need(checkpoints == [log["checkpoint"].encode()], "another checkpoint than the target")
        origin, size, root_hash = log["checkpoint"].split("\n")[:3]
        need(origin == m["sender"]["origin"] and int(size) == log["size"], "the checkpoint says something else")
        need(f"sha256:{base64.b64decode(root_hash).hex()}" == log["root"], "the checkpoint has another root")
        need(m["id"] == f"{log['size']}-{log['root'][7:19]}", "another name")

    def place(self, path):
        layout = Folder(path) if Path(path).is_dir() else TarVolume(path)
        named = read_json(layout.index, "index.json")["manifests"]
        need(len(named) == 1, "index.json names several")
        index = layout.blob(named[0]["digest"].removeprefix("sha256:"))
        images = []
        for one in read_json(index, "the image index")["manifests"]:
            images.append(layout.blob(one["digest"].removeprefix("sha256:")))
            self.volume(layout, images[-1])
        need(image_index(self.manifest["id"], images) == index, "another image index")
        need(index_json(self.manifest["id"], index) == layout.index, "another index.json")
        layout.end()

    def volume(self, layout, image):
        document = read_json(image, "an image manifest")
        envelope = layout.blob(document["config"]["digest"].removeprefix("sha256:"))
        need(self.envelope in (None, envelope), "volumes of two bundles")
        listing_bytes = layout.blob(document["layers"][0]["digest"].removeprefix("sha256:"))
        listing = read_json(listing_bytes, "a listing")
        need(image_manifest(envelope, listing_bytes, listing) == image, "another image manifest")
        items = []
        for at, item in enumerate(listing["items"]):
            data = layout.blob(item["digest"].removeprefix("sha256:"))
            need(len(data) == item["size"] and f"sha256:{sha256(data)}" == item["digest"], item["digest"])
            need((item["kind"] == "tuf") == (at == 0), "the TUF pack is not first")
            if at == 0 and self.envelope is None:
                self.believe(envelope, (data, item["unpacked"]))
            self.item(item, data)
            items.append(item["digest"])
        need(len(set(items)) == len(items), "an item twice")
        part = self.manifest["volumes"][listing["number"] - 1]
        found = {
            "number": listing["number"],
            "listing": f"sha256:{sha256(listing_bytes)}",
            "listing_size": len(listing_bytes),
            "items": len(items),
            "bytes": sum(item["size"] for item in listing["items"]),
        }
        need(found == part, "the manifest says something else of a volume")
        self.volumes[listing["number"]] = listing

    def item(self, item, data):
        kind = item["kind"]
        if kind == "entries":
            rest, number = unpack(data, item["unpacked"]), item["first"]
            while rest:
                length = int.from_bytes(rest[:2], "big")
                need(len(rest) >= 2 + length, "an entry that is cut off")
                self.entries[number], rest = rest[2 : 2 + length], rest[2 + length :]
                number += 1
            need(number - item["first"] == item["count"], "another number of entries")
        elif kind == "proven-entries":
            files = pack(data, item["unpacked"])
            numbers = [int(name.removesuffix(".entry")) for name in files if name.endswith(".entry")]
            need(len(numbers) == item["count"] and numbers == sorted(numbers), "another number of entries")
            for number in numbers:
                proof = files[f"{number}.proof"]
                hashes = [proof[at : at + 32] for at in range(0, len(proof), 32)]
                self.proven[number] = (files[f"{number}.entry"], hashes)
        elif kind == "documents":
            files = pack(data, item["unpacked"])
            need(len(files) == item["count"] and list(files) == sorted(files), "documents out of order")
            for name, document in files.items():
                need(name == f"sha256/{sha256(document)}", f"{name} has other bytes")
                self.documents.add(name.removeprefix("sha256/"))
        elif kind == "file":
            self.files.append({"filename": item["filename"], "sha256": item["digest"].removeprefix("sha256:")})

    def log(self):
        manifest, log = self.manifest, self.manifest["log"]
        root, base = bytes.fromhex(log["root"][7:]), manifest.get("base")
        if manifest["scope"] == "interval":
            tree = Tree(base["size"] if base else 0, [bytes.fromhex(h) for h in log.get("frontier", [])])
            if base:
                need(tree.root().hex() == base["root"][7:], "the frontier gives another root")
            for number in range(base["size"] if base else 0, log["size"]):
                need(number in self.entries, f"entry {number} is missing")
                tree.push(self.entries[number])
            need(tree.root() == root, "the entries give another root")
        for number, (entry, proof) in self.proven.items():
            need(proven_root(number, log["size"], entry, proof) == root, f"entry {number} is not proven")

    def said(self):
        """Every file that is sent is one that an entry tells of, by its digest."""
        told = set()
        for entry in [*self.entries.values(), *(entry for entry, _ in self.proven.values())]:
            told.add(json.loads(entry).get("sha256"))
        for file in self.files:
            need(file["sha256"] in told, f"no entry tells of {file['filename']}")


def main(root, *places):
    reader = Reader(Path(root).read_bytes())
    for place in places:
        reader.place(place)
    missing = [part["number"] for part in reader.manifest["volumes"] if part["number"] not in reader.volumes]
    if not missing:
        reader.log()
        reader.said()
    print(
        json.dumps(
            {
                "id": reader.manifest["id"],
                "digest": sha256(reader.envelope),
                "missing": missing,
                "entries": len(reader.entries) + len(reader.proven),
                "documents": len(reader.documents),
                "files": sorted(reader.files, key=lambda file: file["filename"]),
            }
        )
    )


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Wrong, KeyError, ValueError, IndexError, OSError) as error:
        sys.exit(f"bundle_reader: {type(error).__name__}: {error}")
