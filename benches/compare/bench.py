"""What every part of the comparison is handed: tools, corpus, trees, folders, and how often to measure."""

import itertools
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import load
from chiron import Site
from nginx import Nginx
from report import CHIRON, markdown


@dataclass
class Bench:
    """One run."""

    chiron: Path | None  # None: yardsticks only
    uv: Path
    python: str
    corpus: Path
    wheels: list
    tree: Path
    work: Path  # Chiron's data: a real disk
    scratch: Path  # uv's folders: memory, so that a disk's moods do not drown the difference
    nginx: Nginx
    rounds: int
    seconds: int
    others: dict = field(default_factory=dict)  # name → class of another mirror (others.py)
    generator: Path | None = None  # benches/million.rs, built
    quick: bool = False
    rows: list = field(default_factory=list)
    _numbers: itertools.count = field(default_factory=itertools.count)
    _filled: dict = field(default_factory=dict)

    @property
    def corpus_bytes(self):
        """Bytes of all wheels of the corpus."""
        return sum(wheel.size for wheel in self.wheels)

    def folder(self, name, parent=None):
        """A new folder for one measurement; the caller removes it."""
        path = (parent or self.work) / f"{name}-{next(self._numbers)}"
        path.mkdir(parents=True)
        return path

    def site(self, upstream):
        """A Chiron that has never seen anything, with this nginx root as its upstream."""
        return Site(self.chiron, self.folder("site"), self.nginx.simple(upstream))

    def filled_site(self, upstream):
        """A Chiron that has ingested the corpus from this nginx root; made once in a run."""
        if upstream not in self._filled:
            site = self.site(upstream)
            site.run("ingest", "-r", self.corpus)
            self._filled[upstream] = site
        return self._filled[upstream]

    def interleave(self, contenders):
        """Measure each contender once a round, the first place going round; name → one value a round.

        A contender is a function without arguments. Chiron's is left out when only yardsticks are asked for.
        """
        contenders = {name: run for name, run in contenders.items() if run and (self.chiron or name != CHIRON)}
        samples = {name: [] for name in contenders}
        names = list(contenders)
        for place in range(self.rounds):
            turn = place % len(names)
            for name in names[turn:] + names[:turn]:
                load.settle()
                samples[name].append(contenders[name]())
        return samples

    def add(self, row):
        """Keep a row and say it at once, because a whole run takes long."""
        self.rows.append(row)
        print(markdown([row], {}, "").splitlines()[3], flush=True)


def discard(path):
    """Remove a folder of a measurement."""
    shutil.rmtree(path, ignore_errors=True)
