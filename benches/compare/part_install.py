"""`uv pip install --require-hashes` of the corpus with a cold uv cache: warm Chiron, and Chiron that knows nothing."""

import contextlib
import sys

import tree
import wheels
from bench import discard
from process import Failed, clean_environment, timed
from report import CHIRON, NGINX, Row

#: Time with everything ingested, and with nothing, divided by the time straight from nginx.
REACH_WARM, REACH_COLD = 1.05, 2.0

PAGES = {tree.SHORT: "short pages", tree.LONG: "long pages"}


def install(bench, index):
    """Seconds that uv takes from `index` into a fresh environment; making and removing that is not timed."""
    folder = bench.folder("install", bench.scratch)
    try:
        venv, environment = folder / "venv", clean_environment(UV_PYTHON_DOWNLOADS="never")
        common = ["--quiet", "--no-config", "--cache-dir", folder / "cache"]
        timed([bench.uv, "venv", *common, "--python", sys.executable, venv], env=environment)
        command = [bench.uv, "pip", "install", *common, "--python", venv / "bin" / "python", "--require-hashes",
                   "-r", bench.corpus, "--default-index", index]
        if "%d.%d" % sys.version_info[:2] != wheels.PYTHON:
            command += ["--python-version", wheels.PYTHON, "--python-platform", "x86_64-manylinux_2_28"]
        seconds = timed(command, env=environment, cwd=folder).seconds
        installed = len(list(venv.glob("lib/python*/site-packages/*.dist-info")))
        if installed != len(bench.wheels):
            raise Failed(f"uv installed {installed} of {len(bench.wheels)} from {index}")
        return seconds
    finally:
        discard(folder)


def measure(bench):
    """Everything is already ingested; one unmeasured install warms pages and files of both."""
    for root, name in PAGES.items():
        with contextlib.ExitStack() as stack:
            indexes = {NGINX: bench.nginx.simple(root)}
            if bench.chiron:
                indexes[CHIRON] = stack.enter_context(bench.filled_site(root).serve()).simple
            for label, other in bench.others.items():
                indexes[label] = stack.enter_context(other(bench.folder(label), bench.nginx.simple(root))).simple
            for index in indexes.values():
                install(bench, index)
            samples = bench.interleave({
                label: lambda index=index: install(bench, index) for label, index in indexes.items()
            })
            bench.add(Row("install", f"{len(bench.wheels)} wheels, everything ingested, {name}", "s", samples,
                          reach=REACH_WARM, more_is_better=False))


def measure_cold(bench):
    """Chiron in on-demand mode with an empty data folder and that nginx as its upstream, a new one every round."""
    for root, name in PAGES.items():

        def from_chiron(root=root):
            site = bench.site(root)
            try:
                with site.serve() as server:
                    return install(bench, server.simple)
            finally:
                discard(site.folder)

        def from_other(other, label, root=root):
            folder = bench.folder(label)
            try:
                with other(folder, bench.nginx.simple(root)) as server:
                    return install(bench, server.simple)
            finally:
                discard(folder)

        contenders = {NGINX: lambda root=root: install(bench, bench.nginx.simple(root)), CHIRON: from_chiron}
        for label, other in bench.others.items():
            contenders[label] = lambda other=other, label=label: from_other(other, label)
        samples = bench.interleave(contenders)
        bench.add(Row("cold", f"{len(bench.wheels)} wheels on demand, nothing in the mirror, {name}", "s", samples,
                      reach=REACH_COLD, more_is_better=False))
