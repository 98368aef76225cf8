"""What the export of one interval of the log costs in a large catalogue and in a small one: the same wheels are new in both."""

import json

from bench import discard
from report import CHIRON, Row

SMALL = "small"

#: The wheels that are new: those of the corpus below this many bytes.
NEW_BELOW = 200_000

#: "In proportion to the interval, not to the catalogue": at most this much longer, and larger, than in the small one.
SAME_TIME, SAME_SIZE = 1.5, 1.1


def measure(bench, sites, label):
    """`sites`: catalogues by contender. Each ingests the same wheels, then exports what is new, several times."""
    new = [wheel for wheel in bench.wheels if wheel.size < NEW_BELOW]
    pins = bench.folder("interval") / "new.txt"
    pins.write_text("".join(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in new))
    since, sizes = {}, {name: [] for name in sites}
    for name, site in sites.items():
        since[name] = json.loads(site.run("status", "--format", "json").stdout)["log_size"]
        site.run("ingest", "-r", pins, timeout=900)

    def export(name):
        site = sites[name]
        folder = bench.folder("export")
        try:
            ran = site.run("airgap", "export", folder / "bundle", "--since", str(since[name]), timeout=900)
            sizes[name].append(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)
            return ran.seconds
        finally:
            discard(folder)

    seconds = bench.interleave({name: lambda name=name: export(name) for name in sites})
    what = f"exporting {len(new)} new wheels, {sum(wheel.size for wheel in new) / 1e6:.1f} MB"
    bench.add(Row("million", f"{what}, out of {label}", "s", seconds, against=SMALL, reach=SAME_TIME,
                  more_is_better=False))
    bench.add(Row("million", f"{what}: size of the bundle", "MB", sizes, against=SMALL, reach=SAME_SIZE,
                  more_is_better=False))
