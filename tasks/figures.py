"""``./dev figures``: what unit tests run of the product, what they notice, and times of channels.

All are measured anew each time. No figure fails: they show where tests are missing, and what takes
long. Channels are measured by the rehearsal of a release, which does fail.
"""

import argparse
import json
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.environment import Environment, prepare_environment
from tasks.errors import TaskError
from tasks.hatch import hold_lock, install_tool
from tasks.parts import BESIDE, run_pytest
from tasks.places import HATCH, ROOT, list_members
from tasks.test import run_tests

_FOLDER = HATCH / "measured"
_UNITS = "packages"
_REHEARSAL = "e2e/journeys/rehearsal"

_MUTATED = {
    "rules/rule.py": "rules",
    "rules/grammar_rules.py": "rules",
    "evaluator.py": "test_evaluator.py",
    "remotes/push.py": "remotes",
}
"""Modules of airlock_modules that decide what is granted, and the tests of each."""

_NOTICED = ("killed", "timeout", "segfault", "suspicious")

# In each Python of the environment, whatever variables it was started with: tests give a daemon
# few. One that is killed measures nothing.
_START = (
    "import atexit, sys; sys.path.append({!r}); import coverage; "
    "_c = coverage.Coverage(config_file={!r}, data_suffix=True); _c.start(); "
    "atexit.register(lambda c=_c: (c.stop(), c.save()))\n"
)
_SETTINGS = """\
[run]
branch = true
data_file = {data}
source = {sources}
patch = _exit
sigterm = true
disable_warnings = no-data-collected, module-not-imported, module-not-measured
"""


def run_figures(arguments: Sequence[str]) -> int:
    """Measure what the arguments name, print it as a table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="./dev figures", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", help="(all of them, one after the other)")
    coverage = kinds.add_parser("coverage", help="lines and branches that unit tests run")
    coverage.add_argument("tests", nargs="*", default=[_UNITS], help=f"({_UNITS})")
    mutation = kinds.add_parser("mutation", help="changes of what decides that unit tests notice")
    mutation.add_argument("modules", nargs="*", default=[*_MUTATED], help=", ".join(_MUTATED))
    channels = kinds.add_parser(
        "channels", help="seconds from nothing to a push, and by an upgrade"
    )
    channels.add_argument("channels", nargs="*", help="such as deb (all)")
    options = parser.parse_args(arguments)
    if options.kind is None:
        return max([_try_figures(kind) for kind in kinds.choices])
    if options.kind == "channels":
        return _measure_channels(options.channels)
    environment = prepare_environment("default")
    with hold_lock():
        (tools,) = install_tool("figures").glob("lib/python*/site-packages")
    if options.kind == "coverage":
        return _measure_coverage(environment, tools, options.tests)
    for name in options.modules:
        if name not in _MUTATED:
            raise TaskError(f"{name} is none of the modules that are changed; see --help")
    return _measure_mutation(environment, tools, options.modules)


def _try_figures(kind: str) -> int:
    """Measure one kind whole; what cannot be measured does not keep the next from it."""
    print(f"\n==> {kind}", flush=True)
    try:
        return run_figures([kind])
    except TaskError as error:
        print(f"{kind}: {error}", flush=True)
        return 1


def _measure_coverage(environment: Environment, tools: Path, tests: Sequence[str]) -> int:
    folder = _make_folder("coverage")
    # Some tests have programs of other users.
    data = folder / "data"
    data.mkdir()
    data.chmod(0o1777)
    settings = folder / "coveragerc"
    sources = ", ".join(str(member / "src") for member in list_members())
    settings.write_text(_SETTINGS.format(data=data / "coverage", sources=sources))
    (packages,) = environment.folder.glob("lib/python*/site-packages")
    start = packages / "measured.pth"
    start.write_text(_START.format(str(tools), str(settings)))
    try:
        with tempfile.TemporaryDirectory(prefix="al-", ignore_cleanup_errors=True) as scratch:
            # Measured, a test takes several times as long.
            words = [*BESIDE, "-q", "--timeout=600", f"--basetemp={scratch}/t"]
            status = run_pytest(environment, [*tests, *words])
    finally:
        start.unlink()
    program = (str(environment.python), "-m", "coverage")
    rc = f"--rcfile={settings}"
    extra = {"PYTHONPATH": str(tools)}
    report = folder / "coverage.json"
    if environment.run([*program, "combine", "--quiet", rc, data], extra=extra) or environment.run(
        [*program, "json", "--quiet", "--ignore-errors", rc, "-o", report], extra=extra
    ):
        raise TaskError("nothing was measured, see above")
    counts = count_coverage(json.loads(report.read_text())["files"])
    print("\nof                                        lines         branches")
    for place, each in sorted(counts.items()):
        lines = _write_share(each["lines run"], each["lines"])
        print(f"{place:<40}{lines}  {_write_share(each['branches run'], each['branches'])}")
    if status:
        print("\nSome tests have failed, see above: what they would have run is missing here.")
    return 0


def count_coverage(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Return counts by package and folder in it, from the files of coverage's JSON."""
    counts: dict[str, Counter[str]] = {}
    for name, each in files.items():
        _, _, path = name.partition("/src/")
        package, *rest = Path(path).parts
        summary = each["summary"]
        found = Counter(
            {
                "lines": summary["num_statements"],
                "lines run": summary["covered_lines"],
                "branches": summary["num_branches"],
                "branches run": summary["covered_branches"],
            }
        )
        folder = f"{package}/{rest[0]}" if len(rest) > 1 else package
        for place in {folder, f"{package}, all", "all"}:
            counts.setdefault(place, Counter()).update(found)
    return counts


