import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules import load_builtin, load_options
from asking import ask as ask_builtin
from terraform_library import RUN, needs_terraform

TERRAFORM = load_builtin("terraform")
ask = partial(ask_builtin, "terraform")
TABLE = load_options("terraform")
WITH_FLAGS = sorted(key for key, scope in TABLE.commands.items() if scope.flags.own)
# Calls Terraform once for each list of arguments that it reads, and prints what each call wrote.
LAUNCHER = f"""{RUN}
for args in json.load(sys.stdin):
    with tempfile.TemporaryFile() as output:
        run(args, os.dup(output.fileno()), os.dup(output.fileno()))
        output.seek(0)
        print(json.dumps(output.read().decode()), flush=True)
"""


def call_terraform(calls: Sequence[Sequence[str]], directory: Path) -> list[str]:
    """Return what Terraform writes for each list of arguments, without colours."""
    result = subprocess.run(
        [sys.executable, "-c", LAUNCHER],
        cwd=directory,
        env=os.environ | {"CHECKPOINT_DISABLE": "1", "HOME": str(directory)},
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
    )
    texts = [json.loads(line) for line in result.stdout.splitlines()]
    return [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in texts]


@needs_terraform
def test_the_table_is_of_the_version_that_it_names(tmp_path: Path) -> None:
    """Where another version is installed the table must be looked at again."""
    (text,) = call_terraform([["version"]], tmp_path)
    assert text.startswith(f"Terraform v{TABLE.version}\n")


@needs_terraform
def test_every_subcommand_of_the_help_is_in_the_table(tmp_path: Path) -> None:
    """What Terraform lists for itself and for its groups is listed."""
    groups = ["", "metadata", "providers", "state", "workspace"]
    helps = call_terraform([[*group.split(), "-help"] for group in groups], tmp_path)
    for group, text in zip(groups, helps, strict=True):
        _, _, listed = text.partition("Subcommands:" if group else "Main commands:")
        names = re.findall(r"^ {2,4}([a-z][a-z-]*) {2,}\S", listed, re.MULTILINE)
        assert len(names) > 0
        for name in names:
            assert f"{group} {name}".strip() in TABLE.commands


@needs_terraform
def test_every_flag_of_the_help_is_in_the_table(tmp_path: Path) -> None:
    """What a subcommand's help shows is a flag of that subcommand."""
    helps = call_terraform([[*command.split(), "-help"] for command in WITH_FLAGS], tmp_path)
    missing = [
        (command, flag)
        for command, text in zip(WITH_FLAGS, helps, strict=True)
        for flag in re.findall(r"^ {2,4}(-[a-z][a-z-]+)", text, re.MULTILINE)
        if flag not in TABLE.commands[command].flags.exact
        # A sentence of some help texts that begins with the flags that it is about.
        and f"{flag}, state-out, and -backup are legacy" not in text
    ]
    assert missing == []


@needs_terraform
def test_terraform_has_every_flag_of_the_table_and_takes_values_where_it_says(
    tmp_path: Path,
) -> None:
    """Each flag is tried with a wrong value before a flag that does not exist.

    Nothing runs: Terraform complains about the first of them that it does not like. A flag of this
    list would be refused as unknown, one without value for a value that is neither true nor false.
    """
    tried = [
        (command, spec.name, spec.takes)
        for command in WITH_FLAGS
        for spec in TABLE.commands[command].flags.own
        # It is taken out of the words as it is, and has no value that could be wrong.
        if spec.name != "-compact-warnings"
    ]
    assert len(tried) > 200
    calls = [[*command.split(), f"{name}=zz", "-no-such-flag"] for command, name, _ in tried]
    for (command, name, takes), text in zip(tried, call_terraform(calls, tmp_path), strict=True):
        assert f"not defined: {name}\n" not in text, (command, name)
        assert ("invalid boolean value" in text) == (takes == "nothing"), (command, name, text)


