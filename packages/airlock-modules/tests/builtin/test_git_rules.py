"""What the git module decides about pushes: other spellings, and git itself as the judge."""

from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asking import ask as ask_builtin
from repositories import needs_git, run_git

ask = partial(ask_builtin, "git")

BEFORE = "-p|--bare|-P|-Csub|-C push|-c a.b=c|--config-env a.b=HOME|--git-dir=.git|--work-tree ."
FORCES = "-f|--force|-uf|-fq|+main|+main:main|--mirror|--mir|--forc"
AMONG = (
    "origin|main|-q|-u|-o|-o x|-ox|--push-option|--push-opt|--|--no-force|--no-mirror|--repo|-n|"
    "--repo=origin|--receive-pack|git-receive-pack|--atomic|--force-with-lease|--all|--tags|--x|"
    "--end-of-options|--recurse-submodules|no|--signed|main:main|refs/heads/*:refs/heads/*|-4||-"
)


def words_of(texts: str) -> st.SearchStrategy[list[str]]:
    return st.sampled_from([text.split(" ") for text in texts.split("|")])


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository whose `origin` has got a commit of somebody else since it was fetched."""
    root = tmp_path_factory.mktemp("diverged")
    for words in (
        "init -q --bare -b main origin.git",
        "clone -q origin.git ours",
        "-C ours commit -q --allow-empty -m first",
        "-C ours push -q origin HEAD:main",
        "clone -q origin.git theirs",
        "-C theirs commit -q --allow-empty -m theirs",
        "-C theirs push -q origin main",
        "-C ours branch -q -M main",
        "-C ours commit -q --allow-empty -m ours",
    ):
        done = run_git(root, *words.split(" "))
        assert done.returncode == 0, done.stderr
    (root / "ours/sub").mkdir()
    (root / "ours/push").mkdir()
    return root / "ours"


@needs_git
@settings(max_examples=250, deadline=None)
@given(
    before=st.lists(words_of(BEFORE), max_size=2),
    words=st.lists(words_of(AMONG + "|" + FORCES), max_size=6),
)
def test_no_push_that_is_allowed_overwrites_the_work_of_others(
    diverged: Path, before: list[list[str]], words: list[list[str]]
) -> None:
    """Whatever git makes of arguments that pass, the commit of somebody else is still there."""
    args = [*chain(*before), "push", *chain(*words)]
    if not ask(*args).allowed:
        return
    run_git(diverged, *args)
    subject = run_git(diverged.parent, "-C", "origin.git", "log", "-1", "--format=%s", "main")
    assert subject.stdout == "theirs\n", args


@given(
    force=st.sampled_from(FORCES.split("|")),
    before=st.lists(words_of(BEFORE), max_size=3),
    words=st.lists(
        st.sampled_from(["origin", "main", "-q", "-u", "-oci.skip", "ü", ""]), max_size=4
    ),
    at=st.integers(0, 4),
)
def test_no_spelling_of_a_forced_push_passes(
    force: str, before: list[list[str]], words: list[str], at: int
) -> None:
    """In clusters, cut short, behind global flags, among words: it stays denied."""
    args = [*chain(*before), "push", *words[:at], force, *words[at:]]
    assert not ask(*args).allowed


@needs_git
def test_git_overwrites_it_by_what_is_refused(diverged: Path) -> None:
    """So the reason of each rule is true, and the repository above is one where it shows."""
    for args in (["--force", "origin", "main"], ["origin", "+main"], ["--mirror", "origin"]):
        assert not ask("push", *args).allowed
        done = run_git(diverged, "push", "--dry-run", *args)
        assert done.returncode == 0
        assert "forced update" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["push", "https://example.com/x.git", "refs/heads/main"],
        ["push", "--delete", "ssh://git@example.com/x", "refs/heads/+topic"],
        ["fetch", "ssh://git@example.com:22/acme/x"],
    ],
)
def test_what_a_remote_is_asked_for_is_judged_by_the_profile(args: list[str]) -> None:
    """The broker asks in these words, and `[git]` says what may move and what be deleted."""
    assert ask(*args).allowed


def test_an_alias_is_not_looked_into() -> None:
    """A rule is no wall: what an alias pushes by force is for the server, and `protect`."""
    assert ask("-c", "alias.x=push --force", "x").allowed
