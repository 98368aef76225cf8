"""The command line of the comparison."""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import machine
import others
import pages
import part_airgap
import part_delta
import part_index
import part_ingest
import part_install
import part_large
import part_million
import part_verify
import part_wheel
import report
import tree
import wheels
from bench import Bench
from nginx import Nginx
from process import Failed

PARTS = {
    "index": part_index.measure,
    "wheel": part_wheel.measure,
    "install": part_install.measure,
    "cold": part_install.measure_cold,
    "ingest": part_ingest.measure,
    "verify": part_verify.measure,
    "airgap": part_airgap.measure,
    "delta": part_delta.measure,
    "large": part_large.measure,
    "million": part_million.measure,
}

#: Room in memory that uv's cache and environment may take: the corpus unpacked is 1 GB, copied twice at worst.
SCRATCH_BYTES = 4 << 30

_HERE = Path(__file__).parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chiron"


def _arguments():
    target = Path(os.environ.get("CARGO_TARGET_DIR", _CACHE / "target"))
    parser = argparse.ArgumentParser(
        prog="benches/compare/run", description=sys.modules["__main__"].__doc__, epilog="See benches/README.md.",
    )
    parser.add_argument("--chiron", type=Path, default=target / "release" / "chiron", metavar="PATH",
                        help="the daemon to measure (default: %(default)s)")
    parser.add_argument("--baseline", action="store_true", help="measure the yardsticks only, without Chiron")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,…", help="parts: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every measure; the median counts")
    parser.add_argument("--seconds", type=int, default=4, help="length of one span of load")
    parser.add_argument("--quick", action="store_true", help="one round, one-second spans: does it work at all")
    parser.add_argument("--corpus", type=Path, default=_HERE / "corpus.txt", metavar="FILE",
                        help="hash-pinned requirements (default: corpus.txt beside this program)")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder that holds the corpus' wheels already")
    parser.add_argument("--cache", type=Path, default=_CACHE / "bench", metavar="DIR",
                        help="wheels, trees and tools that are kept between runs (default: %(default)s)")
    parser.add_argument("--work", type=Path, metavar="DIR",
                        help="parent of this run's folder with Chiron's data: a real disk (default: the cache)")
    parser.add_argument("--scratch", type=Path, metavar="DIR",
                        help="parent of uv's caches and environments (default: /dev/shm if roomy, else --work)")
    parser.add_argument("--with-devpi", action="store_true", help="devpi-server beside them (index, install, cold)")
    parser.add_argument("--with-proxpi", action="store_true", help="proxpi beside them (index, install, cold)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    arguments = parser.parse_args()
    if unknown := set(arguments.only.split(",")) - set(PARTS):
        parser.error(f"no part is named {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}")
    if not arguments.baseline and not arguments.chiron.is_file():
        parser.error(f"{arguments.chiron} is not there: build it (cargo build --release), name it with --chiron, "
                     "or measure only the yardsticks with --baseline")
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 1
    return arguments


def main():
    """Run the chosen parts, print the table; 0 when everything was measured, 1 when something failed."""
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # unwinds the `with` blocks, so every server ends
    try:
        return _run(arguments)
    except Failed as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1


def _scratch(arguments):
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free >= SCRATCH_BYTES
    return memory if roomy else arguments.work or arguments.cache


def _run_folder(parent):
    """A new folder of this run; those of runs that were killed and could not clean up are removed first."""
    for old in parent.glob("chiron-bench-*-*"):
        if not Path("/proc", old.name.split("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"chiron-bench-{os.getpid()}-", dir=parent))


def _generator(chiron):
    """The newest build of benches/million.rs beside the daemon: cargo puts a hash into its name."""
    built = [path for path in (chiron.parent / "deps").glob("million-*") if not path.suffix]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def _others(arguments):
    wanted = {"devpi": (arguments.with_devpi, others.devpi), "proxpi": (arguments.with_proxpi, others.proxpi)}
    return {name: make(arguments.cache) for name, (wish, make) in wanted.items() if wish}


def _run(arguments):
    machine.need("nginx", "wrk", "taskset")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    bins = machine.tools(arguments.cache)
    corpus = wheels.load(arguments.corpus, arguments.wheels or arguments.cache / "wheels", str(bins / "python"))
    static = tree.build(corpus, arguments.cache)
    failed = {}
    with contextlib.ExitStack() as stack:
        work, scratch = (
            _run_folder(parent)
            for parent in (arguments.work or arguments.cache, arguments.scratch or _scratch(arguments))
        )
        for folder in (work, scratch):
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        roots = {name: static / name for name in (tree.SHORT, tree.LONG, tree.SIZES)}
        roots[part_index.SERVED] = work / part_index.SERVED
        nginx = stack.enter_context(Nginx(work / "nginx", roots, static / "files", pages.CONTENT_TYPE))
        chiron = None if arguments.baseline else arguments.chiron.resolve()
        bench = Bench(chiron=chiron, uv=bins / "uv", python=sys.executable, corpus=arguments.corpus.resolve(),
                      wheels=corpus, tree=static, work=work, scratch=scratch, nginx=nginx,
                      rounds=arguments.rounds, seconds=arguments.seconds, others=_others(arguments),
                      generator=chiron and _generator(chiron), quick=arguments.quick)
        facts = machine.facts(bench.uv, chiron, {"data": work, "uv's folders": scratch})
        for part in arguments.only.split(","):
            try:
                PARTS[part](bench)
            except Failed as failure:  # one part that cannot be measured does not cost the others
                failed[part] = str(failure)
                print(f"compare: {part}: {failure}", file=sys.stderr, flush=True)
    command = shlex.join(["benches/compare/run", *sys.argv[1:]])
    print("\n" + report.markdown(bench.rows, facts, command, failed))
    if arguments.json:
        arguments.json.write_text(report.document(bench.rows, facts, command, failed))
    return int(bool(failed))
