"""Load on one URL: wrk for requests per second, `drain` for bytes per second, plain GETs for single answers."""

import gzip
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from process import Failed, timed

#: What uv 0.13 and pip 26 send for a page; they differ in the weights, and uv offers zstd besides.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
ACCEPT_ENCODING = {"uv": "gzip, deflate, zstd", "pip": "gzip, deflate"}

_SCRIPT = """\
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"micros":%d,"bytes":%d,"failures":%d,"p50":%d,"p99":%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Answer:
    """One answer to a GET: its body as sent, and its headers."""

    status: int
    headers: dict
    body: bytes

    def decoded(self):
        """The body without its content coding (only gzip is undone)."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


def get(url, *, encoding="identity", timeout=60):
    """One GET as an installer asks for a page."""
    request = urllib.request.Request(url, headers={"Accept": ACCEPT, "Accept-Encoding": encoding})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return Answer(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
    except urllib.error.HTTPError as error:
        raise Failed(f"GET {url} answered {error.code}: {error.read(2000).decode('utf-8', 'replace')}") from None


@dataclass(frozen=True)
class Rate:
    """What one measured span of load gave; latencies in microseconds (0 when not measured)."""

    per_second: float
    bytes_per_second: float
    p50: int = 0
    p99: int = 0


def wrk(url, work: Path, *, threads, connections, seconds, encoding):
    """Requests per second of `url` with installers' headers. Any failed request fails the measurement."""
    script = work / "wrk.lua"
    script.write_text(_SCRIPT)
    command = [shutil.which("wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-H", f"Accept: {ACCEPT}", "-H", f"Accept-Encoding: {encoding}", "-s", script, url]
    lines = timed(command, timeout=seconds + 60).stdout.splitlines()
    result = json.loads(next(line for line in lines if line.startswith("RESULT ")).removeprefix("RESULT "))
    if result["failures"] or not result["requests"]:
        raise Failed(f"wrk on {url}: {result['failures']} failures in {result['requests']} requests")
    spent = result["micros"] / 1e6
    return Rate(result["requests"] / spent, result["bytes"] / spent, result["p50"], result["p99"])


def drain(url, *, processes, connections, seconds):
    """Bytes per second of whole downloads of `url`, by a client that costs little (see drain.py)."""
    command = [sys.executable, "-B", Path(__file__).with_name("drain.py"), url, processes, connections, seconds]
    result = json.loads(timed(command, timeout=seconds + 60).stdout)
    return Rate(result["downloads"] / result["seconds"], result["bytes"] / result["seconds"])


def settle():
    """Let the write-back of earlier work end, so that it is not billed to the next measurement."""
    os.sync()
    time.sleep(0.2)
