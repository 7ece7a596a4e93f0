"""The option table of git, compared with what the installed git says of itself."""

import re
from pathlib import Path

import pytest

from airlock_modules import OptionTable, load_options
from repositories import make_repository, needs_git, run_git

pytestmark = needs_git

_NAME = re.compile(r"--\[no-\][\w-]+|--?[\w#?][\w-]*")
_GAP = 21  # where one space may be all that is between a long flag and its description


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with one commit."""
    return make_repository(tmp_path_factory.mktemp("git") / "repository")


@pytest.fixture(scope="module")
def table(repository: Path) -> OptionTable:
    """Return the option table of git, if it was taken from the version that is installed."""
    options = load_options("git")
    version = ask(repository, "version").split()[2]
    if version != options.version:
        pytest.skip(f"the table is of git {options.version}, and {version} is installed")
    return options


def ask(repository: Path, *args: str) -> str:
    """Return everything that git prints."""
    done = run_git(repository, *args)
    return done.stdout + done.stderr


def usage_flags(usage: str) -> dict[str, str]:
    """Return the flags that a usage text lists: by name, what they take."""
    found: dict[str, str] = {}
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
        found |= dict.fromkeys(names, takes)
    return found


def test_the_table_has_every_flag_of_every_usage_text(table: OptionTable, repository: Path) -> None:
    """What git's own help lists is known, and takes what git says."""
    differences = []
    compared = 0
    for key, scope in table.commands.items():
        if key == "rev-list":  # whose usage was written by hand, and leaves values out
            continue
        listed = usage_flags(ask(repository, *key.split(" "), "-h"))
        for name, takes in listed.items():
            spec = scope.flags.exact.get(name)
            compared += 1
            if spec is None or spec.takes != takes:
                differences.append((key, name, takes, spec and spec.takes))
    assert differences == []
    assert compared > 1000


def test_log_knows_every_flag_that_it_reads_by_hand(table: OptionTable, repository: Path) -> None:
    """Flags that no usage text lists are flags of git all the same."""
    unknown = []
    scope = table.commands["log"]
    for name, spec in scope.flags.exact.items():
        if spec.origin != "command" or name == "-<number>":
            continue
        flag = [name, "1"] if spec.takes == "value" else [name]
        if spec.takes == "optional" and name.startswith("--"):
            flag = [f"{name}={'sorted' if name == '--no-walk' else 1}"]
        if name == "--output":
            continue
        if "unrecognized argument" in ask(repository, "log", *flag, "-1"):
            unknown.append(name)
    assert unknown == []


def test_every_subcommand_of_the_table_is_one_of_git(table: OptionTable, repository: Path) -> None:
    """A subcommand that git does not have would be a mistake of the table."""
    known = set(ask(repository, "--list-cmds=main,others,alias").split())
    assert [key for key in table.commands if key.split(" ")[0] not in known] == []


def test_the_flags_before_the_subcommand_are_known(table: OptionTable, repository: Path) -> None:
    """Each flag that git's usage line shows is in the table."""
    usage = ask(repository, "-h").partition("<command>")[0]
    names = {name.replace("[no-]", "") for name in _NAME.findall(usage.replace("[-", " [-"))}
    assert "--exec-path" in names
    assert [name for name in sorted(names) if name not in table.root.flags.exact] == []
