"""nginx as it is fastest here: static files, sendfile, open file cache, pages compressed beforehand."""

import os
import socket
from pathlib import Path

from process import Daemon, Failed

#: How often a start is tried again when another process took the port between choosing and binding it.
ATTEMPTS = 5

_MAIN = """\
daemon off; master_process on; worker_processes auto; pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn; worker_rlimit_nofile 8192; {user}
events {{ worker_connections 2048; multi_accept on; }}
http {{
  access_log off; server_tokens off; default_type application/octet-stream; types {{ }}
  sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_timeout 300s; keepalive_requests 100000000; reset_timedout_connection on;
  open_file_cache max=20000 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1;
  client_body_temp_path {prefix}/t1; proxy_temp_path {prefix}/t2; fastcgi_temp_path {prefix}/t3;
  uwsgi_temp_path {prefix}/t4; scgi_temp_path {prefix}/t5;
{servers}
}}
"""

# A rewrite inside the location costs less than `index`, which searches the locations a second time.
_SERVER = """\
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location /simple/ {{
      root {root}; default_type {page_type}; gzip_static on; gzip_vary on;
      add_header Cache-Control no-cache;
      rewrite ^(.*)/$ $1/index.json break;
    }}
    location /files/ {{ alias {files}/; }}
  }}
"""


class Nginx(Daemon):
    """One nginx with a server (its own port) for each named root folder; `base(name)` is its address."""

    def __init__(self, prefix: Path, roots: dict, files: Path, page_type: str):
        self.prefix, self.roots, self.files, self.page_type = prefix, roots, files, page_type
        self.ports = {}

    def __enter__(self):
        self.prefix.mkdir(parents=True, exist_ok=True)
        for attempt in range(ATTEMPTS):
            self._configure()
            try:
                return super().__enter__()
            except Failed as failure:
                if "Address already in use" not in str(failure) or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _configure(self):
        self.ports = dict(zip(self.roots, free_ports(len(self.roots))))
        servers = "".join(
            _SERVER.format(port=self.ports[name], root=root, files=self.files, page_type=self.page_type)
            for name, root in self.roots.items()
        )
        user = "user root;" if os.geteuid() == 0 else ""  # else workers cannot read below /root
        conf = self.prefix / "nginx.conf"
        conf.write_text(_MAIN.format(prefix=self.prefix, user=user, servers=servers))
        super().__init__(
            ["nginx", "-p", self.prefix, "-e", self.prefix / "error.log", "-c", conf],
            self.prefix / "output.log", ready=self._answers,
        )

    def _answers(self):
        try:
            for port in self.ports.values():
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    def tail(self):
        """nginx writes its reasons to the error log."""
        error_log = self.prefix / "error.log"
        return super().tail() + (error_log.read_text("utf-8", "replace")[-3000:] if error_log.exists() else "")

    def base(self, name):
        """`http://127.0.0.1:PORT` of that root."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def simple(self, name):
        """The index address of that root."""
        return f"{self.base(name)}/simple/"


def free_ports(number):
    """Ports that were free a moment ago (nginx cannot be told to choose)."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
