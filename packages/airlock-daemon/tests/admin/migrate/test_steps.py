"""Tests of the steps of a migration: by a shell and by themselves they do the same."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.admin.migrate.steps import (
    Copy,
    CopyTree,
    Discard,
    Make,
    Remove,
    RemoveDirectory,
    Rename,
    SetMode,
    Step,
    Write,
    carry_out,
    is_done,
    write_shell,
)
from airlock_daemon.errors import AirlockError

AWKWARD = "a 'b' $(id)\n\\ \"c\" `id`\nEND\nEND_\n"


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """A directory with one thing of each kind."""
    ground = tmp_path / "a 'quoted' $place"
    (ground / "full" / "inner").mkdir(parents=True)
    (ground / "empty").mkdir(mode=0o755)
    (ground / "full" / "link").symlink_to("nowhere")
    (ground / "full" / "inner" / "run").write_text("#!/bin/sh\n")
    (ground / "full" / "inner" / "run").chmod(0o750)
    (ground / "file").write_text("text\n")
    (ground / "same").write_text("text\n")
    (ground / "hook").write_bytes(b"\x7fELF\0\xff")
    (ground / "hook").chmod(0o755)
    return ground


def steps(ground: Path) -> list[Step]:
    def at(name: str) -> str:
        return str(ground / name)

    return [
        Make(path=at("new")),
        SetMode(path=at("empty"), mode=0o700),
        Write(path=at("new.toml"), before=None, after=AWKWARD),
        Write(path=at("file"), before="text\n", after=AWKWARD),
        Copy(source=at("hook"), target=at("copied")),
        CopyTree(source=at("full"), target=at("tree")),
        CopyTree(source=at("hook"), target=at("tree-of-one")),
        Rename(source=at("full"), target=at("renamed")),
        Remove(path=at("file"), backup=at("same")),
        RemoveDirectory(path=at("empty")),
        Discard(path=at("full")),
    ]


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b"",
        )
        for path in root.rglob("*")
    }


@pytest.mark.parametrize("number", range(11))
def test_a_shell_does_what_the_step_does(ground: Path, number: int) -> None:
    """Modes and links included, whatever characters paths and texts have; done twice it is once."""
    step = steps(ground)[number]
    before = ground.with_name("before")
    shutil.copytree(ground, before, symlinks=True)
    assert not is_done(step)
    carry_out(step)
    done = tree(ground)
    if not isinstance(step, CopyTree):
        assert is_done(step)
        carry_out(step)
        assert tree(ground) == done
    shutil.rmtree(ground)
    shutil.copytree(before, ground, symlinks=True)
    subprocess.run(["sh", "-eu", "-c", f"umask 077\n{write_shell(step)}\n"], check=True)
    assert tree(ground) == done
    assert done != tree(before)


@pytest.mark.parametrize(
    "step",
    [
        Make(path="file"),
        Make(path="full/link"),
        Write(path="file", before="other\n", after="new\n"),
        Write(path="file", before=None, after="new\n"),
        Write(path="full/link", before=None, after="new\n"),
        Write(path="empty", before=None, after="new\n"),
        Copy(source="hook", target="file"),
        Copy(source="hook", target="full/link"),
        Copy(source="missing", target="file"),
        Rename(source="file", target="hook"),
        Remove(path="file", backup="hook"),
        Remove(path="full/link", backup="hook"),
        Remove(path="file", backup="missing"),
        RemoveDirectory(path="full"),
        SetMode(path="full/link", mode=0o700),
        SetMode(path="missing", mode=0o700),
    ],
)
def test_what_is_in_the_way_stays(
    ground: Path, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    """Neither changed nor followed where it is a link; the error says what to do."""
    monkeypatch.chdir(ground)
    before = tree(ground)
    with pytest.raises(AirlockError) as caught:
        carry_out(step)
    assert caught.value.hint
    assert tree(ground) == before
    assert not os.path.lexists(ground / "full" / "nowhere")
