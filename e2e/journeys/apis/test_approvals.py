"""A merge, a deletion, a session, a container, an apply: each waits for a person, then happens."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from e2e.journeys.errands.ssh import Ssh
from e2e.world.api_services import GITHUB
from e2e.world.aws_server import BUCKET, READER
from e2e.world.command import Completed, run
from e2e.world.questions import Question, Questions, read_detail
from e2e.world.reach import command_line_beside
from e2e.world.running import Running
from e2e.world.scene import COMMANDS, MAPPED, Scene, Stage

from .place import Place

REQUIRE = """
[approve]
require = [
  "gh graphql mutation mergePullRequest",
  "aws *:Delete*",
  "ssh guest@127.0.0.1",
  "docker container.create *",
  "run terraform ** apply",
]
"""
MERGES = '[gh]\nallow = ["mutation mergePullRequest"]\n'
LATER = "after the freeze"


@pytest.fixture(scope="module")
def asking(place: Place) -> Iterator[Questions]:
    """The questions of the person's daemon, which asks about REQUIRE until the tests end."""
    path = place.person.files / "agents/my/airlock.toml"
    before = path.read_text()
    own = before.replace(f'AWS_PROFILE = "{READER}"', 'AWS_PROFILE = "default"')
    path.write_text(f"{own}{MERGES}{REQUIRE}")

    def answer(*words: str) -> Completed:
        assert place.daemon.running is not None
        person = place.person
        program = person.executables.daemon
        beside = command_line_beside(place.daemon.running.pid, program, person.account)
        return run((*beside, *words), env=person.environment)

    answer("reload").succeeded()
    yield Questions(answer)
    path.write_text(before)
    answer("reload").succeeded()


@contextmanager
def typing(place: Place, line: str) -> Iterator[Running]:
    """Type a line in a container of the agent, and read on meanwhile."""
    words = shlex.join(place.words(f"{line} && echo it happened || echo failed"))
    variables = [f"{name}={value}" for name, value in place.person.environment.items()]
    typed = place.person.shell(f"cd {place.project.path}; exec {words} 2>&1")
    with Running(("env", "-i", *variables, *typed)) as running:
        yield running


def test_a_merge_by_gh(place: Place, asking: Questions) -> None:
    """The person sees the whole request; a rejection and its reason are GitHub's, for gh."""

    def count_merges() -> int:
        return sum(b"mergePullRequest" in each.body for each in place.asked(GITHUB))

    for is_approved in (False, True):
        # Another message is another operation: the rejection of the first is not repeated.
        message = f"--subject 'approved {is_approved}'"
        with typing(place, f"gh pr merge 7 -R acme/app --merge {message}") as merge:
            (question,) = asking.wait_for()
            assert question["operation"] == "gh graphql mutation mergePullRequest"
            assert read_detail(question, "request") == f"POST https://{GITHUB}/graphql"
            assert f"approved {is_approved}" in read_detail(question, "body")
            assert count_merges() == 0
            if is_approved:
                asking.approve(question)
                merge.wait_for("it happened")
            else:
                asking.reject(question, LATER)
                merge.wait_for("failed")
                assert LATER in merge.heard
    assert count_merges() == 1


def test_a_deletion_by_aws(place: Place, asking: Questions) -> None:
    """The request is signed again after the answer, and AWS verifies that."""
    home = place.project.path
    # The server cannot verify checksums over a connection like this one.
    person = "export AWS_REQUEST_CHECKSUM_CALCULATION=when_required; "
    person += "export AWS_CA_BUNDLE=$SSL_CERT_FILE; aws s3api"
    at = f"--bucket {BUCKET} --key asked"
    place.run_on_host(f"{person} put-object {at} --body notes.txt", cwd=home)
    with typing(place, f"aws s3api delete-object {at}") as deletion:
        (question,) = asking.wait_for()
        assert question["operation"].startswith("aws s3:DeleteObject ")
        assert question["operation"].endswith(f" {BUCKET}/asked")
        place.run_on_host(f"{person} head-object {at}", cwd=home)
        asking.approve(question)
        deletion.wait_for("it happened")
    assert place.host(f"{person} head-object {at}", home).exit_code != 0