def _measure_mutation(environment: Environment, tools: Path, modules: Sequence[str]) -> int:
    """Change a copy of the package, a mutant at a time, and run the tests of what was changed."""
    folder = _make_folder("mutation")
    package = ROOT / "packages" / "airlock-modules"
    for name in ("src", "tests"):
        shutil.copytree(package / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    tests = sorted({f"tests/{_MUTATED[name]}" for name in modules})
    (folder / "setup.cfg").write_text(
        "[mutmut]\nsource_paths=src/\n"
        + _write_list("only_mutate", (f"src/airlock_modules/{name}" for name in modules))
        + _write_list("pytest_add_cli_args_test_selection", tests)
    )
    paths = ("tests", str(ROOT / "conformance"))
    (folder / "pytest.ini").write_text(
        f"[pytest]\naddopts = --import-mode=importlib\npythonpath = {' '.join(paths)}\n"
    )
    mutmut = f"cd {folder} && exec {environment.python} -m mutmut"
    extra = {"PYTHONPATH": str(tools)}
    if environment.run(["sh", "-c", f"{mutmut} run"], extra=extra):
        raise TaskError("mutmut failed, see above")
    with tempfile.TemporaryFile("w+") as said:
        environment.run(["sh", "-c", f"{mutmut} results --all true"], extra=extra, output=said)
        said.seek(0)
        counts = count_mutants(said)
    print("\nof                                        changes noticed   not run by any test")
    for name, each in sorted(counts.items()):
        noticed = sum(each[status] for status in _NOTICED)
        share = _write_share(noticed, each.total())
        print(f"{name:<40}{share}  {each['no tests']:>10}")
    return 0


def count_mutants(lines: Iterator[str] | Sequence[str]) -> dict[str, Counter[str]]:
    """Return how many mutants of each module ended how, from lines ``MODULE.NAME: STATUS``."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        name, colon, status = line.strip().rpartition(": ")
        module, dot, _ = name.partition(".x")
        if colon and dot:
            for place in (module, "all"):
                counts.setdefault(place, Counter())[status] += 1
    return counts


def _measure_channels(channels: Sequence[str]) -> int:
    """Rehearse a release, and print what its report says."""
    report = _make_folder("channels") / "report.xml"
    # The other kind of report has no properties of a test.
    kind = ("-o", "junit_family=xunit1")
    words = [_REHEARSAL, "-m", "nightly", "-v", *kind, f"--junit-xml={report}"]
    status = run_tests([*words, "-k", " or ".join(channels)] if channels else words)
    if not report.exists():
        raise TaskError("nothing was measured, see above")
    times = read_times(report)
    print("\nby              installed, to a push   upgraded, to a push")
    for channel, each in times.items():
        print(f"{channel:<16}{each.get('installed', '-'):>18} s{each.get('upgraded', '-'):>20} s")
    return status


def read_times(report: Path) -> dict[str, dict[str, str]]:
    """Return the seconds of each channel, from pytest's report: `installed` and `upgraded`."""
    times: dict[str, dict[str, str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it
        found = {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
        if "installed" in found:
            times[str(case.get("name")).partition("[")[2].removesuffix("]")] = found
    return times


def _write_list(name: str, values: Iterator[str] | Sequence[str]) -> str:
    return f"{name}=\n" + "".join(f"    {value}\n" for value in values)


def _write_share(part: int, whole: int) -> str:
    share = f"{100 * part / whole:.1f} %" if whole else "-"
    return f"{share:>8} of{whole:>6}"


def _make_folder(name: str) -> Path:
    folder = _FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
