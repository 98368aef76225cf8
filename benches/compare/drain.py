"""A client that downloads one URL over and over and counts bytes: `drain.py URL PROCESSES CONNECTIONS SECONDS`.

wrk reads 8 KiB at a time, with an ioctl beside each read: for large bodies that measures wrk. This one reads up to
1 MiB at a time, as installers do with their buffered streams, checks status and length of every answer, and prints
one JSON line: {"downloads", "bytes", "seconds"}. Bytes of a download that the end of the span cut off count.
"""

import json
import multiprocessing
import re
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit

#: Bytes that one read may return.
READ = 1 << 20

#: Seconds without a byte on any connection after which the measurement fails.
STALL = 30

#: Bytes of an answer's head at most.
HEAD = 16_384

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Connection:
    """One keep-alive connection: sends the request, swallows the answer, sends it again."""

    def __init__(self, address, request):
        self.request = request
        self.socket = socket.create_connection(address, timeout=STALL)
        self.downloads = self.bytes = 0
        self.head = b""
        self.missing = 0  # bytes of the present body that are still to come
        self.socket.sendall(request)

    def read(self, buffer):
        """Take what has come; ask again when a body is complete."""
        got = self.socket.recv_into(buffer)
        if not got:
            raise SystemExit("drain: the server closed a connection")
        self.bytes += got
        if self.missing:
            self._body(got)
            return
        self.head += bytes(buffer[:got])
        head, blank, body = self.head.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if blank and length and head.startswith(b"HTTP/1.1 200 "):
            self.missing, self.head = int(length[1]), b""
            self._body(len(body))
        elif blank or len(head) > HEAD:
            raise SystemExit(f"drain: not a 200 with Content-Length: {head[:300]!r}")

    def _body(self, got):
        self.missing -= got
        if self.missing < 0:
            raise SystemExit("drain: more bytes than Content-Length says")
        if not self.missing:
            self.downloads += 1
            self.socket.sendall(self.request)


def _work(url, connections, seconds, barrier, results):
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: identity\r\n\r\n".encode()
    open_ones = [Connection((parts.hostname, parts.port), request) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for connection in open_ones:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    buffer = memoryview(bytearray(READ))
    barrier.wait(STALL)
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        ready = selector.select(STALL)
        if not ready:
            raise SystemExit(f"drain: no byte for {STALL} s")
        for key, _ in ready:
            key.data.read(buffer)
    results.put((sum(c.downloads for c in open_ones), sum(c.bytes for c in open_ones), spent))


def main():
    """Spread the connections over the processes and add up what they report."""
    url, processes, connections, seconds = sys.argv[1], *map(int, sys.argv[2:5])
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(processes), context.Queue()
    shares = [connections // processes + (place < connections % processes) for place in range(processes)]
    workers = [context.Process(target=_work, args=(url, share, seconds, barrier, results)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(seconds + 2 * STALL)
    if any(worker.exitcode != 0 for worker in workers):
        for worker in workers:
            worker.kill()
        return 1
    reports = [results.get() for _ in workers]
    print(json.dumps({
        "downloads": sum(report[0] for report in reports),
        "bytes": sum(report[1] for report in reports),
        "seconds": max(report[2] for report in reports),
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())
