"""A catalogue of a million synthetic files beside one of the probes alone: start, memory, pages, the project list."""

import itertools
import json
import os
import time
import urllib.request
from pathlib import Path
from statistics import median

import interval
import load
import publication
import tree
from chiron import Site
from process import Failed, timed
from report import CHIRON, Row

FILES = 1_000_000
QUICK_FILES = 50_000

#: Seconds from exec to the first page, and resident bytes after pages were served.
REACH_START, REACH_MEMORY = 2.0, 400

#: "Not slower" cannot be had to the last per cent: what latency may be at most, and a rate at least, of the small one's.
SAME_LATENCY, SAME_RATE = 1.1, 0.9

#: What benches/million.rs puts into both catalogues (`PROBES` there): hot pages by files, and cold pages by files,
#: each with the number of projects.
HOT = (1, 300, 5_000)
COLD = {20: 200, 300: 50}

#: Pages of other projects that are asked for before memory is read.
SERVED = 2_000

SMALL = "small"

CONNECTIONS, THREADS = 16, 2


def measure(bench):
    """Both catalogues are made by the generator, through the daemon's own commits; nothing is asked upstream."""
    if not bench.chiron:
        return
    if not bench.generator:
        raise Failed("the generator is not built: cargo build --release -p chiron --bench million")
    wanted = QUICK_FILES if bench.quick else FILES
    large, facts, published = _filled(bench, wanted)
    small, _, _ = _filled(bench, 0)
    sites = {CHIRON: large, SMALL: small}
    label = f"{facts['files']:,} files in {facts['projects']:,} projects"
    print(f"million: {label} committed in {facts['seconds']:.0f} s ({facts['files'] / facts['seconds']:,.0f} a second, "
          f"{facts['synced_writes']:,} synced writes), {facts['disk_bytes'] / 1e6:,.0f} MB of tables", flush=True)
    print(f"million: {published['targets']:,} targets signed in {published['first']['seconds']:.0f} s", flush=True)
    for row in publication.rows(published):
        bench.add(row)

    starts = bench.interleave({name: lambda site=site: _start(site) for name, site in sites.items()})
    bench.add(Row("million", f"start to the first page, {label}", "s", starts, against=SMALL, more_is_better=False))
    bench.add(Row("million", "the same, against the clock", "s", {CHIRON: starts[CHIRON]}, against=None,
                  reach=REACH_START, more_is_better=False))
    for files, projects in COLD.items():
        names = [f"cold-{files}-{place:03}" for place in range(projects)]
        cold = bench.interleave({name: lambda site=site: _cold(site, names) for name, site in sites.items()})
        bench.add(Row("million", f"cold page of {files} files (median of {projects} pages after a start)", "ms", cold,
                      against=SMALL, reach=SAME_LATENCY, more_is_better=False))
    with large.serve() as one, small.serve() as other:
        daemons = {CHIRON: one, SMALL: other}
        bench.add(publication.refresh(one))
        for files in HOT:
            urls = {name: f"{daemon.simple}probe-{files}/" for name, daemon in daemons.items()}
            for url in urls.values():
                _rate(bench, url, 1)
            hot = bench.interleave({name: lambda url=url: _rate(bench, url, bench.seconds) for name, url in urls.items()})
            bench.add(Row("million", f"hot page of {files:,} files", "req/s", hot, against=SMALL, reach=SAME_RATE))
        lists = bench.interleave({name: lambda daemon=daemon: _list(daemon) for name, daemon in daemons.items()})
        size = len(load.get(one.simple, encoding="gzip").body)
        bench.add(Row("million", "/simple/", "ms", lists, against=None, more_is_better=False, note=f"{size:,} bytes"))
    interval.measure(bench, sites, label)
    with large.serve() as daemon:  # a new one: memory without the load before
        names = json.loads(load.get(daemon.simple).body)["projects"]
        step = max(1, len(names) // SERVED)
        for project in itertools.islice(names, 0, None, step):
            load.get(f"{daemon.simple}{project['name']}/", encoding="gzip")
        memory = {CHIRON: [daemon.resident_bytes() / 1e6]}
    bench.add(Row("million", f"resident memory after the list and {len(names[::step]):,} pages", "MB", memory,
                  against=None, reach=REACH_MEMORY, more_is_better=False))


def _filled(bench, files):
    """A site whose catalogue the generator has filled and signed, and what it said of both."""
    site = Site(bench.chiron, bench.folder("million"), bench.nginx.simple(tree.SHORT), mode="curated")
    site.run("init")
    said = timed([bench.generator, site.data, files], timeout=3600).stdout
    return site, json.loads(said.splitlines()[-1]), publication.publish(bench.generator, site)


def _forget(site):
    """Drop the tables from the system's page cache: what is read next comes from the disk."""
    for path in Path(site.data, "db").iterdir():
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _start(site):
    """Seconds from exec to the first page, tables not in memory."""
    _forget(site)
    begin = time.perf_counter()
    with site.serve() as daemon:
        load.get(f"{daemon.simple}probe-300/")
        return time.perf_counter() - begin


def _cold(site, names):
    """Median milliseconds of pages that nobody has asked for since the start, tables not in memory."""
    _forget(site)
    with site.serve() as daemon:
        load.get(f"{daemon.simple}probe-1/")
        return _median_milliseconds([f"{daemon.simple}{name}/" for name in names])


def _list(daemon):
    return _median_milliseconds([daemon.simple] * 5)


def _median_milliseconds(urls):
    spent = []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for url in urls:
        request = urllib.request.Request(url, headers={"Accept": load.ACCEPT, "Accept-Encoding": "gzip"})
        begin = time.perf_counter()
        with opener.open(request, timeout=60) as reply:
            reply.read()
        spent.append((time.perf_counter() - begin) * 1e3)
    return median(spent)


def _rate(bench, url, seconds):
    return load.wrk(url, bench.work, threads=THREADS, connections=CONNECTIONS, seconds=seconds,
                    encoding=load.ACCEPT_ENCODING["uv"]).per_second
