"""Chiron for one measurement: a configuration with the local nginx as its only upstream, and the daemon."""

from pathlib import Path

from process import Daemon, timed

_CONFIG = """\
[server]
listen = "127.0.0.1:0"
[storage]
path = "{data}"
[[upstream]]
name = "local"
url = "{upstream}"
mode = "{mode}"
"""


class Site:
    """A data folder with its configuration; nothing runs until a verb or the daemon is asked for."""

    def __init__(self, binary: Path, folder: Path, upstream: str, *, mode="on-demand", data=None):
        self.binary, self.folder = binary, folder
        self.data = data or folder / "data"
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "chiron.toml"
        self.config.write_text(_CONFIG.format(data=self.data, upstream=upstream, mode=mode))

    def command(self, *arguments):
        """The command line of a verb on this data folder."""
        return [self.binary, "--config", self.config, "--data-dir", self.data, *arguments]

    def run(self, *arguments, ok=(0,), timeout=180):
        """Run a verb to its end, measured."""
        return timed(self.command(*arguments), cwd=self.folder, ok=ok, timeout=timeout)

    def serve(self):
        """The daemon, for a `with` block; it chooses its port."""
        return Server(self)


class Server(Daemon):
    """`chiron serve` that has printed its address."""

    def __init__(self, site: Site):
        super().__init__(
            site.command("serve"), site.folder / "serve.log", cwd=site.folder,
            ready=r"listening on (http://[0-9.:\[\]]+)",
        )

    @property
    def base(self):
        """`http://127.0.0.1:PORT`."""
        return self.match[1].rstrip("/")

    @property
    def simple(self):
        """The index address."""
        return f"{self.base}/simple/"
