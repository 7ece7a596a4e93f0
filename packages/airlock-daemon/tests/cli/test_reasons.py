"""Tests of `airlock_daemon.cli.reasons`: the reason of a rule, out of a SECURITY.md."""

import pytest

from airlock_daemon.cli.reasons import find_reason

TEXT = """# The spade module

## Rules

What the table does not know is refused (`unknown-flag`),
whatever it would be.

| rules | reason |
|---|---|
| `--deep`, `dig & --deeper` | Breaks pipes. |
| `-x={a,b\\|c}*` | Has a | bar | too many. |

Set: `PIPES` (none).
"""


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["--deep"], "Breaks pipes."),
        (["dig & --deeper"], "Breaks pipes."),
        (["dig --deep", "--deep"], "Breaks pipes."),
        (["-x={a,b|c}*"], "Has a"),
        (
            ["unknown-flag"],
            "What the table does not know is refused (`unknown-flag`), whatever it would be.",
        ),
        (["PIPES", "--deep"], "Breaks pipes."),
        (["--wide"], None),
        ([], None),
    ],
)
def test_a_row_of_a_table_gives_the_reason_else_a_paragraph(
    names: list[str], reason: str | None
) -> None:
    """The first name that a table has counts, then the first that a paragraph has."""
    assert find_reason(TEXT, names) == reason
