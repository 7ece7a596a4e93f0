"""What the repository of a workspace says, which an agent may have written."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.admin.cli import repository as reading
from airlock_daemon.admin.cli.repository import Repository, list_remotes, read_url
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.paths import Reserved


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("git@github.com:acme/app.git", "git@github.com/acme/app"),
        ("github.com:acme/app", "github.com/acme/app"),
        ("ssh://git@host:2222/srv/app.git/", "git@host:2222/srv/app"),
        ("https://github.com/acme/app.git", "github.com/acme/app"),
        ("https://user:secret@github.com/acme/app", "github.com/acme/app"),
        ("git@github.com:**", None),
        ("ssh://*/acme/app", None),
        ("/srv/app.git", None),
        ("../app", None),
        ("file:///srv/app", None),
        ("git://host/app", None),
        ("ext::sh -c id", None),
        ("host:a b", None),
    ],
)
def test_a_url_is_a_place(url: str, place: str | None) -> None:
    """Without a password; what git-remote cannot reach is none."""
    assert read_url(url) == place


def git(*words: str | Path, where: Path) -> None:
    """Run git for somebody with a name, and nothing of this machine's configuration."""
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    environment = {"PATH": os.environ["PATH"], "HOME": str(where), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *names, *words], cwd=where, env=environment, check=True)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A repository with one commit, a remote `origin`, and the branch main."""
    directory = tmp_path.resolve() / "app"
    directory.mkdir()
    git("init", "--quiet", "-b", "main", where=directory)
    git("commit", "--quiet", "--allow-empty", "-m", "one", where=directory)
    git("remote", "add", "origin", "git@host:a", where=directory)
    return directory


def find_repository(workspace: str, *reserved: Path) -> Repository | None:
    """What is found there, with these places reserved."""
    places = tuple(("the files", str(each)) for each in reserved)
    return reading.find_repository(workspace, Reserved(places))


def remotes_of(*directories: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is listed for these workspaces."""
    found = (find_repository(str(each)) for each in directories)
    return list_remotes(filter(None, found), search_path=os.environ["PATH"])


def include_more(app: Path) -> None:
    """Have the repository's configuration include another file, and name a program."""
    (app.parent / "more").write_text('[remote "more"]\n url = git@host:more\n')
    with (app / ".git" / "config").open("a") as file:
        file.write(f"[include]\n path = {app.parent}/more\n")
        file.write(f"[core]\n fsmonitor = touch {app.parent}/run\n")
        file.write('[remote "origin"]\n pushurl = git@host:b\n')


def test_only_the_repositorys_own_file_is_read(app: Path) -> None:
    """What it includes is not looked at, and nothing of it is run."""
    include_more(app)
    assert remotes_of(app, app.parent)[0] == ("git@host/a", "git@host/b")
    assert not (app.parent / "run").exists()


