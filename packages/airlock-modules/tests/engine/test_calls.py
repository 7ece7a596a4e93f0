import json
import urllib.parse

import pytest

from airlock_modules.apis import BadHead, read_head
from airlock_modules.engine import NEWEST, Reference, Refused, find_call, list_references
from airlock_modules.engine.calls import TABLE


def _find(line: str) -> tuple[str, str]:
    """The operation and what is sent, for `METHOD TARGET`, read as the broker does."""
    head = read_head(f"{line} HTTP/1.1\r\nHost: docker\r\n\r\n".encode(), "docker")
    found = find_call(head.method, head.path, head.query, spoken=NEWEST)
    given = [*list_references(dict(found.query)), *([found.target] if found.target else [])]
    return found.call.name, found.write(NEWEST, {each: f"ID-{each.text}" for each in given})


def _quoted(filters: object) -> str:
    return urllib.parse.quote(json.dumps(filters))


@pytest.mark.parametrize(
    ("line", "name", "sent"),
    [
        ("GET /_ping", "system.ping", "/v1.45/_ping"),
        ("GET /v1.44/containers/json?all=1", "container.list", "/v1.45/containers/json?all=1"),
        (
            "GET /v1.45/containers/web/json",
            "container.inspect",
            "/v1.45/containers/ID-web/json",
        ),
        ("GET /containers/%77eb/json", "container.inspect", "/v1.45/containers/ID-web/json"),
        ("GET /containers/json/json", "container.inspect", "/v1.45/containers/ID-json/json"),
        (
            "POST /containers/create?name=web&platform=",
            "container.create",
            "/v1.45/containers/create?name=web",
        ),
        ("GET /networks/", "", ""),
        ("GET /networks/create", "network.inspect", "/v1.45/networks/ID-create"),
        (
            "GET /images/ghcr.io/acme/app:1/json",
            "image.inspect",
            "/v1.45/images/ID-ghcr.io%2Facme%2Fapp:1/json",
        ),
        (
            "GET /images/alpine%2Fgit/json",
            "image.inspect",
            "/v1.45/images/ID-docker.io%2Falpine%2Fgit:latest/json",
        ),
        (
            "DELETE /images/json",
            "image.remove",
            "/v1.45/images/ID-docker.io%2Flibrary%2Fjson:latest",
        ),
        (
            "GET /containers/web/logs?follow=true&tail=all&since=1.5&stdout=1",
            "container.logs",
            "/v1.45/containers/ID-web/logs?follow=1&tail=all&since=1.5&stdout=1",
        ),
        (
            "DELETE /containers/web?v=0&force=True",
            "container.remove",
            "/v1.45/containers/ID-web?v=0&force=1",
        ),
        (
            "GET /containers/web/archive?path=/a%20b",
            "container.archive",
            "/v1.45/containers/ID-web/archive?path=%2Fa+b",
        ),
    ],
)
def test_a_granted_call_is_written_anew(line: str, name: str, sent: str) -> None:
    """A call has one spelling, the version spoken, and the id of what it names."""
    if not name:
        with pytest.raises(Refused):
            _find(line)
    else:
        assert _find(line) == (name, sent)


