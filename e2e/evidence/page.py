"""The page of evidence: promises, reports and findings, each with its recorded attacks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from e2e.canary.attack import PROMISES
from e2e.canary.findings import Finding, Guarantee, read_findings, read_guarantees
from e2e.canary.suites import SUITES, list_attacks
from e2e.evidence.record import OURS, Record
from e2e.hostile.catalogue import FAMILIES as HOSTILE

_KEYS: Final = ("tried", "got", "off", "off_got")
_INTRODUCTION = """\
# Evidence

What was tried against each promise of Airlock, and what came of it. `./dev evidence` makes this
page from the attacks themselves and from the record of the last run: every number and result is of
that record. What a guarantee says and how far it holds is our own judgement, that of
[SECURITY.md](../SECURITY.md). The record is a file in the repository, which proves nothing by
itself: run what you doubt.

- An **attack** is a hostile client, workspace or program in a box, against a real daemon with
  planted credentials. *Got something* means that it reached a credential, changed something outside
  of the workspace, or moved a ref that was not granted.
- A **guard** is the code that stops it. *Without the guard* those of the attacks that nothing else
  stops run against a daemon with that code switched off, and each has to succeed: what never
  succeeds does not show that the guard is needed.
- *Known to work* are attacks that get something with all guards on, for the reasons below the
  table. They are not counted among the others.
- A number such as *57 of 57* counts each attack in each way of making boxes.

## Run it yourself

In a checkout, on Linux, as root. The first command prepares the environment, which takes longer.

```sh
./dev canary --list                                      # families, ids and guards
./dev canary --only CVE-2026-3854                        # what tries one report
./dev canary --only CVE-2026-3854 --without refs         # the same with the guard off: it succeeds
./dev canary api-judging                                 # a family
./dev canary --only G7                                   # what tries one guarantee
```

Most of these take less than two minutes. `./dev canary` carries out everything, and `./dev evidence
--record` writes down the result anew, which takes hours."""

_CONFORMANCE = """\
## Conformance

The [conformance suite](../conformance/README.md) judges any daemon and shim by the protocol alone.
An implementation that is not in this table was not at hand when it was recorded. To add one:

```sh
pytest -c conformance/pytest.ini conformance --daemon ./their-daemon --shim ./their-shim \\
  --base-only --report theirs.json
./dev evidence --report "their name" theirs.json
```

