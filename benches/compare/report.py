"""The table: one row a measure, medians of interleaved rounds, ratios, and whether they reach what was asked."""

import json
from dataclasses import asdict, dataclass, field
from statistics import median

CHIRON, NGINX = "chiron", "nginx"


@dataclass
class Row:
    """One measure. `samples` holds every round of every contender; `against` names the yardstick.

    `reach` bounds Chiron's median divided by the yardstick's (or the plain median without a yardstick):
    at least that with `more_is_better`, else at most that.
    """

    part: str
    measure: str
    unit: str
    samples: dict
    against: str | None = NGINX
    reach: float | None = None
    more_is_better: bool = True
    note: str = ""
    medians: dict = field(init=False)
    ratio: float | None = field(init=False, default=None)
    met: bool | None = field(init=False, default=None)

    def __post_init__(self):
        self.medians = {name: median(values) for name, values in self.samples.items() if values}
        chiron, other = self.medians.get(CHIRON), self.medians.get(self.against)
        if chiron is not None and other:
            self.ratio = chiron / other
        judged = self.ratio if self.against else chiron
        if judged is not None and self.reach is not None:
            self.met = judged >= self.reach if self.more_is_better else judged <= self.reach


def figure(value, unit=""):
    """A number with three meaningful digits or whole thousands."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
    return f"{text} {unit}".strip()


def _reach(row):
    if row.reach is None:
        return ""
    bound = f"{'≥' if row.more_is_better else '≤'} {row.reach:,g}" + ("" if row.against else f" {row.unit}")
    return bound if row.met is None else f"{bound}: {'yes' if row.met else '**no**'}"


def markdown(rows, facts, command, failed=None):
    """The whole report."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "| measure | Chiron | yardstick | ratio | to reach | others |", "|---|---:|---:|---:|---|---|"]
    for row in rows:
        yardstick = row.medians.get(row.against)
        others = ", ".join(
            f"{name} {figure(value, row.unit)}"
            for name, value in row.medians.items() if name not in (CHIRON, row.against)
        )
        cells = [
            f"{row.part}: {row.measure}" + (f" ({row.note})" if row.note else ""),
            figure(row.medians.get(CHIRON), row.unit),
            f"{row.against} {figure(yardstick, row.unit)}" if yardstick is not None else "",
            figure(row.ratio) if row.ratio is not None else "",
            _reach(row),
            others,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\n**Not measured, {part}**: {reason.splitlines()[0]}" for part, reason in (failed or {}).items()]
    return "\n".join([*lines, "", f"Made by `{command}`."])


def document(rows, facts, command, failed):
    """The same for programs, with every sample."""
    return json.dumps({"schema": "chiron.bench/v1", "facts": facts, "command": command, "failed": failed,
                       "rows": [asdict(row) for row in rows]}, indent=1)
