"""All checks on every wheel of the corpus on one core, beside `zipfile.testzip` on the same core."""

import sys
from statistics import median

from process import timed
from report import CHIRON, Row

#: MB of wheel per second on one core.
REACH = 140

ZIPFILE = "zipfile -t"

# `python -m zipfile -t` for many files in one process, so that its start is not counted 139 times.
_TESTZIP = "import sys, zipfile\nfor name in sys.argv[1:]:\n  assert zipfile.ZipFile(name).testzip() is None, name\n"


def measure(bench):
    """`taskset -c 0` keeps both on one core; the time is the whole command's."""
    paths = [wheel.path for wheel in bench.wheels]
    megabytes = bench.corpus_bytes / 1e6

    processor = []  # what it would be if nobody else had wanted the core

    def chiron():
        # 1 is a judgment (a real wheel that breaks a rule), not a failure of the measurement.
        command = ["taskset", "-c", "0", bench.chiron, "--format", "json", "verify", *paths]
        ended = timed(command, ok=(0, 1), cwd=bench.work)
        processor.append(megabytes / ended.cpu_seconds)
        return megabytes / ended.seconds

    samples = bench.interleave({
        CHIRON: chiron,
        ZIPFILE: lambda: megabytes / timed(["taskset", "-c", "0", sys.executable, "-c", _TESTZIP, *paths]).seconds,
    })
    plain = {CHIRON: samples[CHIRON]} if CHIRON in samples else {}
    bench.add(Row("verify", f"{megabytes:.0f} MB on one core", "MB/s", samples, against=ZIPFILE))
    if plain:
        bench.add(Row("verify", f"{megabytes:.0f} MB on one core", "MB/s", plain, against=None, reach=REACH,
                      note=f"per second of the processor {median(processor):.0f} MB"))
