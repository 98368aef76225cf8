"""The signed repository of a large catalogue: what a publication costs, and what a client fetches first."""

import hashlib
import json

import load
from process import timed
from report import CHIRON, Row

#: Milliseconds for one file and for a thousand together, and bytes of a first refresh with one target.
REACH_ONE, REACH_MANY, REACH_REFRESH = 150, 2_000, 300_000

#: A project of the generator's with 20 files; its page is the one target.
PROJECT = "cold-20-000"


def publish(generator, site):
    """Sign all that is there; publish one file and a thousand, several times. What the generator said of it."""
    said = timed([generator, site.data, "--publish"], timeout=3600).stdout
    # The generator has other documents of trust than the daemon: so that no start has to sign them anew.
    site.run("tuf", "publish")
    return json.loads(said.splitlines()[-1])


def rows(said):
    """The figures of `publish` as rows."""
    label = f"in {said['targets']:,} targets"
    many = said["many"]
    yield _row(f"publishing one new file {label}", said["one"], REACH_ONE)
    yield _row(f"publishing {many['files']:,} new files of {many['projects']} projects {label}", many["rounds"], REACH_MANY)


def _row(measure, rounds, reach):
    last = rounds[-1]
    note = f"{last['bins']:,} bins; {last['files']:,} metadata files, {last['bytes'] / 1e6:,.2f} MB"
    samples = {CHIRON: [one["milliseconds"] for one in rounds]}
    return Row("million", measure, "ms", samples, against=None, reach=reach, more_is_better=False, note=note)


def refresh(daemon):
    """What a client that has only the root fetches until it has one index page, gzip-encoded, as a row."""
    sizes = {}

    def fetch(name):
        answer = load.get(f"{daemon.base}/tuf/{name}", encoding="gzip")
        sizes[name] = len(answer.body)
        return answer.decoded()

    def signed(role, version=None):
        name = f"{role}.json" if version is None else f"{version}.{role}.json"
        return json.loads(fetch(f"metadata/{name}"))["signed"]

    timestamp = signed("timestamp")
    snapshot = signed("snapshot", timestamp["meta"]["snapshot.json"]["version"])

    def named(role):
        return signed(role, snapshot["meta"][f"{role}.json"]["version"])

    named("targets")
    path = f"simple/{PROJECT}/index.json"
    digest = hashlib.sha256(path.encode()).hexdigest()
    roles = named("bins")["delegations"]["roles"]
    listing = named(next(role["name"] for role in roles if digest.startswith(tuple(role["path_hash_prefixes"]))))
    sha256 = listing["targets"][path]["hashes"]["sha256"]
    if hashlib.sha256(fetch(f"targets/simple/{PROJECT}/{sha256}.index.json")).hexdigest() != sha256:
        raise AssertionError(f"{path} is not what is signed")
    largest = max(sizes, key=sizes.get)
    note = f"{len(sizes)} files of {len(roles):,} bins; the largest, {largest.split('/')[-1]}, {sizes[largest]:,}"
    return Row("million", "first refresh and one page, gzip", "bytes", {CHIRON: [sum(sizes.values())]}, against=None,
               reach=REACH_REFRESH, more_is_better=False, note=note)
