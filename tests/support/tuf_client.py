"""python-tuf, as tests/support/tuf_clients.rs drives it.

Each line on stdin asks for one run, which shares nothing with the others but what the client keeps in its folder: a JSON
object with base (the address above metadata/ and targets/), state (that folder), root (a file), targets (paths), out (a
folder that receives target number N as N) and timeout (seconds). Each is answered by a line on stdout:
{"versions": {role: version}}, with {"error": class, "message": text} when the client refused.
"""

import json
import os
import sys
from pathlib import Path

from tuf.ngclient import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher


def versions(state):
    found = {}
    for role in ("root", "timestamp", "snapshot", "targets"):
        path = Path(state, f"{role}.json")
        if path.exists():
            found[role] = json.loads(path.read_bytes())["signed"]["version"]
    return found


def run(ask):
    updater = Updater(
        metadata_dir=ask["state"],
        metadata_base_url=ask["base"] + "/metadata/",
        target_base_url=ask["base"] + "/targets/",
        target_dir=ask["out"],
        fetcher=Urllib3Fetcher(socket_timeout=ask["timeout"]),
        bootstrap=Path(ask["root"]).read_bytes(),
    )
    updater.refresh()
    for number, path in enumerate(ask["targets"]):
        info = updater.get_targetinfo(path)
        if info is None:
            raise LookupError(f"no role that may sign {path} lists it")
        updater.download_target(info, os.path.join(ask["out"], str(number)))


for line in sys.stdin:
    ask = json.loads(line)
    answer = {}
    try:
        run(ask)
    except Exception as error:  # what kinds there are is what the tests ask
        answer = {"error": type(error).__name__, "message": f"{error} {error.__cause__ or ''}".strip()}
    print(json.dumps({"versions": versions(ask["state"]), **answer}), flush=True)