@pytest.mark.parametrize(
    "line",
    [
        *("GET /swarm", "GET /swarm/unlockkey", "POST /swarm/init", "GET /nodes", "GET /services"),
        *("GET /secrets", "GET /configs/x", "GET /plugins", "DELETE /plugins/x", "GET /tasks"),
        *("POST /build", "POST /session", "POST /grpc", "POST /auth"),
        *("POST /containers/web/update", "GET /containers/web/attach/ws"),
        *("PUT /volumes/x", "GET /distribution/x/json", "GET /images/search"),
        *("POST /containers/web/checkpoints", "GET /containers/web/checkpoints", "GET /"),
        *("TRACE /_ping", "OPTIONS /_ping", "PUT /containers/create", "POST /containers/json"),
        *("GET /v1.45/v1.45/_ping", "GET /v1.45", "GET /V1.45/_ping", "GET /_PING"),
        *("GET /containers/web/json/", "GET /containers/json/../../swarm", "GET //swarm"),
        *(
            "GET /containers/..%2fswarm/json",
            "GET /networks/..%2F..%2Fswarm",
            "GET /networks/.swarm",
        ),
        *("GET /networks/a%2Fb", "GET /networks/a%00", "GET /containers/-x/json"),
        *("GET /images/../swarm/json", "GET /images/x%2F..%2Fy/json", "GET /images/X/json"),
        *("GET /images/x%3Fy/json", "GET /images/x%23y/json", "GET /images/x/y/z:a:b/json"),
        *("GET /v1.46/_ping", "GET /v1.40/_ping", "GET /v2.0/_ping", "GET /v1/_ping"),
        *("GET /containers/json?All=1", "GET /containers/json?all=1&all=0", "GET /_ping?x=1"),
        *("GET /containers/json?all=yes", "GET /containers/json?limit=1e3", "GET /_ping?a=1;b=2"),
        *(
            "POST /images/create?fromSrc=http://x/y",
            "POST /images/create?repo=x",
            "GET /events?since=x",
        ),
        *(
            "POST /containers/create?name=a/b",
            "POST /containers/x/rename?name=..",
        ),
        "POST /containers/web/start?checkpoint=x",
        "GET /containers/web/top?ps_args=-o%20ppid=PID,args",
    ],
)
def test_every_other_call_is_refused(line: str) -> None:
    """Another method, path, version, parameter or spelling is refused."""
    with pytest.raises((Refused, BadHead)):
        _find(line)


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        ({"label": ["a=b"]}, {"label": ["airlock.label.a=b"]}),
        ({"label": {"a=b": True}}, {"label": ["airlock.label.a=b"]}),
        ({"network": ["app"]}, {"network": ["ID-app"]}),
        ({"ancestor": ["alpine"]}, {"ancestor": ["ID-docker.io/library/alpine:latest"]}),
        ({}, {}),
    ],
)
def test_filters_are_read_too(filters: object, sent: object) -> None:
    """Both forms of filters are read, and what they name is looked up."""
    _, line = _find(f"GET /containers/json?filters={_quoted(filters)}")
    assert json.loads(urllib.parse.parse_qs(line.partition("?")[2])["filters"][0]) == sent


@pytest.mark.parametrize(
    "filters",
    [
        {"label": ["airlock.agent=b"]},
        {"label": ["AIRLOCK.agent"]},
        {"Label": ["a"]},
        {"volume": ["/etc"]},
        {"network": ["../x"]},
        {"publish": ["80"]},
        {"is-task": ["true"]},
        {"label": {"a": False}},
        {"label": "a"},
        {"label": [1]},
        ["a"],
    ],
)
def test_other_filters_are_refused(filters: object) -> None:
    """Airlock's labels, unlisted filters and other forms are refused."""
    with pytest.raises(Refused):
        _find(f"GET /containers/json?filters={_quoted(filters)}")


def test_a_version_that_is_not_spoken_names_those_that_are() -> None:
    """The refusal of a version says which to set."""
    with pytest.raises(Refused, match=r"version 1\.99") as error:
        _find("GET /v1.99/containers/json")
    assert "DOCKER_API_VERSION may be 1.41 to 1.45" in error.value.hint


def test_the_builder_is_refused_by_name() -> None:
    """A build has a rule of its own, by whichever path."""
    for path in ("/v1.45/build", "/session", "/grpc"):
        with pytest.raises(Refused, match="no image is built by the engine's own builder") as error:
            find_call("POST", path, "", spoken=NEWEST)
        assert error.value.rule == "no-builder"


@pytest.mark.parametrize("args", ["-ef", "aux", "-o pid,args", "-eo pid,user,%cpu", "-e -opid"])
def test_processes_of_a_container_are_listed(args: str) -> None:
    """In the forms that people use."""
    _find(f"GET /containers/web/top?ps_args={urllib.parse.quote(args)}")


@pytest.mark.parametrize(
    "args",
    [
        *("-o args,pid", "-eo args,pid", "-C sh -o args,pid", "-C sh", "-N -o pid", "-o pid -N"),
        *("--deselect -o pid", "-o pid=args", "-o pid -o args,pid", "-p 1", "-u root", "-o args"),
        *("-o pid,args -C sh", "-ef -N", "-o pid,args:9", "--sort args", "-G 0", "-ef\n-N"),
    ],
)
def test_no_other_process_of_the_host_is_listed(args: str) -> None:
    """The engine knows a container's processes by a word of the line, and tells another one."""
    with pytest.raises(Refused):
        _find(f"GET /containers/web/top?ps_args={urllib.parse.quote(args)}")


def test_each_line_of_the_table_is_found() -> None:
    """Each line finds itself, by an operation with an object where it has one."""
    for call in TABLE:
        slot = call.path.partition("{")[2].partition("}")[0]
        path = call.path.replace(f"{{{slot}}}", "thing")
        query = f"{call.needs}=-" if call.needs else ""
        found = find_call(call.method, path, query, spoken=NEWEST)
        assert found.call is call
        assert (found.target is not None) == bool(slot)
        assert found.words[:2] == ("docker", call.name)
    assert found.target == Reference("image", "docker.io/library/thing:latest")