`--base-only` is for the first implementation, up to v0.4.1, which has no features of the protocol.
"""


def write_page(record: Record) -> str:
    """The whole page, as Markdown; the same for the same attacks and the same record."""
    parts = (
        (_INTRODUCTION,),
        _write_promises(record),
        _write_reports(record, "Public reports", lambda each: not each.id.startswith("audit-")),
        _write_reports(record, "Audit findings", lambda each: each.id.startswith("audit-")),
        _write_reviews(),
        _write_conformance(record.get("conformance", {})),
    )
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _write_promises(record: Record) -> Iterator[str]:
    yield "## Guarantees"
    for guarantee in read_guarantees().values():
        yield f"\n### {guarantee.id}\n\n{guarantee.text}\n\nIn this release: {guarantee.holds}.\n"
        yield "| guard, and what it holds | attacks | got something | without the guard | run |"
        yield "|---|---|---|---|---|"
        for suite in SUITES.values():
            for guard, holds in suite.guarantees.items():
                if _find_promise(guard) == guarantee.id:
                    row = record.get("guards", {}).get(guard)
                    yield f"| `{guard}`: {holds} | {_count(row, guard)} |"
        for family in HOSTILE:
            if family.promise == guarantee.id:
                row = record.get("hostile", {}).get(family.name)
                counts = "not recorded | |" if row is None else f"{row['tried']} | {row['got']} |"
                run = f"`./dev hostile attacks {family.name}`"
                yield f"| `{family.name}`: {family.about} | {counts} | {run} |"
        for test in guarantee.tests:
            yield f"| {_show_test(test, record)} |"
        yield from _write_remains(guarantee, record)


def _write_remains(guarantee: Guarantee, record: Record) -> Iterator[str]:
    """What is known to work against a guarantee, and what of it is not recorded."""
    attacks = [
        attack for _, _, attack in list_attacks() if _find_promise(attack.guard) == guarantee.id
    ]
    for known in dict.fromkeys(attack.known for attack in attacks if attack.known):
        guards = dict.fromkeys(f"`{each.guard}`" for each in attacks if each.known == known)
        yield f"\nKnown to work ({', '.join(guards)}): {known}."
    families = [each.name for each in HOSTILE if each.promise == guarantee.id]
    wanted = (
        *(("guards", each) for each in dict.fromkeys(attack.guard for attack in attacks)),
        *(("hostile", each) for each in families),
        *(("tests", each) for each in guarantee.tests),
    )
    missing = [name for kind, name in wanted if name not in record.get(kind, {})]
    if missing:
        names = ", ".join(f"`{each.rpartition('::')[2]}`" for each in missing)
        yield f"\n**Not recorded yet**, so that nothing here shows that it holds: {names}."


def _find_promise(guard: str) -> str:
    return PROMISES.get(guard, "G4")


def _count(row: Mapping[str, int] | None, guard: str) -> str:
    if row is None:
        return f"not recorded | | | `./dev canary --only {guard}`"
    known = f" (and {row['known']} known to work)" if row["known"] else ""
    off = f"{row['off_got']} of {row['off']} succeed"
    return f"{row['tried']}{known} | {row['got']} | {off} | `./dev canary --without {guard}`"


def _write_reports(record: Record, title: str, is_one: Any) -> Iterator[str]:
    yield f"## {title}"
    rows = defaultdict[tuple[str, ...], list[Finding]](list)
    tried = defaultdict[str, list[str]](list)
    for _, family, attack in list_attacks():
        for name in attack.tries:
            tried[name].append(f"{family.name}: {attack.name}")
    for finding in read_findings():
        if finding.id and is_one(finding):
            rows[(finding.what, *tried[finding.id], *finding.tests)].append(finding)
    for same in rows.values():
        yield from _write_finding(same, tried[same[0].id], record)


def _write_finding(same: Sequence[Finding], names: Iterable[str], record: Record) -> Iterator[str]:
    """Findings that the same attacks try; of several reports the first one is in the command."""
    first = same[0]
    yield f"\n### {', '.join(each.id for each in same)}\n\n{first.what}\n"
    if first.open:
        yield f"What remains: {first.open}\n"
    families = defaultdict[str, list[Mapping[str, int]]](list)
    for name in dict.fromkeys(names):
        families[name.partition(": ")[0]].append(record.get("attacks", {}).get(name, {}))
    yield "| attacks, tests | tried | got something | without the guard |"
    yield "|---|---|---|---|"
    for family, counts in families.items():
        if not all(counts):
            yield f"| `{family}` | not recorded | | |"
            continue
        total = {key: sum(each.get(key, 0) for each in counts) for key in _KEYS}
        off = f"{total['off_got']} of {total['off']} succeed" if total["off"] else "not tried"
        yield f"| `{family}` | {total['tried']} | {total['got']} | {off} |"
    for test in dict.fromkeys(first.tests):
        yield f"| {_show_test(test, record)} |"
    for test in first.without:
        yield f"| {_show_test(test, record, without=True)} |"
    if families:
        yield f"\nRun: `./dev canary --only {first.id}`"


def _show_test(test: str, record: Record, *, without: bool = False) -> str:
    """A row without its ends: the result stands where those of attacks do."""
    path, _, name = test.partition("::")
    result = record.get("tests", {}).get(test, "not recorded")
    link = f"[`{name}`](../{path})"
    if not without:
        return f"{link} | test | {result} |"
    return f"{link} | test | | {'passed: it succeeds' if result == 'passed' else result}"


def _write_reviews() -> Iterator[str]:
    yield "## What reviews found\n"
    yield "Attacks on designs and releases of Airlock, each with what tries it before every change."
    yield "\n| found | tried by |\n|---|---|"
    for finding in read_findings():
        if finding.id:
            continue
        tried = (_show_trial(each) for each in (*finding.tried_by, *finding.without))
        left = f" *Left open: {finding.open}.*" if finding.open else ""
        yield f"| {finding.what}{left} | {'<br>'.join(tried)} |"


def _show_trial(trial: str) -> str:
    path, _, name = trial.partition("::")
    if "/" in path.partition(":")[0]:
        return f"[`{name or path}`](../{path})"
    family, _, begin = trial.partition(": ")
    begin = begin.removesuffix("*").strip()
    what = f"--only '{begin}'" if begin and "'" not in begin else ""
    return f"`./dev canary {family} {what}".rstrip().replace("|", r"\|") + "`"


def _write_conformance(reports: Mapping[str, Any]) -> Iterator[str]:
    yield _CONFORMANCE
    yield "| implementation | role | passed | failed | not run | judged by |"
    yield "|---|---|---|---|---|---|"
    for name in sorted(reports, key=lambda each: (each != OURS, each)):
        by = "the base alone" if reports[name]["base_only"] else "the whole protocol"
        for role, counts in reports[name]["roles"].items():
            cells = (str(counts.get(each, 0)) for each in ("passed", "failed", "not run"))
            yield f"| {name} | {role} | {' | '.join(cells)} | {by} |"
    yield "\n| implementation | of the policy vectors | denied | allowed | allowed in a box |"
    yield "|---|---|---|---|---|"
    for name in sorted(reports, key=lambda each: (each != OURS, each)):
        for row in reports[name]["policy"]:
            yield (
                f"| {name} | {row['tool']} | {row['denied']} of {row['evasions']} evasions "
                f"| {row['allowed']} of {row['everyday']} everyday commands "
                f"| {row['let_be']} of {row['harmless']} tricks that are harmless there |"
            )
