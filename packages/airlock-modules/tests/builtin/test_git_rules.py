"""What the git module decides: the vectors, other spellings, and git itself as the judge."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_modules import load_options
from asking import ask as ask_builtin
from asking import leads_out
from repositories import make_repository, needs_git, run_git

ask = partial(ask_builtin, "git")

PROGRAMS = [
    ("push", "--receive-pack", "--rec"),
    ("push", "--exec", "--e"),
    ("fetch", "--upload-pack", "--upl"),
    ("pull", "--upload-pack", "--upl"),
    ("clone", "--upload-pack", "--u"),
    ("ls-remote", "--upload-pack", "--up"),
    ("rebase", "--exec", "--exe"),
    ("clone", "--config", "--c"),
    ("clone", "--template", "--te"),
    ("init", "--template", "--te"),
    ("archive", "--remote", "--r"),
]
"""Flags that run a program or the like, with the shortest beginning that is tried."""
BEFORE = ["--no-pager", "-p", "--bare", "-Csub", "--literal-pathspecs", "--git-dir=.git"]
WORDS = ["origin", "main", "a b", "-v", "-q", "x=y", "ü"]

COMMANDS = (
    "log|show|diff|archive|format-patch|stash list|stash show|reflog|shortlog|rev-list|blame|"
    "diff-tree|diff-index|range-diff|bundle create|fast-export|cherry-pick|revert|grep|bisect view"
)
LURES = "--output={mark}|--output|{mark}|-o{mark}|-o|--no-index|{secret}|--ext-diff|--outp={mark}"
FILLING = (
    "-q|-S|-G|--grep|--author|--src-prefix|--line-prefix|--source|-p|-1|-L|--date|--prefix|--format"
    "|--since|--|-m|HEAD|main|f|--cached|--subject-prefix|-I|--end-of-options|-b|--stat|/dev/null"
)


@pytest.fixture(scope="module")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return a repository with changes, a place outside it to write to, and a secret beside it."""
    root = tmp_path_factory.mktemp("bait")
    found = {name: root / name for name in ("repository", "mark", "secret")}
    found["secret"].write_text("planted\n")
    repository = make_repository(found["repository"])
    for text in ("one\n", "two\n", "three\n"):
        (repository / "f").write_text(text)
        run_git(repository, "add", "f")
        run_git(repository, *(("stash",) if text == "three\n" else ("commit", "-q", "-m", text)))
    (repository / "f").write_text("four\n")
    return found


@pytest.mark.parametrize(
    "args",
    [
        ["-C", "/root", "log"],
        ["-C", "sub", "-C", "../..", "log"],
        ["--git-dir=/x", "log"],
        ["--work-tree=/", "add", "."],
        ["commit", "-F", "/etc/shadow"],
        ["commit", "-aF/etc/shadow"],
        ["tag", "--fil=/etc/shadow", "v1"],
        ["format-patch", "-o", "/etc", "HEAD"],
        ["archive", "-o", "/etc/x", "HEAD"],
        ["bundle", "create", "/etc/x", "HEAD"],
        ["worktree", "add", "/etc/x"],
        ["worktree", "add", "../x"],
        ["log", "--output=/etc/x"],
        ["diff", "README", "/etc/shadow"],
        ["clone", "https://example.com/r", "/home/me/x"],
        ["clone", "--separate-git-dir=../x", "https://example.com/r"],
        ["init", "/tmp/x"],
        ["blame", "--contents", "/etc/shadow", "f"],
        ["fetch", "/home/me/other"],
        ["config", "-f", "/home/me/.gitconfig", "user.name"],
        ["apply", "../../x.patch"],
        ["add", "--pathspec-from-file=/etc/shadow"],
    ],
)
def test_paths_are_handed_on_with_the_decision(args: list[str]) -> None:
    """The workspace step gets every path that leads out, however it was given."""
    decision = ask(*args)
    assert decision.allowed
    assert any(leads_out(use.path) for use in decision.paths)


@given(
    program=st.sampled_from(PROGRAMS),
    cut=st.integers(0, 20),
    joined=st.booleans(),
    before=st.lists(st.sampled_from(BEFORE), max_size=3),
    words=st.lists(st.sampled_from(WORDS), max_size=4),
    at=st.integers(0, 4),
)
def test_no_spelling_of_a_dangerous_flag_passes(
    program: tuple[str, str, str],
    cut: int,
    joined: bool,
    before: list[str],
    words: list[str],
    at: int,
) -> None:
    """Cut short, joined or not, behind global flags, among words: it stays denied."""
    command, name, shortest = program
    flag = name[: max(len(shortest), len(name) - cut)]
    spelled = [f"{flag}=x"] if joined else [flag, "x"]
    at = min(at, len(words))
    assert not ask(*before, command, *words[:at], *spelled, *words[at:]).allowed


@needs_git
@settings(max_examples=150, deadline=None)
@given(
    command=st.sampled_from(COMMANDS.split("|")),
    args=st.lists(st.sampled_from(LURES.split("|") + FILLING.split("|")), max_size=7),
)
def test_what_is_allowed_neither_reads_nor_writes_outside(
    bait: Mapping[str, Path], command: str, args: list[str]
) -> None:
    """Whatever git makes of arguments that pass, it touches nothing beside its repository."""
    words = [each.format(mark=bait["mark"], secret=bait["secret"]) for each in args]
    decision = ask(*command.split(" "), *words)
    if not decision.allowed or any(leads_out(use.path) for use in decision.paths):
        return
    done = run_git(bait["repository"], *command.split(" "), *words)
    assert "planted" not in done.stdout + done.stderr
    assert not bait["mark"].exists()


def test_whole_families_of_subcommands_are_not_listed() -> None:
    """Subcommands that the table has for overrides are still refused."""
    known = load_options("git").commands
    for args in (["difftool"], ["mergetool"], ["bisect", "run", "x"], ["hook", "run", "x"]):
        assert " ".join(args[:2]) in known or args[0] in known
        assert ask(*args).rule == "command"
