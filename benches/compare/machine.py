"""What the figures were taken on, and the tools that they were taken with."""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from process import Failed, timed


def need(*programs):
    """Raise Failed with the Debian packages to install when a program is missing."""
    if missing := [program for program in programs if not shutil.which(program)]:
        raise Failed(f"not installed: {', '.join(missing)} (apt-get install {' '.join(missing)})")


def tools(cache: Path, packages=("uv",), name="tools"):
    """The bin folder of a virtual environment in the cache that holds these packages, made on first use."""
    folder = cache / name
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = folder / ".installed"
    if not done.exists() or done.read_text() != " ".join(packages):
        # The index is the one that pip on this machine is configured with, so pip keeps its environment.
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages]
        if subprocess.run(pip, timeout=1200).returncode != 0:
            raise Failed(f"pip could not install {', '.join(packages)} into {folder}: see above")
        done.write_text(" ".join(packages))
    return folder / "bin"


def facts(uv, chiron, folders):
    """Name → value, for the top of the report."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", cpu)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
    found = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {model[1] if model else platform.machine()}, "
                   f"{int(memory[1]) / 2**20:.0f} GiB, Linux {platform.release()}",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "versions": f"{nginx.strip().removeprefix('nginx version: ')}, {wrk.split(' [')[0].strip()}, "
                    f"{timed([uv, '--version']).stdout.split(' (')[0].strip()}, Python {platform.python_version()}",
    }
    for name, folder in folders.items():
        found[name] = f"on {_file_system(folder)}"
    if chiron:
        found["Chiron"] = timed([chiron, "--version"]).stdout.strip()
    return found


def _file_system(folder):
    """The type of the file system that a folder lies on."""
    return timed(["df", "--output=fstype", folder]).stdout.split()[-1]
