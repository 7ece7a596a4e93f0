"""The small option table of git, compared with what the installed git says of itself."""

import re
import subprocess

import pytest

from airlock_modules import load_options
from repositories import needs_git

pytestmark = needs_git

_NAME = re.compile(r"--\[no-\][\w-]+|--?[\w#?][\w-]*")
_GAP = 21  # where one space may be all that is between a long flag and its description


def ask(*args: str) -> str:
    """Return everything that git prints."""
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def usage_flags(usage: str) -> dict[str, tuple[frozenset[str], str]]:
    """Return the flags that a usage text lists: by name, all their names and what they take."""
    found: dict[str, tuple[frozenset[str], str]] = {}
    for line in usage.splitlines():
        if not line.startswith("    -") or line.startswith("    -NUM"):
            continue
        text = re.split(" {2,}", line[4:])[0]
        gap = text[_GAP : _GAP + 2]
        if gap[:1] == " " and gap[1:] not in ("", "<", "(", "[", "."):
            text = text[:_GAP]
        names: list[str] = []
        while match := _NAME.match(text):
            names.append(match[0].replace("[no-]", ""))
            text = text[match.end() :].removeprefix(", ")
        takes = "nothing" if not text else "optional" if text.startswith("[") else "value"
        found |= dict.fromkeys(names, (frozenset(names), takes))
    return found


@pytest.mark.parametrize("command", load_options("git").commands)
def test_what_the_table_says_of_a_flag_is_what_git_says(command: str) -> None:
    """The same names, and the same values; of push it has all flags."""
    table = load_options("git")
    if ask("version").split()[2] != table.version:
        pytest.skip(f"the table is of git {table.version}")
    scope = table.commands[command]
    listed = usage_flags(ask(command, "-h"))
    described = {name: spec for spec in scope.flags.own for name in spec.names}
    for name, (names, takes) in listed.items():
        if command == "push" or len(names) > 1 or (len(name) == 2 and takes != "nothing"):
            assert name in described, name
        if name in described:
            assert (frozenset(described[name].names), described[name].takes) == (names, takes)
    assert {name for name in described if not name.startswith("--no-")} <= {*listed}


def test_the_flags_before_the_subcommand_are_known() -> None:
    """Each that git's usage line shows is in the table, which refuses all others."""
    usage = ask("-h").partition("<command>")[0]
    names = {name.replace("[no-]", "") for name in _NAME.findall(usage.replace("[-", " [-"))}
    assert "--exec-path" in names
    known = load_options("git").root.flags.exact
    assert [name for name in sorted(names) if name not in known] == []
