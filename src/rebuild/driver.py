"""Builds one wheel inside the sandbox. Standard library only, Python 3.8 or later.

The order comes on stdin: one line of JSON, then the bytes of the files it names, end to end. The answer goes to the
first stdout: one line of JSON, then the wheel's bytes. Everything else that anybody prints is the log (stderr).
What the source and its backend do, they do in child processes; this one only moves bytes.
"""
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

ROOT = "/tmp/chiron"
SITE = ROOT + "/site"
CHUNK = 1 << 20

# One PEP 517 hook in a process of its own: hooks may leave their process in any state.
HOOK = r"""
import importlib, json, os, site, sys
order = json.loads(sys.argv[1])
sys.path[:] = [p for p in sys.path if p]
site.addsitedir(order["site"])
sys.path[:0] = order["path"]
name, _, inner = order["backend"].partition(":")
backend = importlib.import_module(name)
for part in filter(None, inner.split(".")):
    backend = getattr(backend, part)
if order["hook"] == "requires":
    hook = getattr(backend, "get_requires_for_build_wheel", None)
    result = list(hook(order["settings"])) if hook else []
else:
    result = backend.build_wheel(order["out"], order["settings"])
with open(order["result"], "w") as file:
    json.dump(result, file)
"""


class Failed(Exception):
    """The step that failed, and why."""


def take(source, path, size):
    """Moves `size` bytes into a new file."""
    with open(path, "wb") as file:
        while size:
            part = source.read(min(size, CHUNK))
            if not part:
                raise Failed("unpack", "the order ended early")
            file.write(part)
            size -= len(part)


def unpack_source(path, modes):
    """Unpacks the sdist and returns its only folder. The gate has looked at it; what it missed ends in this sandbox."""
    folder = ROOT + "/src"
    os.mkdir(folder)
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                archive.extract(info, folder)
                mode = (info.external_attr >> 16) & 0o777
                if mode and not info.is_dir():
                    os.chmod(os.path.join(folder, info.filename), mode | 0o600)
    else:
        with tarfile.open(path, "r:gz") as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data" if modes == "usual" else "fully_trusted")
            else:
                archive.extractall(folder)
    tops = [entry for entry in os.listdir(folder) if entry != "pax_global_header"]
    if len(tops) != 1:
        raise Failed("unpack", "the source has %d top folders" % len(tops))
    return os.path.join(folder, tops[0])


def install(path):
    """Unpacks a wheel into the site folder."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            parts = info.filename.split("/")
            if parts[0].endswith(".data") and len(parts) > 2:
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            if info.is_dir() or ".." in parts:
                continue
            target = os.path.join(SITE, *parts)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(info) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
            if (info.external_attr >> 16) & 0o111:
                os.chmod(target, 0o755)


def call(hook, order, tree, out):
    """Runs a hook in a child process; its result."""
    result = ROOT + "/" + hook + ".json"
    path = [os.path.normpath(os.path.join(tree, entry)) for entry in order["backend_path"]]
    if any(os.path.commonpath([tree, entry]) != tree for entry in path):
        raise Failed(hook, "backend-path leaves the source")
    arguments = {"hook": hook, "backend": order["backend"], "path": path, "site": SITE, "out": out,
                 "settings": order["config_settings"] or None, "result": result}
    environment = dict(os.environ, PYTHONPATH=SITE, **order["env"])
    command = [sys.executable, "-S", "-s", "-c", HOOK, json.dumps(arguments)]
    status = subprocess.call(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=2)
    if status:
        raise Failed(hook, "the build backend ended with status %d" % status)
    try:
        with open(result) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise Failed(hook, "the build backend left no result: %s" % error)


def plain(requirement):
    return requirement.strip().lower().replace("_", "-").replace(".", "-")


def work(order, source):
    os.umask(0o022 if order["modes"] == "usual" else 0o002)
    for folder in (ROOT, SITE, ROOT + "/in", ROOT + "/out", os.environ["HOME"]):
        os.makedirs(folder)
    sdist = None
    for number, file in enumerate(order["files"]):
        folder = "%s/in/%d" % (ROOT, number)
        os.mkdir(folder)
        path = os.path.join(folder, file["name"])
        take(source, path, file["size"])
        if file["role"] == "sdist":
            sdist = path
        else:
            try:
                install(path)
            except Exception as error:
                raise Failed("environment", "%s: %r" % (file["name"], error))
            os.remove(path)
    try:
        tree = unpack_source(sdist, order["modes"])
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Failed("unpack", repr(error))
    if order["do"] == "describe":
        try:
            with open(os.path.join(tree, "pyproject.toml"), "rb") as file:
                text = file.read(CHUNK).decode("utf-8", "replace")
        except FileNotFoundError:
            text = None
        return {"state": "described", "pyproject": text}, None
    answered = set(order["answered"])
    requires = [str(one) for one in call("requires", order, tree, "")]
    if any(one not in answered and plain(one) not in answered for one in requires):
        return {"state": "requires", "requires": requires}, None
    out = ROOT + "/out"
    name = str(call("build", order, tree, out))
    path = os.path.join(out, os.path.basename(name))
    if os.path.islink(path) or not os.path.isfile(path):
        raise Failed("build", "the build backend left no file %r" % name)
    return {"state": "built", "filename": os.path.basename(name), "size": os.path.getsize(path)}, path


def main():
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.buffer.readline())
    try:
        said, path = work(order, sys.stdin.buffer)
    except Failed as failed:
        said, path = {"state": "failed", "step": failed.args[0], "reason": failed.args[1]}, None
    answer.write(json.dumps(said).encode() + b"\n")
    if path:
        with open(path, "rb") as file:
            shutil.copyfileobj(file, answer, CHUNK)
    answer.flush()


main()