def test_an_apply_by_terraform(place: Place, asking: Questions) -> None:
    """Its plan is not asked about; the person sees the words, and that they are not all."""
    folder = place.person.account.make_directory(place.project.path / "asked")
    text = 'resource "terraform_data" "one" {\n  input = "x"\n}\n'
    place.person.account.write(folder / "main.tf", text)
    state = folder / "terraform.tfstate"
    line = "cd asked && terraform init -input=false && terraform plan -input=false -out=plan.out"
    with typing(place, f"{line} && terraform apply -input=false plan.out") as apply:
        (question,) = asking.wait_for()
        assert question["operation"] == "run terraform apply -input=false plan.out"
        assert "not bound" in question["note"]
        assert not state.exists()
        asking.approve(question)
        apply.wait_for("it happened")
    assert state.exists()


@pytest.fixture
def workshop(user_stage: Stage) -> Scene:
    """A scene whose agent may use ssh and docker, and is asked about both."""
    return user_stage.scene(
        profile=f"{MAPPED}{REQUIRE}", commands=COMMANDS, modules=user_stage.modules()
    )


def test_a_session_and_a_container(workshop: Scene, ssh_errand: Ssh) -> None:
    """The client of a command is told at once, and the log says who has answered."""
    questions = workshop.airlock.questions
    image = workshop.images.busybox
    tried: tuple[tuple[tuple[str, ...], Callable[[Question], bool]], ...] = (
        (
            (*ssh_errand.call, "echo", "it", "happened"),
            lambda asked: asked["operation"].endswith(' "echo it happened"'),
        ),
        (
            ("docker", "run", "--rm", image, "echo", "it", "happened"),
            lambda asked: (
                asked["operation"] == f"docker container.create image=docker.io/{image}:latest"
            ),
        ),
    )
    with workshop.setup(image).running() as client:
        for words, is_shown in tried:
            with client.start(*words) as running:
                (question,) = questions.wait_for()
                assert is_shown(question)
                if words[0] != "docker":
                    running.wait_for(f"airlock: approval {question['id']} is pending")
                assert "\nit happened" not in f"\n{running.heard}"
                questions.approve(question)
                running.wait_for("it happened")
    approved = [each for each in workshop.airlock.audit() if each.get("approval")]
    assert {"exec", "broker"} <= {each["event"] for each in approved}
    assert {each["approval"]["by"] for each in approved} == {workshop.airlock.account.name}


@pytest.mark.parametrize("options", [(), ("--pid=host",)], ids=["own pids", "pids of the host"])
@pytest.mark.parametrize("user", ["root", "daemon"])
def test_a_container_with_the_state_directory_cannot_answer(
    workshop: Scene, ssh_errand: Ssh, options: tuple[str, ...], user: str
) -> None:
    """Whoever it is in there: root passes the file's mode, and the daemon's user owns the file."""
    uid = "0" if user == "root" else str(workshop.airlock.account.uid)
    control = workshop.agent.directory.parents[1] / "config/state/control"
    (file,) = control.iterdir()
    setup = workshop.setup(workshop.images.debian, *options, user=uid)
    setup = replace(setup, mounts={**setup.mounts, "/control": (control, "rw")})
    asking = workshop.setup(workshop.images.busybox).running()
    words = (*ssh_errand.call, "echo", "asked")
    with setup.running() as client, asking as asker, asker.start(*words):
        (question,) = workshop.airlock.questions.wait_for()
        named = {name: question[name] for name in ("id", "digest", "waiting")}
        line = json.dumps({"type": "Approve", **named}).encode() + b"\n"
        relay = ("socat", "-t", "30", "-", f"UNIX-CONNECT:/control/{file.name}")
        said = json.loads(client.run(*relay, cwd="/", stdin=line).stdout)
        assert said["type"] == "Refused"
        (still,) = workshop.airlock.questions.list_open()
        assert still["id"] == question["id"]
