"""Hot index pages: 16 connections ask for one page as uv and pip do."""

import contextlib
import json
import time

import load
import tree
from process import Failed
from report import CHIRON, NGINX, Row

#: Ratio to nginx that is asked for, by files on the page.
REACH = {1: 1.2, 300: 1.0, 5_000: 1.05}

REACH_DEVPI = 100

CONNECTIONS, THREADS = 16, 2

#: Seconds that one span lasts at least for mirrors that answer a long page only a few times a second.
SLOW_SPAN = 6

SERVED = "served"

#: Bytes from which a page is worth compressing, and how often to ask until it is.
COMPRESS_FROM, COMPRESS_TRIES = 4_096, 200


def measure(bench):
    """nginx gets the very bytes that Chiron serves, and the smaller of Chiron's gzip and its own level 9."""
    with contextlib.ExitStack() as stack:
        chiron = stack.enter_context(bench.site(tree.SIZES).serve()) if bench.chiron else None
        others = {
            name: stack.enter_context(other(bench.folder(name), bench.nginx.simple(tree.SIZES)))
            for name, other in bench.others.items()
        }
        for files in tree.PAGE_SIZES:
            project = tree.sized_project(files)
            for installer, encoding in load.ACCEPT_ENCODING.items():
                size, coding = _prepare(bench, chiron, project, files, encoding)
                if installer == "pip" and coding != "zstd":
                    continue  # the answer is the one that uv got
                _row(bench, chiron, others, project, files, installer, size)


def _prepare(bench, chiron, project, files, encoding):
    """Hand Chiron's page to nginx; returns the size of Chiron's answer on the wire and its coding."""
    root = bench.work / SERVED
    if chiron is None:
        page = (bench.tree / tree.SIZES / "simple" / project / "index.json").read_bytes()
        tree.write_page(root, project, page)
        return None, None
    url = f"{chiron.simple}{project}/"
    plain, gzipped = load.get(url), _gzipped(url)
    compressed = load.get(url, encoding=encoding)
    listed = len(json.loads(plain.body)["files"])
    if listed != files:
        raise Failed(f"{url} lists {listed} files, upstream {files}")
    is_gzip = gzipped.headers.get("content-encoding") == "gzip"
    if gzipped.decoded() != plain.body:
        raise Failed(f"{url}: the compressed page is not the plain one")
    if not (root / "simple" / project / "index.json").exists():
        tree.write_page(root, project, plain.body, gzipped.body if is_gzip else None)
    return len(compressed.body), compressed.headers.get("content-encoding", "identity")


def _gzipped(url):
    """The page compressed. Chiron compresses a long page behind its first answer: wait for that (a short page stays plain)."""
    for _ in range(COMPRESS_TRIES):
        answer = load.get(url, encoding="gzip")
        if answer.headers.get("content-encoding") == "gzip" or len(answer.body) < COMPRESS_FROM:
            break
        time.sleep(0.02)
    return answer


def _row(bench, chiron, others, project, files, installer, size):
    encoding = load.ACCEPT_ENCODING[installer]
    urls = {NGINX: f"{bench.nginx.simple(SERVED)}{project}/"}
    if chiron:
        urls[CHIRON] = f"{chiron.simple}{project}/"
    urls |= {name: f"{other.simple}{project}/" for name, other in others.items()}
    sizes = {NGINX: len(load.get(urls[NGINX], encoding=encoding).body)} | ({CHIRON: size} if size else {})
    spans = {name: max(SLOW_SPAN, bench.seconds) if name in others else bench.seconds for name in urls}

    def ask(name, seconds):
        return load.wrk(urls[name], bench.work, threads=THREADS, connections=CONNECTIONS, seconds=seconds,
                        encoding=encoding).per_second

    for name in urls:  # memory and connections are warm before anything counts
        ask(name, SLOW_SPAN if name in others else 1)
    samples = bench.interleave({name: lambda name=name: ask(name, spans[name]) for name in urls})
    note = ", ".join(f"{name} {value:,} bytes" for name, value in sizes.items())
    for yardstick in (NGINX, *others):
        pair = {name: values for name, values in samples.items() if name in (CHIRON, yardstick)}
        reach = {NGINX: REACH[files], "devpi": REACH_DEVPI}.get(yardstick)
        bench.add(Row("index", f"page of {files:,} files, {installer}'s headers", "req/s", pair, against=yardstick,
                      reach=reach, note=note if yardstick == NGINX else ""))
