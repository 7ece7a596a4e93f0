"""Requests to APIs that wait for a person: a real daemon, its worker, and an API."""

import json
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from airlock_daemon.boundary.brokers.https.messages import Content, Question
from airlock_daemon.serving.request.https import describe_request
from airlock_modules.apis import Api
from airlock_modules.apis.aws import Call
from airlock_modules.apis.aws.grant import Operation
from api_world import TOKEN, ApiWorld, api_world, read_answer
from approving import approve, reject, wait_for_questions
from commanding import run
from worlds import World

REQUIRE = '[approve]\nrequire = ["test POST /who"]\n'


@pytest.fixture
def apis(world: World) -> Iterator[ApiWorld]:
    """A world with an API, one of whose operations needs a person."""
    with api_world(world) as apis:
        apis.grant("POST /who", "GET /held", more=REQUIRE)
        yield apis


def begin(apis: ApiWorld, path: str, body: bytes = b"") -> Callable[[], tuple[int, str]]:
    """Send a request; the returned function waits for the answer."""
    client = apis.client()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{apis.server.port}\r\n"
        f"Authorization: Bearer {apis.placeholder()}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    client.socket.sendall(head.encode() + body)

    def wait() -> tuple[int, str]:
        with client:
            return read_answer(client.socket)

    return wait


def read_detail(question: dict[str, object], label: str) -> list[str]:
    """The lines of a detail."""
    details = question["details"]
    assert isinstance(details, list)
    return next(lines for name, lines in details if name == label)


def test_an_approved_request_reaches_the_api(apis: ApiWorld) -> None:
    """The person sees all of it but the credential."""
    with apis.daemon() as daemon:
        wait = begin(apis, "/who?x=1", b'{"a":\n1}')
        (question,) = wait_for_questions(apis.world)
        assert apis.server.requests == []
        assert question["operation"] == "api.test POST /who"
        target = f"https://localhost:{apis.server.port}/who?x=1"
        assert read_detail(question, "request") == [f"POST {target}"]
        assert read_detail(question, "header content-type") == ["application/json"]
        assert read_detail(question, "body") == ['{"a":', "1}"]
        run(apis.world, "approve", question["id"])
        assert wait() == (200, "half half ")
        began, *_ = daemon.records("broker-start")
        assert began["approval"]["id"] == question["id"]


def test_a_rejected_request_does_not(apis: ApiWorld) -> None:
    """The tool gets the reason in the service's form."""
    with apis.daemon() as daemon:
        wait = begin(apis, "/who")
        reject(apis.world, "not today")
        status, text = wait()
        (record,) = daemon.records("broker")
        assert record["approval"]["rejected"]
    assert status == 403
    assert "not today" in json.loads(text)["message"]
    assert apis.server.requests == []


def test_another_body_is_another_question(apis: ApiWorld) -> None:
    """Also where only the query differs."""
    with apis.daemon():
        wait = begin(apis, "/who", b"one")
        approve(apis.world)
        assert wait()[0] == 200
        for path, body in (("/who", b"two"), ("/who?x=1", b"one")):
            wait = begin(apis, path, body)
            reject(apis.world)
            assert wait()[0] == 403
    assert len(apis.server.requests) == 1


def test_a_body_that_cannot_be_shown_is_refused(apis: ApiWorld) -> None:
    """More than 1 MiB: nobody is asked."""
    with apis.daemon():
        wait = begin(apis, "/who", b"x" * ((1 << 20) + 1))
        status, _ = wait()
        assert status == 413
        assert json.loads(run(apis.world, "pending", "--json").stdout)["questions"] == []


def test_a_request_that_was_not_asked_about_obeys_a_reload(apis: ApiWorld) -> None:
    """A source of credentials may take seconds, and the person then wants to be asked."""
    waiting = apis.world.root / "waiting"
    os.mkfifo(waiting)
    words = ["sh", "-c", f"echo {TOKEN}; cat {waiting}"]
    source = f"command = {json.dumps(words)}"
    apis.grant("POST /who", source=source)
    with apis.daemon():
        wait = begin(apis, "/who")
        # The command has begun when it reads.
        with waiting.open("w"):
            apis.grant("POST /who", source=source, more=REQUIRE)
            run(apis.world, "reload")
        status, text = wait()
    assert (status, "since the rules were reloaded" in text) == (403, True)
    assert apis.server.requests == []


