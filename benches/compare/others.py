"""Other mirrors beside Chiron, for whoever wants to see where it stands: devpi-server and proxpi, from pip's index."""

import base64
import json
import socket
import urllib.request

import machine
from nginx import free_ports
from process import Daemon, clean_environment, timed

#: Threads for requests; devpi's own default.
THREADS = 50


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def devpi(cache):
    """A class whose instances are a devpi-server with one mirror index of an upstream."""
    bins = machine.tools(cache, ("devpi-server",), "devpi")

    class Devpi(Daemon):
        def __init__(self, folder, upstream):
            (port,) = free_ports(1)
            self.upstream, self.base = upstream, f"http://127.0.0.1:{port}"
            data = folder / "data"
            timed([bins / "devpi-init", "--serverdir", data, "--no-root-pypi", "--root-passwd", "bench"], cwd=folder)
            super().__init__(
                [bins / "devpi-server", "--serverdir", data, "--host", "127.0.0.1", "--port", port, "--threads",
                 THREADS, "--enable-core-metadata"],
                folder / "devpi.log", ready=lambda: _listens(port), cwd=folder,
            )

        def __enter__(self):
            super().__enter__()
            token = self._send("POST", "/+login", {"user": "root", "password": "bench"})["result"]["password"]
            mirror = {"type": "mirror", "mirror_url": self.upstream, "volatile": True}
            self._send("PUT", "/root/local", mirror, token)
            return self

        def _send(self, method, path, body, token=None):
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if token:
                headers["X-Devpi-Auth"] = base64.b64encode(f"root:{token}".encode()).decode()
            request = urllib.request.Request(self.base + path, json.dumps(body).encode(), headers, method=method)
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=60) as reply:
                return json.load(reply)

        @property
        def simple(self):
            return f"{self.base}/root/local/+simple/"

    return Devpi


def proxpi(cache):
    """A class whose instances are a proxpi (one gunicorn process: its page cache lives in the process)."""
    bins = machine.tools(cache, ("proxpi", "gunicorn"), "proxpi")

    class Proxpi(Daemon):
        def __init__(self, folder, upstream):
            (port,) = free_ports(1)
            self.base = f"http://127.0.0.1:{port}"
            (folder / "files").mkdir()
            super().__init__(
                [bins / "gunicorn", "--workers", 1, "--threads", THREADS, "--keep-alive", 60, "--bind",
                 f"127.0.0.1:{port}", "proxpi.server:app"],
                folder / "proxpi.log", ready=lambda: _listens(port), cwd=folder,
                env=clean_environment(PROXPI_INDEX_URL=upstream, PROXPI_CACHE_DIR=str(folder / "files"),
                                      PROXPI_LOGGING_LEVEL="WARNING"),
            )

        @property
        def simple(self):
            return f"{self.base}/index/"

    return Proxpi
