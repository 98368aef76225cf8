"""Wheel downloads: bytes per second of one large and one middling wheel, with one connection and with eight."""

import contextlib
import hashlib

import load
import tree
from process import Failed
from report import CHIRON, NGINX, Row

#: Connections → (processes of the client, ratio to nginx that is asked for).
LOADS = {1: (1, 0.9), 8: (2, 1.5)}

#: The middling wheel is the one whose size comes nearest to this (bytes).
MIDDLING = 1_000_000


def _wrk(bench, url, processes, connections):
    return load.wrk(url, bench.work, threads=processes, connections=connections, seconds=bench.seconds,
                    encoding="identity").bytes_per_second


def _drain(bench, url, processes, connections):
    return load.drain(url, processes=processes, connections=connections, seconds=bench.seconds).bytes_per_second


#: wrk reads 8 KiB at a time with an ioctl beside each read and so costs more than the server; the goal was set on
#: figures that fit such a client. drain reads up to 1 MiB at a time and shows the server more clearly.
CLIENTS = {"wrk": _wrk, "drain": _drain}


def measure(bench):
    """Both serve the same content address from a store that already holds the corpus."""
    largest = max(bench.wheels, key=lambda wheel: wheel.size)
    middling = min(bench.wheels, key=lambda wheel: abs(wheel.size - MIDDLING))
    with contextlib.ExitStack() as stack:
        bases = {NGINX: bench.nginx.base(tree.SHORT)}
        if bench.chiron:
            bases[CHIRON] = stack.enter_context(bench.filled_site(tree.SHORT).serve()).base
        for wheel in (largest, middling):
            for name, base in bases.items():
                if hashlib.sha256(load.get(base + wheel.url_path).body).hexdigest() != wheel.sha256:
                    raise Failed(f"{name} serves other bytes than {wheel.filename}")
            for connections, (processes, reach) in LOADS.items():
                for client, ask in CLIENTS.items():
                    samples = bench.interleave({
                        name: lambda url=base + wheel.url_path: ask(bench, url, processes, connections) / 1e6
                        for name, base in bases.items()
                    })
                    plural = "s" if connections > 1 else ""
                    bench.add(Row(
                        "wheel", f"{wheel.size / 1e6:.1f} MB, {connections} connection{plural}, {client}", "MB/s",
                        samples, reach=reach if wheel is largest and client == "wrk" else None,
                    ))