API = Api(name="test", module="test", hosts=("localhost",))
ASKED = Question(
    question=1,
    connection=1,
    api="test",
    fingerprint="",
    host="localhost",
    method="GET",
    path="/who",
    content=Content(port=443, query="", headers=()),
    needs_secret=True,
)
CALL = Call(operations=(Operation("s3", "DeleteObject"),), region="eu-west-1", bucket="b", key="k")


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        (
            ASKED,
            replace(ASKED, content=Content(port=8443, query="", headers=())),
            ("request", "GET https://localhost:8443/who"),
        ),
        (
            replace(ASKED, aws=CALL),
            replace(ASKED, aws=replace(CALL, session="arn:aws:iam::1:role/admin")),
            ("in a session of role", "arn:aws:iam::1:role/admin"),
        ),
    ],
    ids=["port", "role"],
)
def test_what_is_done_elsewhere_or_as_another_is_another_operation(
    one: Question, other: Question, shown: tuple[str, str]
) -> None:
    """An approval of the first does not let through the other, and the person sees why."""
    before, after = (describe_request(each, API, b"") for each in (one, other))
    assert before.operation == after.operation
    assert before.digest != after.digest
    assert shown in after.details


@pytest.mark.parametrize("name", ["body", "request", "body in base64", "in a session of role"])
def test_no_header_looks_like_another_part_of_the_request(name: str) -> None:
    """A client may choose its name, and a person would read that instead."""
    content = Content(port=443, query="", headers=((name, "false"),))
    asked = replace(ASKED, aws=replace(CALL, session="role"), content=content)
    for body in (b"real", b"\xff"):
        labels = [label for label, _ in describe_request(asked, API, body).details]
        assert len({*labels}) == 4
        assert f"header {name}" in labels


def test_other_requests_do_not_wait(apis: ApiWorld) -> None:
    """Nor while a question is open."""
    with apis.daemon():
        wait = begin(apis, "/who")
        wait_for_questions(apis.world)
        apis.server.release.set()
        with apis.client() as client:
            assert client.ask("/held")[0] == 200
        approve(apis.world)
        assert wait()[0] == 200


IMPATIENT = """
from airlock_daemon.serving.request import approvals
approvals.PATIENCE_S = 0.5
from airlock_daemon.admin.cli import main
main()
"""


def test_a_tool_that_does_not_wait_takes_the_answer_later(apis: ApiWorld) -> None:
    """It is told after a while that the approval is pending, and its next try passes."""
    with apis.daemon("-c", IMPATIENT):
        status, text = begin(apis, "/who")()
        assert status == 403
        (question,) = wait_for_questions(apis.world)
        assert f"approval {question['id']} is pending" in json.loads(text)["message"]
        run(apis.world, "approve", question["id"])
        assert begin(apis, "/who")() == (200, "half half ")
    assert [path for path, _ in apis.server.requests] == ["POST /who"]


@pytest.mark.parametrize("count", [10])
def test_ten_at_once_are_answered_in_any_order(apis: ApiWorld, count: int) -> None:
    """Equal ones share a question, and others beyond four are refused."""
    with apis.daemon():
        answers: list[int] = []
        waits = [begin(apis, "/who", str(number % 2).encode()) for number in range(count)]
        threads = [
            threading.Thread(target=lambda wait=wait: answers.append(wait()[0])) for wait in waits
        ]
        for thread in threads:
            thread.start()
        while sum(each["waiting"] for each in wait_for_questions(apis.world, 2)) < count:
            pass
        for question in reversed(wait_for_questions(apis.world, 2)):
            run(apis.world, "approve", question["id"])
        for thread in threads:
            thread.join(30)
    assert answers == [200] * count


def test_a_person_can_see_that_beforehand(apis: ApiWorld) -> None:
    """`test` says so without a request."""
    said = run(apis.world, "test", "my", "test", "POST", "/who").stdout
    assert "asked: a person has to approve it" in said
