"""git in a closed box, which reaches its remotes over the relay and by no other way."""

from collections.abc import Iterator
from contextlib import chdir

import pytest
from relay_world import IDENTITY, in_box, refs, relay_world, serving_urls

from approving import approve, reject
from boxing import needs_bubblewrap
from commanding import reload
from running import Daemon, read_answer, read_until, request
from talking import Pipes, Talk
from worlds import World

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """The daemon runs; each test has directories and branches of its own."""
    with relay_world() as world, chdir(world.workspace), Daemon(world) as running:
        yield running


def test_a_hook_can_do_no_more_than_its_agent(daemon: Daemon) -> None:
    """It pushes where the agent may, and is refused in the remote's words where not."""
    url = f"ssh://host{daemon.world.root}/server.git"
    hook = f"git push -q {url} HEAD:refs/heads/agent/hook; git push {url} HEAD:refs/heads/main"
    answer = in_box(
        daemon,
        "git init -q -b main hooked && cd hooked && mkdir -p .git/hooks && "
        f"printf '#!/bin/sh\\n{hook}\\n' > .git/hooks/post-commit && "
        "chmod +x .git/hooks/post-commit && git commit -q --allow-empty -m one",
    )
    assert answer.exit_code == 0, answer.text("stderr")
    said = answer.text("stderr")
    assert "! [remote rejected] HEAD -> main (airlock: " in said
    assert {"refs/heads/agent/hook"} == {ref for ref in refs(daemon.world) if "/x" not in ref}
    run = daemon.records("exec")[-1]
    asked = [each for each in daemon.records("broker") if each["request"] == run["request"]]
    assert [each["outcome"] for each in asked] == ["allowed", "denied"]
    assert run["outcome"] == "allowed"


def test_a_conversation_ends_with_the_command_that_asked(daemon: Daemon) -> None:
    """Even one on pipes of the container's, which keeps the other ends open."""
    world = daemon.world
    script = (
        f"exec 8<&0; setsid /run/airlock/git-ssh host \"git-upload-pack '{world.root}/server.git'\""
        " <&8 2>/dev/null & until [ -e over ]; do :; done"
    )
    where = str(world.workspace)
    with (
        Pipes() as pipes,
        Talk(daemon, script, ["fds"], descriptors=pipes.passed, cwd=where) as talk,
    ):
        pipes.let_go()
        assert pipes.read_some()
        (world.workspace / "over").touch()
        assert talk.finish()["result"]["exit_code"] == 0
        # Which ends when nobody has the end to write any more.
        pipes.read()
    assert [each["command"] for each in daemon.records("broker")][-1] == "git-remote"


def test_what_is_no_transport_is_not_to_be_had(daemon: Daemon) -> None:
    """The shim under another name asks for a command, which no relay gives."""
    answer = in_box(daemon, "cp /run/airlock/git-ssh /tmp/sh; /tmp/sh -c id")
    assert answer.exit_code == 126
    assert "ask for git-remote alone" in answer.text("stderr")
    assert daemon.records("broker")[-1]["rule"] == "brokers"


def test_behind_landlock_both_transports_are_the_shim() -> None:
    """Over ssh and https, and what is not granted is refused in the remote's words."""
    with (
        relay_world('mode = "landlock"\n') as world,
        chdir(world.workspace),
        serving_urls(world) as (site, environment),
        Daemon(world, environment=environment) as daemon,
    ):
        ssh, https = f"ssh://host{world.root}/server.git", f"{site}{world.root}/server.git"
        answer = in_box(
            daemon,
            "git init -q -b main one && cd one && git commit -q --allow-empty -m one && "
            f"git push -q {ssh} HEAD:refs/heads/agent/x && git push -q {https} HEAD:agent/y && "
            f"git clone -q -b agent/y {https} ../two && git -C ../two log --format=%s; "
            "git ls-remote https://host/x; git ls-remote ftp://host/x; "
            '. "$(git --exec-path)/git-sh-setup" && git-rev-parse --is-inside-work-tree',
        )
        records = daemon.records("broker")
        (run,) = daemon.records("exec")
    assert answer.text() == "one\ntrue\n", answer.text("stderr")
    assert "airlock: this agent may not fetch from" in answer.text("stderr")
    assert "transport 'ftp' not allowed" in answer.text("stderr")
    assert run["sandbox"] == "landlock"
    assert [each["outcome"] for each in records] == ["allowed"] * 3 + ["denied"]
    assert {each["request"] for each in records} == {run["request"]}