@needs_terraform
def test_a_flag_that_is_taken_out_makes_the_next_word_the_value(tmp_path: Path) -> None:
    """The reason of the rule against values that begin with a dash is still true."""
    (tmp_path / "main.tf").write_text('output "x" {\n  value = 1\n}\n')
    call_terraform([["plan", "-out", "-no-color", "written"]], tmp_path)
    assert (tmp_path / "written").exists()
    assert ask("plan", "-out", "-no-color", "written").rule == "-*=-*"


def test_a_flag_in_the_place_of_a_value_is_refused_behind_every_flag() -> None:
    """Terraform looks for the flags that edit start-up files in every word."""
    for command, scope in TABLE.commands.items():
        for spec in scope.flags.own:
            if spec.takes == "value":
                words = (*command.split(), spec.name, "-install-autocomplete")
                assert not ask(*words).allowed, words


REFUSED = st.sampled_from(
    [
        ("apply", "auto-approve"),
        ("apply", "destroy"),
        ("plan", "destroy"),
        ("init", "force-copy"),
        ("output", "json"),
        ("output", "raw"),
        ("show", "json"),
        ("state rm", "dry-run"),
        ("workspace delete", "force"),
    ]
)
TRUTHS = st.sampled_from(("", "=1", "=t", "=T", "=true", "=TRUE", "=True"))
HARMLESS = st.sampled_from((["-no-color"], ["-var", "a=b"], ["--var=a=b"], ["-input=0"], ["-help"]))


@given(
    REFUSED,
    TRUTHS,
    st.sampled_from(("-", "--")),
    st.lists(HARMLESS, max_size=3),
    st.lists(HARMLESS, max_size=3),
    st.sampled_from(([], ["-chdir=a"], ["-chdir=a", "-no-color"])),
    st.booleans(),
)
def test_a_refused_flag_stays_refused_in_every_spelling(
    refused: tuple[str, str],
    truth: str,
    dashes: str,
    before: list[list[str]],
    behind: list[list[str]],
    first: list[str],
    word: bool,
) -> None:
    """Dashes, values, neighbours and place change nothing, as they change nothing for Terraform."""
    command, flag = refused
    args = [*first, *command.split()]
    args += [*chain(*before), f"{dashes}{flag}{truth}", *chain(*behind)]
    if word:
        args.insert(len(first) + len(command.split()), "x")
    assert not ask(*args).allowed


@pytest.mark.parametrize(
    ("args", "paths"),
    [
        (["-chdir=/etc", "plan"], ["/etc"]),
        (["-chdir=a", "plan", "-out=../b"], ["a", "a/../b"]),
        (["plan", "-var-file", "/root/x"], ["/root/x"]),
        (["plan", "--out=/root/x"], ["/root/x"]),
        (["plan", "-generate-config-out=/x"], ["/x"]),
        (["init", "-backend-config=/root/x"], ["/root/x"]),
        (["apply", "/root/plan"], ["/root/plan"]),
        (["show", "../plan"], ["../plan"]),
        (["fmt", "/etc/x.tf", "y"], ["/etc/x.tf", "y"]),
        (["providers", "mirror", "/etc/x"], ["/etc/x"]),
        (["graph", "-plan=/x"], ["/x"]),
        (["state", "list", "-state=/x"], ["/x"]),
        (["workspace", "new", "-state", "/x", "dev"], ["/x"]),
        (["import", "-config=/x", "a.b", "/id"], ["/x"]),
        (["output", "-state=/x", "/name"], ["/x"]),
        (["workspace", "select", "/name"], []),
        (["plan", "-var", "x=/etc/y"], []),
    ],
)
def test_paths_are_handed_on_to_be_compared_with_the_workspace(
    args: list[str], paths: list[str]
) -> None:
    """Whatever Terraform opens or enters by its arguments is known as a path, and nothing else."""
    decision = ask(*args)
    assert decision.allowed
    assert [path.path for path in decision.paths] == paths


def test_a_denial_names_what_was_refused() -> None:
    """The rule of a refusal is the flag, or says that the subcommand or flag is not known."""
    assert ask("apply", "--auto-approve=true").rule == "-auto-approve"
    assert ask("state", "rm", "x").rule == "command"
    assert ask("plan", "-nope").rule == "unknown-flag"