def test_an_included_file_of_another_repository_is_given_away(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where git is not told to leave it out."""
    include_more(app)
    run = subprocess.run

    def include(words: list[str], **settings: Any) -> Any:
        return run([word.replace("--no-includes", "--includes") for word in words], **settings)

    monkeypatch.setattr(subprocess, "run", include)
    assert "git@host/more" in remotes_of(app)[0]


def test_the_default_branch_is_the_one_that_the_remote_names(app: Path) -> None:
    """By its HEAD, as a clone has it; of every remote."""
    git("remote", "add", "up.stream", "git@host:u", where=app)
    for remote, branch in (("origin", "trunk"), ("up.stream", "release/next")):
        head = f"refs/remotes/{remote}/HEAD"
        git("symbolic-ref", head, f"refs/remotes/{remote}/{branch}", where=app)
    assert remotes_of(app)[1] == ("refs/heads/trunk", "refs/heads/release/next")


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("refs", "branches"),
    [
        (("refs/heads/main",), ["main"]),
        (("refs/heads/x", "refs/remotes/origin/master"), ["master"]),
        (("refs/heads/master", "refs/remotes/origin/main"), ["main", "master"]),
        (("refs/heads/x",), ["main", "master"]),
    ],
)
def test_without_it_a_usual_branch_is_taken(
    app: Path, refs: tuple[str, ...], branches: list[str], *, is_packed: bool
) -> None:
    """Main or master where the repository has them, both where it has neither."""
    git("switch", "--quiet", "--detach", where=app)
    git("update-ref", "-d", "refs/heads/main", where=app)
    for ref in refs:
        git("update-ref", ref, "HEAD", where=app)
    if is_packed:
        git("pack-refs", "--all", where=app)
    assert remotes_of(app)[1] == tuple(f"refs/heads/{branch}" for branch in branches)


@pytest.mark.parametrize(
    "text",
    [
        "ref: refs/remotes/origin/**",
        "ref: refs/remotes/origin/x y",
        "ref: refs/remotes/origin/../../x",
        "ref: refs/remotes/origin/\u202ex",
        "ref: refs/remotes/origin/" + "x" * 300,
        "ref: refs/remotes/other/x",
        "root:x:0:0",
        "",
    ],
)
def test_a_head_that_is_no_branch_is_not_believed(app: Path, text: str) -> None:
    """A pattern or what could not be shown never gets into a profile."""
    head = app / ".git" / "refs" / "remotes" / "origin" / "HEAD"
    head.parent.mkdir(parents=True)
    head.write_text(f"{text}\n")
    assert remotes_of(app)[1] == ("refs/heads/main",)


def test_a_head_that_is_believed_gets_a_pattern_into_a_profile(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above is seen to be an attack: `protect` would be what an agent writes."""
    monkeypatch.setattr(reading, "_BRANCH", re.compile(".*"))
    head = app / ".git" / "refs" / "remotes" / "origin" / "HEAD"
    head.parent.mkdir(parents=True)
    head.write_text("ref: refs/remotes/origin/**\n")
    assert remotes_of(app)[1] == ("refs/heads/**",)


def test_what_is_no_file_is_not_opened(app: Path) -> None:
    """A FIFO would make the person wait, and a link lead elsewhere."""
    head = app / ".git" / "refs" / "remotes" / "origin" / "HEAD"
    head.parent.mkdir(parents=True)
    os.mkfifo(head)
    elsewhere = app.parent / "elsewhere"
    elsewhere.write_text("ref: refs/remotes/origin/secret\n")
    (app / ".git" / "packed-refs").symlink_to(elsewhere)
    assert remotes_of(app)[1] == ("refs/heads/main",)
    head.unlink()
    head.symlink_to(elsewhere)
    assert remotes_of(app)[1] == ("refs/heads/main",)


@pytest.mark.parametrize("is_relative", [False, True])
def test_a_linked_worktree_has_the_remotes_of_its_repository(
    app: Path, *, is_relative: bool
) -> None:
    """Wherever it lies, in both forms in which git writes the paths."""
    tree = app.parent / "trees" / "one"
    git("worktree", "add", "--quiet", tree, where=app)
    if is_relative:  # as git 2.48 does with worktree.useRelativePaths
        (tree / ".git").write_text("gitdir: ../../app/.git/worktrees/one\n")
        (app / ".git/worktrees/one/gitdir").write_text("../../../../trees/one/.git\n")
    found = find_repository(str(tree))
    assert found == Repository(directory=str(app / ".git"), is_linked=True)
    assert remotes_of(tree) == (("git@host/a",), ("refs/heads/main",))


def test_a_file_that_the_other_repository_does_not_know_is_not_followed(app: Path) -> None:
    """An agent that writes such a file into its workspace would get the repository of another."""
    tree, mine = app.parent / "tree", app.parent / "mine"
    git("worktree", "add", "--quiet", tree, where=app)
    mine.mkdir()
    text = (tree / ".git").read_text()
    (mine / ".git").write_text(text)
    assert find_repository(str(mine)) is None
    # Nor by a link from where the worktree was.
    (tree / ".git").unlink()
    tree.rename(app.parent / "was")
    tree.symlink_to(mine)
    assert find_repository(str(mine)) is None
    # Nor by directories of its own that name a common directory elsewhere.
    own = mine / "x" / "worktrees" / "mine"
    own.mkdir(parents=True)
    (own / "commondir").write_text(f"{app}/.git\n")
    (own / "gitdir").write_text(f"{mine}/.git\n")
    (mine / ".git").write_text(f"gitdir: {own}\n")
    assert find_repository(str(mine)) is None
    (own / "commondir").write_text("../..\n")
    assert find_repository(str(mine)) == Repository(directory=str(mine / "x"), is_linked=True)


def test_a_file_that_is_believed_gives_away_another_repository(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the main repository is not asked whether it knows the worktree."""
    monkeypatch.setattr(reading, "_has_worktree", lambda *_: True)
    tree, mine = app.parent / "tree", app.parent / "mine"
    git("worktree", "add", "--quiet", tree, where=app)
    mine.mkdir()
    (mine / ".git").write_text((tree / ".git").read_text())
    assert remotes_of(mine)[0] == ("git@host/a",)


def test_a_repository_in_a_reserved_place_is_refused(app: Path) -> None:
    """An agent may have moved it into its home, where it can put a link in its place."""
    tree, homes = app.parent / "tree", app.parent / "homes"
    git("worktree", "add", "--quiet", tree, where=app)
    homes.mkdir()
    app.rename(homes / "app")
    (tree / ".git").write_text(f"gitdir: {homes}/app/.git/worktrees/tree\n")
    assert find_repository(str(tree)) == Repository(directory=f"{homes}/app/.git", is_linked=True)
    for place in (homes, homes / "app" / ".git", homes / "app" / ".git" / "objects"):
        with pytest.raises(AirlockError, match="which cannot be a workspace: it") as caught:
            find_repository(str(tree), place)
        assert str(caught.value.message).startswith(f'"{tree}/.git" leads to')
    (homes / "app").rename(app)
    (tree / ".git").write_text(f"gitdir: {app}/.git/worktrees/tree\n")
    assert find_repository(str(tree), homes) == find_repository(str(tree))


def link_to_another(app: Path, part: str) -> Path:
    """A workspace whose `part` is a link into a repository with a private branch."""
    mine = app.parent / "mine"
    mine.mkdir()
    head = app / ".git" / "refs" / "remotes" / "origin" / "HEAD"
    head.parent.mkdir(parents=True)
    head.write_text("ref: refs/remotes/origin/private\n")
    assert remotes_of(app) == (("git@host/a",), ("refs/heads/private",))
    if part != ".git":
        git("init", "--quiet", "-b", "main", where=mine)
        (mine / part).rename(mine / "was")
    (mine / part).symlink_to(app / part)
    return mine


parts = pytest.mark.parametrize("part", [".git", ".git/config", ".git/refs"])


@parts
def test_a_link_to_the_repository_of_another_is_not_followed(app: Path, part: str) -> None:
    """An agent can put it there: what a private repository says would get into its profile."""
    mine = link_to_another(app, part)
    assert remotes_of(mine) == ((), ("refs/heads/main", "refs/heads/master"))
    assert (find_repository(str(mine)) is None) is (part == ".git")


def follow_links(patch: pytest.MonkeyPatch) -> None:
    """Read what links lead to."""

    def read(path: str) -> str | None:
        return Path(path).read_text() if os.path.isfile(path) else None

    patch.setattr(reading, "_is_directory", os.path.isdir)
    patch.setattr(reading, "_read", read)


@parts
def test_a_link_that_is_followed_gives_away_what_another_repository_says(
    app: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above is seen to be an attack."""
    follow_links(monkeypatch)
    places, branches = remotes_of(link_to_another(app, part))
    assert places == (("git@host/a",) if part != ".git/refs" else ())
    assert ("refs/heads/private" in branches) is (part != ".git/config")


def test_a_submodule_is_no_worktree(app: Path) -> None:
    """Its `.git` is a file too, and its repository has no other working tree."""
    other = app.parent / "other"
    git("init", "--quiet", f"--separate-git-dir={app.parent}/separate", other, where=app.parent)
    assert find_repository(str(other)) is None
    (other / ".git").write_text("gitdir: \0\n")
    assert find_repository(str(other)) is None