def test_a_hook_of_the_agent_sees_what_a_box_asks_for() -> None:
    """As any other request; what it refuses is refused, and the command itself is allowed."""
    with relay_world() as world, chdir(world.workspace):
        hook = world.agent / "hooks" / "pre-exec"
        hook.parent.mkdir()
        hook.write_text("#!/bin/sh\n! grep -q git-remote\n")
        hook.chmod(0o755)
        with Daemon(world) as daemon:
            answer = in_box(daemon, f"git ls-remote ssh://host{world.root}/server.git")
            (record,) = daemon.records("broker")
            (run,) = daemon.records("exec")
    assert answer.exit_code == 128
    assert "airlock: " in answer.text("stderr")
    assert (record["outcome"], record["layer"]) == ("denied", "hook")
    assert (run["outcome"], run["request"]) == ("allowed", record["request"])


def test_a_push_from_a_box_waits_for_a_person() -> None:
    """Over ssh and https; git shows once that it waits, and the reason of a rejection."""
    with relay_world() as world, chdir(world.workspace), serving_urls(world) as (site, environment):
        profile = world.agent / "airlock.toml"
        profile.write_text(f'{profile.read_text()}\n[approve]\nrequire = ["git push"]\n')
        urls = (f"ssh://host{world.root}/server.git", f"{site}{world.root}/server.git")
        script = (
            f"{IDENTITY} git init -q -b main one && cd one && git commit -q --allow-empty -m one; "
            f"git push {urls[0]} HEAD:refs/heads/agent/x; "
            f"git push {urls[1]} HEAD:refs/heads/agent/y || echo refused"
        )
        asked = request("sh", "-c", script, cwd=str(world.workspace))
        with Daemon(world, environment=environment) as daemon, daemon.connect() as connection:
            connection.sendall(asked)
            first = approve(world)
            second = reject(world, "once is enough")
            answer = read_answer(connection)
            pushed = refs(world)
    said = answer.text("stderr")
    assert answer.text() == "refused\n", said
    assert pushed == ["refs/heads/agent/x"]
    for question in (first, second):
        assert said.count(f"approval {question['id']} is pending") == 1
    assert "rejected it" in said
    assert "once is enough" in said


def withhold_git(world: World) -> None:
    """Grant neither git nor git-remote. `[git]` says where an agent may go, not that it may."""
    profile = world.agent / "airlock.toml"
    profile.write_text(profile.read_text().replace(', "git-remote"', ""))


def test_the_box_of_an_agent_without_git_has_no_relay() -> None:
    """What it is granted for another command is not all that the human's keys open."""
    with relay_world() as world, chdir(world.workspace):
        withhold_git(world)
        notes = [each for each in world.load().warnings if each.key == "sandbox.brokers"]
        assert notes
        assert all("grants neither git nor git-remote" in each.problem for each in notes)
        with Daemon(world) as daemon:
            answer = in_box(
                daemon, "env; ls -l /proc/self/fd /run/airlock; git ls-remote ssh://host/x"
            )
    assert "AIRLOCK_RELAY" not in answer.text()
    assert "git-ssh" not in answer.text()
    assert "socket:" not in answer.text()
    assert answer.exit_code != 0


def test_a_reload_takes_gits_remotes_from_a_box_that_runs() -> None:
    """It asks by the relay that it has, and is refused by what the profile says now."""
    with relay_world() as world, chdir(world.workspace):
        wait = "while ! [ -e go ]; do sleep 0.01; done"
        script = f"echo begun; {wait}; git ls-remote ssh://host{world.root}/server.git"
        asked = request("sh", "-c", script, cwd=str(world.workspace))
        with Daemon(world) as daemon, daemon.connect() as connection:
            connection.sendall(asked)
            read_until(connection, "begun")
            withhold_git(world)
            reload(world)
            (world.workspace / "go").touch()
            answer = read_answer(connection)
            (record,) = daemon.records("broker")
    assert answer.exit_code == 128
    assert "the profile of this agent grants neither git nor git-remote" in answer.text("stderr")
    assert (record["outcome"], record["layer"]) == ("denied", "profile")
