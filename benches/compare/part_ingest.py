"""`chiron ingest -r` of the corpus from the local upstream into an empty data folder, everything synced."""

import tree
from bench import discard
from report import CHIRON, Row

#: MB of wheel per second of wall time, from the start of the command to its end.
REACH = 200


def measure(bench):
    """The yardstick is the plain median; there is nothing in nginx to compare with."""
    if not bench.chiron:
        return
    for root, reach in ((tree.SHORT, REACH), (tree.LONG, None)):

        def ingest(root=root):
            site = bench.site(root)
            try:
                site.run("init", ok=(0,))
                return bench.corpus_bytes / 1e6 / site.run("ingest", "-r", bench.corpus).seconds
            finally:
                discard(site.folder)

        samples = bench.interleave({CHIRON: ingest})
        bench.add(Row("ingest", f"{bench.corpus_bytes / 1e6:.0f} MB, {root} pages", "MB/s", samples, against=None,
                      reach=reach))
