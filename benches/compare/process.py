"""Child processes that never outlive the run: every one is ended by its own id, also after a failure."""

import ctypes
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1

#: Seconds that a daemon has to leave after SIGTERM before it is killed.
STOP_SECONDS = 20


class Failed(Exception):
    """A command that the comparison needs did not do its work; the text says which and shows its last words."""


def die_with_parent():
    """Run in the child: the kernel ends it when this program is killed and cannot clean up itself."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def clean_environment(**extra):
    """The environment without settings of this machine that would reroute pip, uv or Chiron."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PIP_", "UV_", "CHIRON_", "RUST_LOG", "VIRTUAL_ENV", "PYTHONPATH"))
        and not key.lower().endswith("_proxy")
    }
    return kept | extra


@dataclass(frozen=True)
class Timed:
    """One finished command: wall and processor seconds, and the peak of its resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stdout: str


def timed(argv, *, env=None, cwd=None, timeout=180, ok=(0,)):
    """Run a command to its end and measure it. Raises Failed when its exit status is not in `ok`."""
    argv = [str(part) for part in argv]
    with open(os.devnull) as nothing, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        child = subprocess.Popen(
            argv, stdin=nothing, stdout=out, stderr=err, env=env or clean_environment(), cwd=cwd,
            preexec_fn=die_with_parent,
        )
        status, usage = _wait(child, begin + timeout)
        seconds = time.perf_counter() - begin
        texts = [_text(stream) for stream in (out, err)]
    if status not in ok:
        said = (texts[1] or texts[0]).strip()[-3000:]
        last = said.splitlines()[-1].strip() if said else "nothing said"
        raise Failed(f"{Path(argv[0]).name} ended with {status}: {last}\n{' '.join(argv[:40])}\n{said}")
    return Timed(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, texts[0])


def _text(stream):
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")


def _wait(child, deadline):
    """wait4 with a deadline, because Popen.wait does not hand out the resource usage."""
    alarm = max(1, int(deadline - time.perf_counter()))

    def expire(_signal, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(alarm)
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException as error:
        signal.alarm(0)
        child.kill()
        child.wait()
        if isinstance(error, TimeoutError):
            raise Failed(f"{child.args[0]} took more than {alarm} s and was ended") from None
        raise
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage


class Daemon:
    """A server for the length of a `with` block. Its output goes to a log file in its work folder."""

    def __init__(self, argv, log: Path, *, ready=None, env=None, cwd=None, timeout=60):
        self.argv = [str(part) for part in argv]
        self.log = log
        self.ready = re.compile(ready) if isinstance(ready, str) else ready
        self.env = env or clean_environment()
        self.cwd = cwd
        self.timeout = timeout
        self.match = None
        self._log_start = 0
        self.start_seconds = 0.0

    def __enter__(self):
        begin = time.perf_counter()
        self._log_start = self.log.stat().st_size if self.log.exists() else 0  # an earlier start names another port
        with open(self.log, "ab") as log, open(os.devnull) as nothing:
            self.child = subprocess.Popen(
                self.argv, stdin=nothing, stdout=log, stderr=log, env=self.env, cwd=self.cwd,
                preexec_fn=die_with_parent,
            )
        try:
            self._await_ready(begin + self.timeout)
        except BaseException:
            self.__exit__()
            raise
        self.start_seconds = time.perf_counter() - begin
        return self

    def _await_ready(self, deadline):
        while True:
            if self.child.poll() is not None:
                raise Failed(f"{self.argv[0]} ended at once with {self.child.returncode}:\n{self.tail()}")
            if callable(self.ready):
                if self.ready():
                    return
            elif match := self.ready.search(self._said()):
                self.match = match
                return
            if time.perf_counter() > deadline:
                raise Failed(f"{self.argv[0]} was not ready after {self.timeout} s:\n{self.tail()}")
            time.sleep(0.002)

    def _said(self):
        return self.log.read_bytes()[self._log_start :].decode("utf-8", "replace")

    def tail(self):
        """The last lines of the log, for an error message."""
        return self._said()[-3000:]

    def resident_bytes(self):
        """Resident memory of the process now (for Chiron: of its one process)."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
