"""Pushes to release branches that wait for a person, from containers to a real server."""

import dataclasses
from contextlib import ExitStack

import pytest
from e2e.world.container import Container
from e2e.world.questions import read_detail
from e2e.world.scene import Scene, Stage

from .errands.git import GitOverSsh
from .remotes.wire import WIRES, describe

REQUIRE = '[approve]\nrequire = ["git push * refs/heads/release/**"]\n'
AGENTS = {"one": 4, "two": 3, "three": 3}
"""How many pushes of each agent wait at once."""


def clone(client: Container, url: str) -> None:
    """Have the container's git push through the shim, from a clone in /app."""
    client.run("airlock-shim", "--install-git", cwd="/").succeeded()
    client.run("git", "clone", "--quiet", url, "/app", cwd="/").succeeded()


def commit(client: Container, message: str, *options: str) -> str:
    """Make a commit there; returns its id."""
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    words = ("commit", "--quiet", "--allow-empty", f"--message={message}", *options)
    client.run("git", *settings, *words, cwd="/app").succeeded()
    return client.run("git", "rev-parse", "HEAD", cwd="/app").succeeded().stdout


@pytest.mark.parametrize("name", WIRES)
def test_a_release_arrives_as_what_was_approved(
    user_stage: Stage, name: str, request: pytest.FixtureRequest
) -> None:
    """A person sees both commits. Another one is another question, and a rejection has a reason."""
    wire = WIRES[name]
    request.getfixturevalue(wire.errand)
    scene = wire.scene(user_stage, REQUIRE)
    repository, questions = scene.project.repository, scene.airlock.questions
    push = ("git", "push", "origin", "HEAD:refs/heads/release/1")
    with describe(scene).running() as client, scene.airlock.begin("pending", "--follow") as shown:
        clone(client, wire.url(repository))
        first = commit(client, "first")
        with client.start(*push, cwd="/app") as begun:
            (question,) = questions.wait_for()
            shown.wait_for(f"creates it at {first}")
            assert repository.commit("release/1") is None
            questions.approve(question)
            begun.wait()
        assert f"airlock: approval {question['id']} is pending" in begun.heard
        assert repository.commit("release/1") == first
        second = commit(client, "second")
        with client.start(*push, cwd="/app") as begun:
            (question,) = questions.wait_for()
            both = f"from {first}\nto   {second}"
            assert read_detail(question, "refs/heads/release/1") == both
            for line in both.splitlines():
                shown.wait_for(line)
            third = commit(client, "third", "--amend")
            with client.start(*push, cwd="/app") as other:
                other_question = questions.wait_for(2)[1]
                assert other_question["id"] != question["id"]
                assert third in read_detail(other_question, "refs/heads/release/1")
                questions.approve(question)
                begun.wait()
                assert repository.commit("release/1") == second
                questions.reject(other_question, "after the freeze")
                other.wait()
        assert "[remote rejected] HEAD -> release/1" in other.heard
        assert "after the freeze" in other.heard
        shown.wait_for("was answered", times=3)
    assert repository.commit("release/1") == second
    pushes = [each for each in scene.airlock.audit() if each["event"] == "broker"]
    answers = [each["approval"] for each in pushes if each["approval"] is not None]
    assert ["rejected" in each for each in answers] == [False, False, True]
    assert pushes[-1]["rule"] == "approve"


def test_ten_pushes_of_three_agents_are_answered_in_any_order(
    user_stage: Stage, git_ssh_errand: GitOverSsh
) -> None:
    """Each takes its own answer, and the four of one agent are not those of another."""
    wire = WIRES["ssh"]
    main = wire.scene(user_stage, REQUIRE)
    airlock, repository = main.airlock, main.project.repository
    profile = (main.agent.directory / "airlock.toml").read_text()
    agents = [airlock.add_agent(name, profile=profile) for name in AGENTS]
    airlock.stop()
    airlock.start()
    wanted: dict[str, str] = {}
    with ExitStack() as stack:
        pushes = []
        for agent in agents:
            scene: Scene = dataclasses.replace(main, agent=agent)
            client = stack.enter_context(describe(scene).running())
            clone(client, wire.url(repository))
            made = commit(client, agent.name)
            for number in range(AGENTS[agent.name]):
                branch = f"release/{agent.name}-{number}"
                wanted[branch] = made
                words = ("git", "push", "origin", f"HEAD:refs/heads/{branch}")
                pushes.append(stack.enter_context(client.start(*words, cwd="/app")))
        questions = airlock.questions.wait_for(sum(AGENTS.values()))
        # By their random ids.
        for number, question in enumerate(sorted(questions, key=lambda each: each["id"])):
            branch = next(each for each in wanted if f"heads/{each} " in question["operation"])
            assert question["agent"] == branch.removeprefix("release/").partition("-")[0]
            if number % 3:
                airlock.questions.approve(question)
            else:
                airlock.questions.reject(question, f"not {branch}")
                del wanted[branch]
        for begun in pushes:
            begun.wait()
        heard = [begun.heard for begun in pushes]
    assert sum("[new branch]" in each for each in heard) == len(wanted)
    branches = [f"release/{name}-{n}" for name, count in AGENTS.items() for n in range(count)]
    assert {each: repository.commit(each) for each in branches} == {
        each: wanted.get(each) for each in branches
    }


def test_a_question_survives_a_reload_and_no_restart(
    user_stage: Stage, git_ssh_errand: GitOverSsh
) -> None:
    """A stop refuses what waits, and the next daemon knows nothing of it."""
    wire = WIRES["ssh"]
    scene = wire.scene(user_stage, REQUIRE)
    repository, questions = scene.project.repository, scene.airlock.questions
    with describe(scene).running() as client:
        clone(client, wire.url(repository))
        made = commit(client, "first")
        with client.start("git", "push", "origin", "HEAD:release/1", cwd="/app") as begun:
            (question,) = questions.wait_for()
            scene.airlock.run("reload").succeeded()
            questions.approve(question)
            begun.wait()
        assert repository.commit("release/1") == made
        with client.start("git", "push", "origin", "HEAD:release/2", cwd="/app") as begun:
            questions.wait_for()
            scene.airlock.stop()
            begun.wait()
        assert "the daemon stopped" in begun.heard
        scene.airlock.start()
        assert questions.list_open() == []
    assert repository.commit("release/2") is None
