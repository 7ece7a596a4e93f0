"""What the policy vectors call harmless, carried out by the built-in git in a poisoned repository.

Whatever git can be brought to run runs one program, which looks for what no box may have.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from boxing import needs_bubblewrap, open_world, write_boxes
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

_VECTORS = Path(__file__).parents[5] / "conformance" / "vectors" / "git.json"
SECRET = "canary-of-the-host"
PROGRAMS = ("evil", "x", "y", "id", "u", "less", "git-x", "git-evil", "git-merge-x", "git-merge-id")
"""Names that the vectors give to programs, and git to what it makes of these."""
HOOKS = ("pre-commit", "post-checkout", "pre-push", "post-index-change", "pre-rebase", "post-merge")
SETTINGS = (
    *("core.pager", "core.editor", "core.sshCommand", "core.fsmonitor", "core.askPass"),
    *("sequence.editor", "diff.external", "diff.evil.textconv", "diff.evil.command"),
    *("merge.evil.driver", "filter.evil.clean", "filter.evil.smudge", "credential.helper"),
    *("gpg.program", "alias.x", "alias.evil", "browser.x.cmd", "difftool.x.cmd", "mergetool.x.cmd"),
    *("pager.log", "uploadpack.packObjectsHook", "trailer.x.cmd", "sendemail.smtpServer"),
)

# The secret is looked for by a pattern, so that the text of this program does not count as one.
PAYLOAD = """#!/bin/sh
{{
  for file in {files}; do
    tr '\\0' '\\n' <"$file" | grep -e 'canary[-]of' -e '^root:[^x]' && echo "in $file"
  done
  env | grep 'canary[-]of'
  for place in {places}; do
    echo x >"$place/mark" && echo "wrote to $place"
  done
  echo ran
}} >>{app}/loot 2>/dev/null
exit 1
"""


def read_harmless() -> dict[str, list[list[str]]]:
    """The arguments of all vectors that name a canary case, by that; those that are text."""
    found: dict[str, list[list[str]]] = {}
    for group in json.loads(_VECTORS.read_text(encoding="utf-8"))["groups"]:
        for test in group["tests"]:
            if "canary" in test and all(isinstance(each, str) for each in test["args"]):
                found.setdefault(test["canary"], []).append(test["args"])
    return found


HARMLESS = read_harmless()


@contextmanager
def human_world() -> Iterator[World]:
    """A human with secrets, and a workspace."""
    with open_world() as world:
        write_boxes(world)
        for name in (".ssh/id_ed25519", ".git-credentials", ".gitconfig", ".netrc"):
            file = world.root / "home" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"# {SECRET}\n")
            file.chmod(0o644)
        (world.config / "credential").write_text(SECRET)
        (world.root / "open").mkdir()
        (world.root / "open").chmod(0o777)
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        yield world


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One whose workspace wants the secrets, and more that a box may not have."""
    more = ("/proc/*/environ", "/proc/1/cmdline", "/etc/shadow")
    with human_world() as world:
        make_poisoned(world, "/workspace/app", files=more, places=("/etc", "/workspace/.."))
        yield world


def make_poisoned(
    world: World, shown: str, *, files: tuple[str, ...] = (), places: tuple[str, ...] = ()
) -> None:
    """Make a repository in which every setting, hook and file that can name a program does so.

    The program finds it at the path `shown`, and also looks at `files` and writes to `places`.
    """
    app = world.root / "poisoned"

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", app, *words], check=True, capture_output=True)

    app.mkdir()
    git("init", "-b", "main")
    git("config", "user.name", "a")
    git("config", "user.email", "a")
    (app / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    for name in ("f", "a", "README"):
        (app / name).write_text("text\n")
    git("add", ".")
    git("commit", "-m", "first")
    git("branch", "topic")
    git("branch", "b")
    git("commit", "--allow-empty", "-m", "second")
    git("remote", "add", "origin", ".")
    secret = (str(world.root / "home" / ".ssh" / "id_ed25519"), str(world.config / "credential"))
    own = (str(world.root / "open"), str(world.root / "home"), str(world.config))
    payload = PAYLOAD.format(
        app=shown, files=" ".join((*secret, *files)), places=" ".join((*own, *places))
    )
    (app / ".git" / "hooks").mkdir(exist_ok=True)
    for program in (*PROGRAMS, *(f".git/hooks/{hook}" for hook in HOOKS)):
        (app / program).write_text(payload)
        (app / program).chmod(0o755)
    for key in SETTINGS:
        git("config", key, "!./evil" if key.startswith(("alias", "credential")) else "./evil")
    (app / "loot").touch()
    subprocess.run(["chmod", "-R", "a+rwX", app], check=True)


def poison(world: World) -> Path:
    """Put that repository into the workspace, as it was made; return the file for what it gets."""
    app = world.workspace / "app"
    shutil.rmtree(app, ignore_errors=True)
    subprocess.run(["cp", "-a", world.root / "poisoned", app], check=True)
    return app / "loot"


def list_outside(world: World) -> dict[str, bytes]:
    """All that the human has outside of the workspace."""
    places = (world.root / "home", world.root / "open", world.config)
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def start(world: World) -> Daemon:
    """A daemon of that human, with a secret in its environment too."""
    return Daemon(world, environment={"HOME": str(world.root / "home"), "TOKEN": SECRET})


@pytest.fixture(scope="module")
def daemon(world: World) -> Iterator[Daemon]:
    """Serving that workspace."""
    with start(world) as daemon:
        yield daemon


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_harmless_gets_nothing_of_the_host(daemon: Daemon, case: str, every: int) -> None:
    """It is allowed, prints and leaves no secret, and writes nothing but to the workspace.

    Some of each case, and all at night: the canary attacks each case itself, and the conformance
    suite asks about each vector.
    """
    loot = poison(daemon.world)
    before = list_outside(daemon.world)

    def carry_out(args: list[str]) -> str:
        answer = daemon.ask("git", *args, cwd="/workspace/app")
        assert "'denied'" not in str(answer.last), args
        return f"{answer.text()}{answer.text('stderr')}{answer.last}"

    with ThreadPoolExecutor(4) as pool:
        said = "".join(pool.map(carry_out, HARMLESS[case][::every]))
    assert SECRET not in said
    assert set(loot.read_text().splitlines()) <= {"ran"}
    assert list_outside(daemon.world) == before


STATUS = ("-c", "core.fsmonitor=./evil", "status")


def test_programs_of_the_repository_do_run(daemon: Daemon) -> None:
    """Else nothing of this would have shown anything."""
    loot = poison(daemon.world)
    daemon.ask("git", *STATUS, cwd="/workspace/app")
    assert "ran" in loot.read_text()


def test_without_a_box_the_same_gets_all() -> None:
    """So that what it looks for is to be had."""
    with human_world() as world:
        make_poisoned(world, str(world.workspace / "app"))
        loot = poison(world)
        world.write_module("git", "git", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
        with start(world) as daemon:
            daemon.ask("git", *STATUS, cwd="/workspace/app")
        got = loot.read_text()
        assert got.count(SECRET) >= 3
        assert f"wrote to {world.root}/open" in got
