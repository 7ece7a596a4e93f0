"""The report: tables in Markdown for people, JSON for programs."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.errors import BenchError
from bench.figures import Figure, Goal, Unit
from bench.machine import Machine

BEGIN = "<!-- The run writes what is between these two lines: begin -->"
END = "<!-- The run writes what is between these two lines: end -->"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one run. `load` is the load average before and after.

    `failures` has one line per family that was aborted, with the reason.
    """

    date: str
    machine: Machine
    load: tuple[float, float]
    seconds: float
    is_quick: bool
    figures: tuple[Figure, ...]
    failures: tuple[str, ...] = ()


def write_table(report: Report) -> str:
    """Return the report in Markdown: the machine, figures against goals, and their origins."""
    figures = [figure for figure in report.figures if figure.pair]
    noise = [figure for figure in report.figures if not figure.pair]
    parts = [[_write_circumstances(report)]]
    if report.failures:
        parts.append([f"- Not measured to the end: {failure}" for failure in report.failures])
    if noise:
        rows = [join_cells(figure.what, _write_cell(figure)) for figure in noise]
        parts.append([*open_table("how noisy the machine was", ""), *rows])
    if figures:
        parts.append(_write_goals(figures))
        parts.append(["What the figures are made of:"])
        parts.append(_write_origins(figures))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def save_table(text: str, path: Path) -> None:
    """Write a table to a file, or between its two marks if it has them.

    Raises BenchError if there is only one mark.
    """
    old = path.read_text() if path.exists() else ""
    if BEGIN not in old and END not in old:
        path.write_text(text)
        return
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{path}: one of the two lines that enclose the table is missing")
    path.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}")


def save_report(report: Report, path: Path) -> None:
    """Write a report as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _write_goals(figures: Sequence[Figure]) -> list[str]:
    pairs = list(dict.fromkeys(figure.pair for figure in figures))
    cells = {(figure.what, figure.pair): figure for figure in figures}
    lines = open_table("what", "goal", *pairs)
    for what in dict.fromkeys(figure.what for figure in figures):
        found = [cells.get((what, pair)) for pair in pairs]
        goal = next((figure.goal for figure in found if figure and figure.goal), None)
        unit = next(figure.unit for figure in found if figure)
        lines.append(join_cells(what, _write_goal(goal, unit), *map(_write_cell, found)))
    return lines


def _write_origins(figures: Sequence[Figure]) -> list[str]:
    lines = open_table("what", "of", "n", "measured", "note")
    for figure in figures:
        behind = ", ".join(f"{name} {_round(value)}" for name, value in figure.behind.items())
        note = "; ".join(part for part in (figure.fault, figure.note) if part)
        if behind or note:
            lines.append(join_cells(figure.what, figure.pair, str(figure.n), behind, note))
    return lines


def _write_circumstances(report: Report) -> str:
    machine = report.machine
    before, after = report.load
    text = (
        f"{report.date}, {report.seconds / 60:.0f} minutes on {machine.kernel} "
        f"({machine.architecture}, {machine.processor}, {machine.cpus} CPUs, "
        f"{machine.memory_mb / 1000:.0f} GB), Python {machine.python}. "
        f"Load average {before:.2f} before and {after:.2f} after."
    )
    if report.is_quick:
        return f"**A smoke run: too few calls for the figures to mean anything.** {text}"
    return text


def open_table(*names: str) -> list[str]:
    """Return the first two lines of a Markdown table."""
    return [join_cells(*names), join_cells(*("---" for _ in names))]


def join_cells(*cells: str) -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _write_goal(goal: Goal | None, unit: Unit) -> str:
    return "" if goal is None else f"{goal.bound} {with_unit(goal.value, unit)}"


def _write_cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.value is None:
        return "not measured (see below)"
    text = f"**{with_unit(figure.value, figure.unit)}**"
    if figure.low is not None and figure.high is not None:
        text += f" ({_round(figure.low)} to {_round(figure.high)})"
    verdict = {True: ", met", False: ", missed", None: ""}[figure.is_met]
    return text + verdict + (" (see below)" if figure.fault else "")


def with_unit(value: float, unit: Unit) -> str:
    """Return a value with its unit, for people."""
    return f"{_round(value)} {unit}"


def _round(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:,.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if magnitude >= 0.1 else f"{value:.3f}"
