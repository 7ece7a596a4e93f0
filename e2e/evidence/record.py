"""The record of runs: what each attack got, with its guard and without it.

It has no times, commits or paths of a machine, so that the same results are the same bytes.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from e2e.canary.attack import select
from e2e.canary.findings import CHECKOUT, read_findings, read_guarantees
from e2e.canary.run import Result, list_surprises
from e2e.canary.suites import SUITES, Suite
from e2e.hostile import campaign
from e2e.hostile.catalogue import FAMILIES as HOSTILE
from e2e.world import engine
from e2e.world.errors import BrokenError

FILE = Path(__file__).with_name("record.json")
OURS = "Airlock"
_SUITES = (*SUITES, "hostile", "tests", "conformance")
_GUARDS = {guard: name for name, suite in SUITES.items() for guard in suite.guarantees}
PARTS = (*_SUITES, *_GUARDS)
"""What can be recorded by itself: the suites of canaries, what is beside them, and each guard."""

Record = Mapping[str, Mapping[str, Any]]
"""`guards` and `hostile` have counts by name; `attacks` those of each attack that tries something
with an id, as FAMILY: NAME; `tests` what came of each test; `conformance` counts by implementation.
"""


def load() -> Record:
    """What the file has."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def record(parts: Sequence[str]) -> None:
    """Run these parts, or all, and put what comes of each in the place of what the file has."""
    for part in parts or _SUITES:
        print(f"evidence: {part}", flush=True)
        found = dict(_run(part))
        known = dict(load())
        for section, rows in found.items():
            old = known.get(section, {})
            others = {name: old[name] for name in old if not _is_of(part, name)}
            known[section] = {**others, **rows}
        _save(known)


def add_report(name: str, file: Path) -> None:
    """Put the conformance report of another implementation (JSON) beside ours."""
    known = dict(load())
    rows = {**known.get("conformance", {}), name: _summarize(file)}
    _save({**known, "conformance": rows})


def _save(known: Record) -> None:
    """A row a line, so that a change shows what it changes."""
    sections = (
        f'"{section}": {{\n'
        + ",\n".join(
            f"{json.dumps(name)}: {json.dumps(rows[name], sort_keys=True)}" for name in sorted(rows)
        )
        + "\n}"
        for section, rows in sorted(known.items())
    )
    FILE.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def _is_of(part: str, name: str) -> bool:
    """Whether a row is one that this part makes anew."""
    if part == "conformance":
        return name == OURS
    if part in _GUARDS:
        # Its attacks' rows are replaced by their names.
        return name == part
    suite = SUITES.get(part)
    families = () if suite is None else (family.name for family in suite.families)
    return suite is None or name in suite.guarantees or name.partition(": ")[0] in families


def _run(part: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if part in SUITES or part in _GUARDS:
        name = _GUARDS.get(part, part)
        guards = [part] if part in _GUARDS else [*SUITES[name].guarantees]
        # The engine is also other runs' own.
        with engine.alone() if name == "engine" else nullcontext():
            yield from _try_suite(SUITES[name], guards)
    elif part == "hostile":
        yield "hostile", {family.name: _stand(campaign.carry_out(family)) for family in HOSTILE}
    elif part == "tests":
        yield "tests", _run_tests({*list_tests()})
    else:
        yield "conformance", {OURS: _conform()}


def _try_suite(suite: Suite, wanted: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    families = {id(each): family.name for family in suite.families for each in family.attacks}
    for family in suite.families:
        if (missing := family.why_not()) is not None:
            raise BrokenError(f"{family.name} cannot be carried out here: {missing}")
    every = (each for family in suite.families for each in family.attacks)
    attacks = [each for each in every if each.guard in wanted]
    guards: dict[str, Any] = {}
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def count(results: Iterable[Result], tried: str, got: str) -> Iterator[bool]:
        for attack, leaks in results:
            if attack.tries and not attack.known:
                row = rows[f"{families[id(attack)]}: {attack.name}"]
                row[tried] += 1
                row[got] += bool(leaks)
            yield bool(leaks)

    with_guards = suite.carry(attacks, None)
    leaked = list(count(with_guards, "tried", "got"))
    for line in list_surprises(with_guards):
        print(f"  {line}", flush=True)
    for guard in wanted:
        mine = [
            (each.attack, has)
            for each, has in zip(with_guards, leaked, strict=True)
            if each.attack.guard == guard
        ]
        off = list(count(suite.carry(select(attacks, guard), guard), "off", "off_got"))
        guards[guard] = {
            "tried": sum(not attack.known for attack, _ in mine),
            "got": sum(has for attack, has in mine if not attack.known),
            "known": sum(bool(attack.known) for attack, _ in mine),
            "off": len(off),
            "off_got": sum(off),
        }
        print(f"  {guard}: {guards[guard]}", flush=True)
    yield "guards", guards
    yield "attacks", rows


def _stand(report: campaign.Report) -> Mapping[str, int]:
    print(f"  {report.family.name}: {report.tried}, {report.faults}", flush=True)
    return {"tried": report.tried, "got": len(report.faults), "untried": len(report.untried)}


def list_tests() -> Iterator[str]:
    """Those whose result is recorded: of guarantees, and of findings with an id."""
    for guarantee in read_guarantees().values():
        yield from guarantee.tests
    for finding in read_findings():
        if finding.id:
            yield from (*finding.tests, *finding.without)


def _run_tests(names: Iterable[str]) -> Mapping[str, str]:
    wanted = sorted(names)
    # pytest's own directories are too deep for a socket's path.
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", f"--basetemp={folder}/t"]
        program = Path(sys.executable).with_name("airlock-daemon")
        shim = program.with_name("airlock-shim")
        more = ["--daemon", str(program), "--shim", str(shim)]
        subprocess.run(
            [sys.executable, "-m", "pytest", *words, *wanted, *more], cwd=CHECKOUT, check=False
        )
        return _read_report(ET.parse(report), wanted)  # noqa: S314 - pytest's own


def _read_report(tree: "ET.ElementTree[Any]", wanted: Iterable[str]) -> Mapping[str, str]:
    """`passed` for a test all of whose cases did, else `failed` or `skipped`."""
    worst: dict[str, str] = {}
    for case in tree.iter("testcase"):
        name = f"{case.get('classname')}::{str(case.get('name')).partition('[')[0]}"
        kinds = {each.tag for each in case}
        now = "failed" if kinds & {"failure", "error"} else "passed"
        now = "skipped" if "skipped" in kinds else now
        order = ("passed", "skipped", "failed")
        worst[name] = max(now, worst.get(name, "passed"), key=order.index)
    return {
        test: worst.get(test.replace(".py", "").replace("/", "."), "not run") for test in wanted
    }


def _conform() -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        report = Path(folder) / "report.json"
        program = Path(sys.executable).with_name("airlock-daemon")
        words = [f"--daemon={program}", f"--shim={program.with_name('airlock-shim')}"]
        words += [f"--report={report}", f"--basetemp={folder}/t"]
        command = [sys.executable, "-m", "pytest", "-q", "-c", "conformance/pytest.ini"]
        subprocess.run([*command, "conformance", *words], cwd=CHECKOUT, check=False)
        return _summarize(report)


def _summarize(file: Path) -> Mapping[str, Any]:
    report = json.loads(file.read_text(encoding="utf-8"))
    roles = {role: counts for role, counts in report["roles"].items() if counts}
    return {"roles": roles, "policy": report["policy"], "base_only": report["base_only"]}
