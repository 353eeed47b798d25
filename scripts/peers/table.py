"""The table of scripts/compare-peers: medians, ratios, and which bars they meet."""

import dataclasses
import statistics


@dataclasses.dataclass
class Row:
    """One comparison: our measurements and the other's, one of each in every round."""

    case: str
    beside: str
    unit: str
    at_least: float | None = None
    aim: float | None = None
    larger: bool = False  # whether a larger ratio is better
    ours: list[float] = dataclasses.field(default_factory=list)
    theirs: list[float] = dataclasses.field(default_factory=list)
    missing: str = ""  # why there is nothing to compare

    def ratio(self):
        """Our median over theirs; None if either is missing."""
        if not self.ours or not self.theirs:
            return None
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def verdict(self):
        """`aim` or `at least` if that bar is met, `missed` if neither is, `-` if there is no bar or no ratio."""
        ratio = self.ratio()
        if ratio is None or self.at_least is None:
            return "-"
        meets = (lambda bar: ratio >= bar) if self.larger else (lambda bar: ratio <= bar)
        if self.aim is not None and meets(self.aim):
            return "aim"
        return "at least" if meets(self.at_least) else "missed"

    def json(self):
        """The row as it is written to a file."""
        medians = {"ours_median": median(self.ours), "theirs_median": median(self.theirs)}
        return dataclasses.asdict(self) | medians | {"ratio": self.ratio(), "verdict": self.verdict()}


def median(values):
    return statistics.median(values) if values else None


def number(value):
    """Three digits that count; `-` for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    """The median, and the smallest and largest of several."""
    if len(values) < 2:
        return number(median(values))
    return f"{number(median(values))} ({number(min(values))}-{number(max(values))})"


def text(rows):
    """The table in Markdown, its columns aligned."""
    cells = [["case", "beside", "unit", "ours", "theirs", "ratio", "at least", "aim", "met"]]
    for row in rows:
        ratio = row.missing or number(row.ratio())
        bars = [number(row.at_least), number(row.aim)]
        cells.append([row.case, row.beside, row.unit, spread(row.ours), spread(row.theirs), ratio, *bars, row.verdict()])
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
