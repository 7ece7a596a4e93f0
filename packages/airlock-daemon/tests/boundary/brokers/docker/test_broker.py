"""The broker of a docker engine, against an engine that answers as it is told."""

import io
import json
import socket
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import h11
import msgspec
import pytest
import trio
from docker_world import Agent
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from airlock_daemon.boundary.brokers.docker.broker import EngineBroker
from airlock_daemon.boundary.brokers.docker.departure import remove_own
from airlock_daemon.boundary.connection.descriptors import drop_unread
from airlock_daemon.boundary.fairness import Rounds
from airlock_daemon.errors import Denied, Failed
from airlock_daemon.setup.state import State
from airlock_modules.engine import DockerGrant, Ownership, OwnImages, Root, read_image_name
from airlock_modules.operation import Operation

_ID, _OTHER, _NET, _IMAGE = ("1" * 64, "2" * 64, "3" * 64, "sha256:" + "4" * 64)
_MARKS = {"airlock.agent": "a", "airlock.installation": "0"}
_LABELS = {**_MARKS, "airlock.user": "", "airlock.image": "alpine"}


class Call(msgspec.Struct, frozen=True):
    """One call that the engine got."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


class Engine:
    """An engine with some objects. `calls` are those that it got."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", "/version"): (200, {"ApiVersion": "1.45", "Version": "26.1"}),
            ("GET", "/v1.45/info"): (200, {"SecurityOptions": ["name=seccomp,profile=builtin"]}),
            ("GET", "/v1.45/containers/airlock-a-0-web/json"): (200, own("web", _ID)),
            ("GET", f"/v1.45/containers/{_ID}/json"): (200, own("web", _ID)),
            ("GET", "/v1.45/networks/airlock-a-0-default"): (
                200,
                {
                    "Id": _NET,
                    "Name": "airlock-a-0-default",
                    "Labels": _MARKS,
                    "Internal": True,
                },
            ),
            ("GET", "/v1.45/images/docker.io/library/alpine:latest/json"): (
                200,
                {"Id": _IMAGE, "RepoTags": ["alpine:latest"]},
            ),
        }

    def made(self, method: str, path: str) -> Call:
        """The one call of this method and path."""
        [found] = [each for each in self.calls if (each.method, each.path) == (method, path)]
        return found

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection."""
        http = h11.Connection(h11.SERVER)
        with suppress(trio.BrokenResourceError):
            async with stream:
                await self._serve(stream, http)

    async def _serve(self, stream: trio.SocketStream, http: h11.Connection) -> None:
        request, body = None, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        if request is None:
            return
        target = urlsplit(request.target.decode())
        headers = {name.decode(): value.decode() for name, value in request.headers}
        path = unquote(target.path)
        call = Call(request.method.decode(), path, parse_qs(target.query), headers, body)
        self.calls.append(call)
        status, answer = self.answers.get((call.method, path), (404, {"message": "not here"}))
        if status == 101:
            await stream.send_all(
                b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly "
            )
            while data := await stream.receive_some():
                await stream.send_all(data.upper())
            await stream.send_eof()
            return
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        lines = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        await stream.send_all(http.send(h11.Response(status_code=status, headers=lines)) or b"")
        await stream.send_all(http.send(h11.Data(data=content)) or b"")
        await stream.send_all(http.send(h11.EndOfMessage()) or b"")


def own(name: str, identity: str, **labels: str) -> dict[str, Any]:
    """An own container, as the engine tells of it."""
    config = {"Labels": {**_LABELS, **labels}, "Env": ["A=1"]}
    return {"Id": identity, "Name": f"/airlock-a-0-{name}", "Config": config}


class Client:
    """A client with one connection to the broker."""

    def __init__(self, connection: trio.SocketStream) -> None:
        self.connection = connection

    async def send(self, line: str, *headers: str, body: bytes | None = None) -> None:
        """Send a request."""
        lines = [f"{line} HTTP/1.1", "Host: docker", *headers]
        lines += [] if body is None else [f"Content-Length: {len(body)}"]
        await self.connection.send_all("\r\n".join((*lines, "", "")).encode() + (body or b""))

    async def ask(self, line: str, *headers: str, body: object = None) -> tuple[int, Any]:
        """Send a request and read its answer."""
        data = (
            body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        )
        await self.send(line, *headers, body=data)
        http = h11.Connection(h11.CLIENT)
        http.send(
            h11.Request(method=line.split(maxsplit=1)[0], target="/", headers=[("Host", "x")])
        )
        http.send(h11.EndOfMessage())
        status, content = 0, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self.connection.receive_some())
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                content += event.data
            else:
                assert isinstance(event, h11.EndOfMessage)
                break
        with suppress(ValueError):
            return status, json.loads(content)
        return status, content


class Scene:
    """A broker between an engine and clients."""

    def __init__(self, engine: Engine, agent: Agent, nursery: trio.Nursery, state: State) -> None:
        self.engine = engine
        self.agent = agent
        self.broker = EngineBroker(state, agent.ownership.agent)
        self.clients: list[Client] = []
        self._nursery = nursery

    def connect(self) -> Client:
        """Connect a client."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._nursery.start_soon(self._serve, ours)
        client = Client(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
        self.clients.append(client)
        return client

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            await self.broker.serve(connection, self.agent)
            drop_unread(connection, self.agent.closer)


_ROOT = Root(inner="/work", outer="/home/u/work", user="1000:1000")
_GRANT = DockerGrant(
    images=("docker.io/library/*",), registries=("ghcr.io",), read=("db",), roots=(_ROOT,)
)


@asynccontextmanager
async def scene(directory: Path, grant: DockerGrant = _GRANT) -> AsyncIterator[Scene]:
    """A broker of an agent with this grant."""
    engine, path = Engine(), str(directory / "engine.sock")
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listening.bind(path)
    listening.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, engine.serve, [trio.SocketListener(listening)])
        rounds = Rounds()
        trio.lowlevel.add_instrument(rounds)
        nursery.start_soon(rounds.run)
        state = State(str(directory / "state"))
        made = Scene(engine, Agent(path, grant, rounds), nursery, state)
        try:
            yield made
        finally:
            trio.lowlevel.remove_instrument(rounds)
            nursery.cancel_scope.cancel()
            for each in made.clients:
                each.connection.socket.close()


async def test_a_call_is_sent_by_the_full_id(tmp_path: Path) -> None:
    """A name is looked up with the agent's prefix; the call is made by the id that was found."""
    async with scene(tmp_path) as here:
        here.engine.answers["POST", f"/v1.45/containers/{_ID}/stop"] = (204, b"")
        client = here.connect()
        assert await client.ask("POST /v1.44/containers/web/stop?t=5") == (204, b"")
        assert here.engine.made("POST", f"/v1.45/containers/{_ID}/stop").query == {"t": ["5"]}
        # The connection serves further calls, each by a connection of the engine's own.
        status, answer = await client.ask("GET /containers/web/json")
        assert (status, answer["Name"], answer["Config"]["Labels"]) == (200, "/web", {})
        await wait_all_tasks_blocked()
        assert [each.operation.line for each in here.agent.results if each.operation] == [
            "docker container.stop web",
            "docker container.inspect web",
        ]


@pytest.mark.parametrize(
    "answer",
    [
        {"Id": _OTHER, "Name": "/web", "Config": {"Labels": _LABELS}},
        {"Id": _OTHER, "Name": "/airlock-a-0-web", "Config": {"Labels": {}}},
        {
            "Id": _OTHER,
            "Name": "/airlock-b-0-web",
            "Config": {"Labels": {**_MARKS, "airlock.agent": "b"}},
        },
        {"Id": "../../swarm", "Name": "/airlock-a-0-web", "Config": {"Labels": _LABELS}},
        {"Id": "", "Name": "/airlock-a-0-web", "Config": {"Labels": _LABELS}},
    ],
)
async def test_anothers_container_is_not_there(tmp_path: Path, answer: dict[str, Any]) -> None:
    """A container without label and prefix is as none, whatever it is asked for by."""
    async with scene(tmp_path) as here:
        here.engine.answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (200, answer)
        here.engine.answers["GET", f"/v1.45/containers/{_OTHER}/json"] = (200, answer)
        client = here.connect()
        for name in ("web", _OTHER):
            for line in (f"POST /containers/{name}/start", f"GET /containers/{name}/json"):
                status, said = await client.ask(line)
                assert status == 404
                assert said["message"].startswith("airlock: No such container")
        assert {each.method for each in here.engine.calls} == {"GET"}


async def test_a_persons_container_is_looked_at_alone(tmp_path: Path) -> None:
    """With `read` it may be inspected without its environment, and nothing else."""
    async with scene(tmp_path) as here:
        told = {"Id": _OTHER, "Name": "/db", "Config": {"Env": ["P=secret"], "Labels": {}}}
        here.engine.answers["GET", "/v1.45/containers/db/json"] = (200, told)
        here.engine.answers["GET", f"/v1.45/containers/{_OTHER}/json"] = (200, told)
        client = here.connect()
        status, answer = await client.ask("GET /containers/db/json")
        assert (status, answer["Config"]["Env"]) == (200, [])
        here.engine.answers["GET", f"/v1.45/containers/{_OTHER}/logs"] = (200, b"line")
        assert (await client.ask("GET /containers/db/logs?stdout=1&details=1"))[0] == 200
        # Details may be variables of the environment.
        sent = here.engine.made("GET", f"/v1.45/containers/{_OTHER}/logs")
        assert sent.query == {"stdout": ["1"]}
        for line in ("POST /containers/db/stop", "GET /containers/db/top", "DELETE /containers/db"):
            assert (await client.ask(line))[0] == 404


async def test_a_container_is_created_anew(tmp_path: Path) -> None:
    """Name, image and network are looked up; labels, limits and network are the agent's."""
    async with scene(tmp_path) as here:
        here.engine.answers["POST", "/v1.45/containers/create"] = (201, {"Id": _ID, "Warnings": []})
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [])
        host = {"Privileged": False, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}
        body = {"Image": "alpine", "Labels": {"x": "y"}, "HostConfig": host}
        client = here.connect()
        status, answer = await client.ask("POST /containers/create?name=web", body=body)
        assert status == 201
        assert "port 80/tcp is published nowhere" in answer["Warnings"][0]
        made = here.engine.made("POST", "/v1.45/containers/create")
        sent = json.loads(made.body)
        assert made.query == {"name": ["airlock-a-0-web"]}
        assert (sent["Image"], sent["HostConfig"]["NetworkMode"]) == (_IMAGE, _NET)
        assert sent["Labels"]["airlock.agent"] == "a"
        await wait_all_tasks_blocked()
        assert here.agent.results[-1].operation == Operation(
            ("docker", "container.create", "image=docker.io/library/alpine:latest")
        )
        body["HostConfig"] = {"Privileged": True}
        status, answer = await client.ask("POST /containers/create", body=body)
        assert status == 403
        assert "Privileged" in answer["message"]
        await wait_all_tasks_blocked()
        error = here.agent.results[-1].error
        assert isinstance(error, Denied)
        assert error.layer == "broker"


async def test_an_agent_has_a_bounded_number_of_containers(tmp_path: Path) -> None:
    """One more than the limit is refused."""
    async with scene(tmp_path, DockerGrant(containers=1)) as here:
        listed = {"Id": _ID, "Names": ["/airlock-a-0-web"], "Labels": _LABELS}
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [listed])
        status, answer = await here.connect().ask(
            "POST /containers/create", body={"Image": "alpine"}
        )
        assert (status, "as many as it may have" in answer["message"]) == (403, True)


async def test_what_others_have_at_the_engine_keeps_no_list_from_an_agent(tmp_path: Path) -> None:
    """Labels of an image that another agent has loaded may be of any length."""
    async with scene(tmp_path) as here:
        image = {"Id": _IMAGE, "RepoTags": ["alpine:latest"], "Labels": {"of": "it"}}
        other = {"Id": "sha256:" + "6" * 64, "RepoTags": ["x:1"], "Labels": {"x": "y" * (33 << 20)}}
        volume = {"Name": "airlock-a-0-v", "Labels": _MARKS}
        listed = {"LayersSize": 9, "Images": [other, image], "Volumes": [volume]}
        here.engine.answers["GET", "/v1.45/images/json"] = (200, [other, image])
        here.engine.answers["GET", "/v1.45/system/df"] = (200, listed)
        client = here.connect()
        status, images = await client.ask("GET /images/json")
        assert (status, images) == (200, [{**image, "RepoDigests": []}])
        status, found = await client.ask("GET /system/df")
        assert (status, found["Images"], found["LayersSize"]) == (200, images, 0)
        assert [each["Name"] for each in found["Volumes"]] == ["v"]
        here.engine.answers["GET", "/v1.45/images/json"] = (200, [])
        assert await client.ask("GET /images/json") == (200, [])


async def test_a_long_list_is_read_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what an agent itself has, only up to 8 MiB."""
    async with scene(tmp_path) as here:
        volume = {"Name": "airlock-a-0-v", "Labels": {**_MARKS, "airlock.label.x": "y" * 100_000}}
        here.engine.answers["GET", "/v1.45/volumes"] = (200, {"Volumes": [volume] * 50})
        client, turns = here.connect(), 0
        real = here.agent.turns.take

        async def take() -> None:
            nonlocal turns
            turns += 1
            await real()

        monkeypatch.setattr(here.agent.turns, "take", take)
        status, answer = await client.ask("GET /volumes")
        assert (status, len(answer["Volumes"])) == (200, 50)
        assert turns > 20
        here.engine.answers["GET", "/v1.45/volumes"] = (200, {"Volumes": [volume] * 90})
        status, answer = await client.ask("GET /volumes")
        assert (status, "more than 8 MiB to list" in answer["message"]) == (503, True)


async def test_of_what_is_pruned_only_names_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any number of images with long labels; of what is removed with an agent, too."""
    async with scene(tmp_path) as here:
        name = OwnImages("a", "0").outer(read_image_name("mine"))
        image = {"Id": _IMAGE, "RepoTags": [name], "Labels": {"x": "y" * 1_000_000}}
        answers, client = here.engine.answers, here.connect()
        answers["GET", "/v1.45/images/json"] = (200, [image] * 20)
        answers["DELETE", f"/v1.45/images/{name}"] = (200, [{"Untagged": name}])
        filters = quote(json.dumps({"dangling": ["false"]}))
        turns, real = 0, here.agent.turns.take

        async def take() -> None:
            nonlocal turns
            turns += 1
            await real()

        monkeypatch.setattr(here.agent.turns, "take", take)
        status, answer = await client.ask(f"POST /images/prune?filters={filters}")
        assert (status, len(answer["ImagesDeleted"])) == (200, 20)
        assert turns > len(json.dumps([image] * 20)) >> 14
        for kind in ("containers/json", "networks", "volumes"):
            answers["GET", f"/v1.45/{kind}"] = (200, {"Volumes": []} if kind == "volumes" else [])
        assert await remove_own(here.agent.engine, here.agent.ownership) == []
        # Names are not endless either.
        answers["GET", "/v1.45/images/json"] = (
            200,
            [{**image, "RepoTags": [name] * 9000, "Labels": {}}] * 40,
        )
        status, answer = await client.ask(f"POST /images/prune?filters={filters}")
        assert (status, "more than 8 MiB to list" in answer["message"]) == (503, True)


async def test_an_agent_has_a_bounded_number_of_volumes(tmp_path: Path) -> None:
    """Those that a container would have made are counted, too."""
    async with scene(tmp_path) as here:
        answers, client = here.engine.answers, here.connect()
        volume = {"Name": "airlock-a-0-v", "Labels": _MARKS}
        answers["POST", "/v1.45/volumes/create"] = (201, volume)
        answers["GET", "/v1.45/volumes"] = (200, {"Volumes": [volume] * 99})
        assert (await client.ask("POST /volumes/create", body={"Name": "v"}))[0] == 201
        answers["GET", "/v1.45/volumes"] = (200, {"Volumes": [volume] * 100})
        answers["GET", "/v1.45/containers/json"] = (200, [])
        host = {"Binds": ["v:/v"]}
        for line, body in (
            ("POST /volumes/create", {"Name": "v"}),
            ("POST /containers/create", {"Image": "alpine", "HostConfig": host}),
        ):
            status, answer = await client.ask(line, body=body)
            assert (status, "100 volumes, as many as" in answer["message"]) == (403, True)
        # One that is there already is none more.
        answers["GET", "/v1.45/volumes/airlock-a-0-v"] = (200, volume)
        assert (await client.ask("POST /volumes/create", body={"Name": "v"}))[0] == 201


async def test_what_the_engine_says_is_passed_on(tmp_path: Path) -> None:
    """To the client and to the record; with names as the client has them."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        answers["GET", "/v1.45/containers/json"] = (200, [])
        del answers["GET", "/v1.45/networks/airlock-a-0-default"]
        said = "all predefined address pools have been fully subnetted"
        told = {"message": f"network airlock-a-0-default: {said}"}
        answers["POST", "/v1.45/networks/create"] = (500, told)
        status, answer = await here.connect().ask(
            "POST /containers/create", body={"Image": "alpine"}
        )
        assert status == 503
        assert (
            f"answered 500 to what this call needs: network default: {said};" in answer["message"]
        )
        assert "docker network prune" in answer["message"]
        await wait_all_tasks_blocked()
        error = here.agent.results[-1].error
        assert isinstance(error, Failed)
        assert said in error.message


async def test_an_agent_does_not_use_up_the_engines_addresses(tmp_path: Path) -> None:
    """It has twelve networks at most."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        answers["GET", "/v1.45/networks"] = (200, [{"Id": _NET}] * 11)
        answers["POST", "/v1.45/networks/create"] = (201, {"Id": _NET})
        client = here.connect()
        assert (await client.ask("POST /networks/create", body={"Name": "n"}))[0] == 201
        answers["GET", "/v1.45/networks"] = (200, [{"Id": _NET}] * 12)
        status, answer = await client.ask("POST /networks/create", body={"Name": "n"})
        assert (status, "as many as it may have" in answer["message"]) == (403, True)


async def test_an_image_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """The client learns it by the engine's status, and then pulls."""
    async with scene(tmp_path) as here:
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [])
        client = here.connect()
        assert (await client.ask("POST /containers/create", body={"Image": "busybox"}))[0] == 404
        status, _ = await client.ask("POST /images/create?fromImage=evil.example/x&tag=1")
        assert status == 403
        here.engine.answers["POST", "/v1.45/images/create"] = (200, b'{"status":"Pulled"}\n')
        status, _ = await client.ask(
            "POST /images/create?fromImage=ghcr.io/acme/x&tag=1", "X-Registry-Auth: bWluZQ=="
        )
        assert status == 200
        pulled = here.engine.made("POST", "/v1.45/images/create")
        assert pulled.headers["x-registry-auth"] == "bG9naW4="
        assert pulled.query == {"fromImage": ["ghcr.io/acme/x"], "tag": ["1"]}


async def test_a_push_takes_no_persons_image_of_that_name(tmp_path: Path) -> None:
    """The engine pushes by name: what an agent calls so must be what the engine calls so."""
    async with scene(tmp_path, DockerGrant(push=("ghcr.io/acme/*",))) as here:
        named = OwnImages("a", "0").outer(read_image_name("ghcr.io/acme/x:1"))
        answers = here.engine.answers
        answers["GET", f"/v1.45/images/{named}/json"] = (200, {"Id": _IMAGE, "RepoTags": [named]})
        theirs = {"Id": f"sha256:{_OTHER}", "RepoTags": ["ghcr.io/acme/x:1"]}
        answers["GET", "/v1.45/images/ghcr.io/acme/x:1/json"] = (200, theirs)
        client = here.connect()
        assert (await client.ask("POST /images/ghcr.io/acme/x/push?tag=1"))[0] == 403
        status, answer = await client.ask("POST /images/ghcr.io/acme/x/push")
        assert (status, "one by one" in answer["message"]) == (403, True)
        answers["GET", "/v1.45/images/ghcr.io/acme/x:1/json"] = (200, {**theirs, "Id": _IMAGE})
        answers["POST", "/v1.45/images/ghcr.io/acme/x/push"] = (200, b'{"status":"Pushed"}\n')
        assert (await client.ask("POST /images/ghcr.io/acme/x/push?tag=1"))[0] == 200


async def test_a_command_in_a_container_with_a_workspace_has_its_owner(tmp_path: Path) -> None:
    """Its user cannot be chosen, and the engine, which is root, copies nothing there."""
    async with scene(tmp_path) as here:
        told = own("web", _ID, **{"airlock.user": "1000:1000"})
        here.engine.answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (200, told)
        here.engine.answers["POST", f"/v1.45/containers/{_ID}/exec"] = (201, {"Id": "5" * 64})
        client = here.connect()
        body = {"Cmd": ["id"], "User": "0"}
        assert (await client.ask("POST /containers/web/exec", body=body))[0] == 201
        sent = json.loads(here.engine.made("POST", f"/v1.45/containers/{_ID}/exec").body)
        assert sent["User"] == "1000:1000"
        for line in ("GET /containers/web/archive?path=/", "PUT /containers/web/archive?path=/"):
            assert (await client.ask(line))[0] == 403


async def test_a_narrower_grant_holds_for_what_was_made_before(tmp_path: Path) -> None:
    """A network that leads out is not joined any more, and a free user becomes the owner."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        answers["GET", "/v1.45/containers/json"] = (200, [])
        network = {"Id": _NET, "Name": "airlock-a-0-default", "Labels": _MARKS}
        answers["GET", "/v1.45/networks/airlock-a-0-default"] = (
            200,
            {**network, "Internal": False},
        )
        client = here.connect()
        status, said = await client.ask("POST /containers/create", body={"Image": "alpine"})
        assert (status, "docker network rm default" in said["message"]) == (403, True)
        body = {"Container": "web"}
        assert (await client.ask("POST /networks/default/connect", body=body))[0] == 403
        answers["DELETE", f"/v1.45/networks/{_NET}"] = (204, b"")
        assert (await client.ask("DELETE /networks/default"))[0] == 204
        told = {**own("web", _ID), "Mounts": [{"Type": "bind", "Source": "/home/u/work"}]}
        answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (200, told)
        answers["POST", f"/v1.45/containers/{_ID}/exec"] = (201, {"Id": "5" * 64})
        run = {"Cmd": ["id"], "User": "0"}
        assert (await client.ask("POST /containers/web/exec", body=run))[0] == 201
        sent = json.loads(here.engine.made("POST", f"/v1.45/containers/{_ID}/exec").body)
        assert sent["User"] == "1000:1000"
        status, said = await client.ask("POST /containers/web/start")
        assert (status, "a user of its own" in said["message"]) == (403, True)
        bound = {**own("web", _ID), "HostConfig": {"PortBindings": {"80/tcp": []}}}
        answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (200, bound)
        lines = (("start", None), ("restart", None), ("unpause", None), ("exec", run))
        for line, given in lines:
            status, said = await client.ask(f"POST /containers/web/{line}", body=given)
            assert (status, "ports of the host" in said["message"]) == (403, True), line
        elsewhere = {"Type": "bind", "Source": "/home/u/other"}
        answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (
            200,
            {**own("web", _ID), "Mounts": [elsewhere]},
        )
        status, said = await client.ask("GET /containers/web/archive?path=/")
        assert (status, "no workspace of this client" in said["message"]) == (403, True)
        joined = {"Networks": {"airlock-a-0-default": {"NetworkID": _NET}}}
        answers["GET", "/v1.45/containers/airlock-a-0-web/json"] = (
            200,
            {**own("web", _ID), "NetworkSettings": joined},
        )
        answers["GET", f"/v1.45/networks/{_NET}"] = (200, {**network, "Internal": False})
        status, said = await client.ask("POST /containers/web/start")
        assert (status, "leads out" in said["message"]) == (403, True)


async def test_a_network_that_is_another_containers_is_judged_with_it(tmp_path: Path) -> None:
    """At its creation and later, by the id of that container and not by one of that name."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        answers["GET", "/v1.45/containers/json"] = (200, [])
        answers["POST", "/v1.45/containers/create"] = (201, {"Id": _OTHER})
        answers["POST", f"/v1.45/containers/{_OTHER}/exec"] = (201, {"Id": "5" * 64})
        answers["POST", f"/v1.45/containers/{_OTHER}/start"] = (204, b"")
        mode = {"HostConfig": {"NetworkMode": f"container:{_ID}"}}
        answers["GET", "/v1.45/containers/airlock-a-0-second/json"] = (
            200,
            {**own("second", _OTHER), **mode},
        )
        answers["GET", f"/v1.45/containers/airlock-a-0-{_ID}/json"] = (200, own(_ID, "7" * 64))
        network = {"Id": _NET, "Name": "airlock-a-0-default", "Labels": _MARKS}
        end = {"NetworkSettings": {"Networks": {"x": {"NetworkID": _NET}}}}
        bound: dict[str, Any] = {"HostConfig": {"PortBindings": {"80/tcp": []}}}
        client = here.connect()
        calls = (
            ("create", {"Image": "alpine", "HostConfig": {"NetworkMode": "container:web"}}),
            ("second/exec", {"Cmd": ["id"]}),
            ("second/start", None),
        )
        for first, is_internal, problem in (
            (end, False, "leads out"),
            (bound, True, "ports of the host"),
            (end, True, ""),
        ):
            answers["GET", f"/v1.45/networks/{_NET}"] = (200, {**network, "Internal": is_internal})
            for name in ("airlock-a-0-web", _ID):
                told = {**own("web", _ID), **first}
                answers["GET", f"/v1.45/containers/{name}/json"] = (200, told)
            for call, body in calls:
                status, said = await client.ask(f"POST /containers/{call}", body=body)
                assert (status == 403) == bool(problem), (call, said)
                assert not problem or problem in said["message"]
        del answers["GET", f"/v1.45/containers/{_ID}/json"]
        assert (await client.ask("POST /containers/second/start"))[0] == 404


async def test_an_exec_is_looked_up_by_its_containers_id_alone(tmp_path: Path) -> None:
    """An own container that is called as another's id does not lead to that one's commands."""
    async with scene(tmp_path) as here:
        run = "6" * 64
        here.engine.answers["GET", f"/v1.45/exec/{run}/json"] = (
            200,
            {"ID": run, "ContainerID": _OTHER},
        )
        here.engine.answers["GET", f"/v1.45/containers/airlock-a-0-{_OTHER}/json"] = (
            200,
            own(_OTHER, _ID),
        )
        told = {"Id": _OTHER, "Name": "/theirs", "Config": {"Labels": {}}}
        here.engine.answers["GET", f"/v1.45/containers/{_OTHER}/json"] = (200, told)
        assert (await here.connect().ask(f"POST /exec/{run}/start", body={}))[0] == 404


@pytest.mark.parametrize("has_upgrade", [True, False])
async def test_a_raw_stream_is_opaque_once_granted(tmp_path: Path, *, has_upgrade: bool) -> None:
    """After the engine has switched, bytes go both ways until both have ended."""
    async with scene(tmp_path) as here:
        here.engine.answers["POST", f"/v1.45/containers/{_ID}/attach"] = (101, None)
        client = here.connect()
        headers = ("Connection: Upgrade", "Upgrade: tcp") if has_upgrade else ()
        await client.send("POST /containers/web/attach?stream=1&stdin=1&stdout=1", *headers)
        await client.connection.send_all(b"hello")
        await client.connection.send_eof()
        got = b""
        while data := await client.connection.receive_some():
            got += data
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 " if has_upgrade else b"HTTP/1.1 200 ")
        assert rest == b"early HELLO"


async def test_a_raw_stream_that_the_engine_does_not_begin_fails(tmp_path: Path) -> None:
    """A plain answer in its place never makes the connection opaque."""
    async with scene(tmp_path) as here:
        here.engine.answers["POST", f"/v1.45/containers/{_ID}/attach"] = (200, {})
        status, answer = await here.connect().ask("POST /containers/web/attach?stream=1")
        assert (status, "did not begin a raw stream" in answer["message"]) == (503, True)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /info HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /../swarm HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_ping HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET http://x/_ping HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_ping HTTP/1.1\nHost: x\n\r\n\r\n",
    ],
)
async def test_what_can_be_read_in_two_ways_ends_the_connection(tmp_path: Path, raw: bytes) -> None:
    """The head is read strictly, and nothing of it reaches the engine."""
    async with scene(tmp_path) as here:
        client = here.connect()
        await client.connection.send_all(raw + b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while data := await client.connection.receive_some():
            got += data
        assert got.startswith(b"HTTP/1.1 400 ")
        assert got.count(b"HTTP/1.1 4") == 1
        assert here.engine.calls == []


async def test_a_body_where_none_belongs_is_refused(tmp_path: Path) -> None:
    """The engine gets no body of a call that has none, and the connection ends."""
    async with scene(tmp_path) as here:
        client = here.connect()
        status, _ = await client.ask("POST /containers/web/start", body=b'{"HostConfig":{}}')
        assert status == 400
        assert [each.path for each in here.engine.calls] == ["/version", "/v1.45/info"]


async def test_the_policy_is_asked_before_the_engine(tmp_path: Path) -> None:
    """An operation that the profile denies is not made, nor looked up."""
    async with scene(tmp_path) as here:
        here.agent.refuses = "container.stop"
        status, answer = await here.connect().ask("POST /containers/web/stop")
        assert (status, answer) == (403, {"message": "airlock: not today; ask tomorrow"})
        assert [each.path for each in here.engine.calls] == ["/version", "/v1.45/info"]


@pytest.mark.parametrize(
    "told",
    ["alpine", "docker.io/library/alpine:latest", f"sha256:{'5' * 64}", "mine", "five@sha256:5"],
)
async def test_an_approval_is_needed_for_an_image_by_any_of_its_names(
    tmp_path: Path, told: str
) -> None:
    """By its id, or by a name that the agent gave it, too."""
    identity = f"sha256:{'5' * 64}"
    given = OwnImages("a", "0").outer(read_image_name("mine"))
    told = told.replace("sha256:5", identity) if "@" in told else told
    answer = {"Id": identity, "RepoTags": ["alpine:latest", given], "RepoDigests": []}
    async with scene(tmp_path, DockerGrant(images=("docker.io/library/*",))) as here:
        for name in (
            "docker.io/library/alpine:latest",
            given,
            identity,
            f"docker.io/library/{told}",
        ):
            here.engine.answers["GET", f"/v1.45/images/{name}/json"] = (200, answer)
        here.agent.refuses = "image=docker.io/library/alpine:latest"
        status, said = await here.connect().ask("POST /containers/create", body={"Image": told})
        assert (status, said["message"]) == (403, "airlock: not today; ask tomorrow")


async def test_what_was_approved_is_the_image_of_that_time(tmp_path: Path) -> None:
    """Another one that has its name since is refused."""
    async with scene(tmp_path) as here:

        def approve() -> object:
            other = {"Id": f"sha256:{'5' * 64}", "RepoTags": ["alpine:latest"]}
            path = "/v1.45/images/docker.io/library/alpine:latest/json"
            here.engine.answers["GET", path] = (200, other)
            return "approved"

        here.agent.refuses, here.agent.approve = "never", approve
        status, said = await here.connect().ask("POST /containers/create", body={"Image": "alpine"})
        assert (status, "is another image" in said["message"]) == (403, True)


@pytest.mark.parametrize("had", [True, False])
async def test_a_container_is_made_of_the_image_that_was_judged(
    tmp_path: Path, *, had: bool
) -> None:
    """Also if its name leads to one that needs an approval once the call has its turn."""
    path = f"/v1.45/images/{OwnImages('a', '0').outer(read_image_name('mine'))}/json"
    harmless, asked = f"sha256:{'6' * 64}", f"sha256:{'5' * 64}"
    async with scene(tmp_path) as here:
        here.broker.images.note(harmless)
        here.broker.images.note(asked)
        here.agent.refuses = "prod:1"
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [])
        here.engine.answers["POST", "/v1.45/containers/create"] = (201, {"Id": _ID})
        if had:
            here.engine.answers["GET", path] = (200, {"Id": harmless, "RepoTags": ["tools:1"]})
        found: list[int] = []

        async def create() -> None:
            status, _ = await here.connect().ask("POST /containers/create", body={"Image": "mine"})
            found.append(status)

        async with trio.open_nursery() as nursery, here.broker.creating:
            nursery.start_soon(create)
            await wait_all_tasks_blocked(0.05)
            here.engine.answers["GET", path] = (200, {"Id": asked, "RepoTags": ["prod:1"]})
        made = [each for each in here.engine.calls if each.path == "/v1.45/containers/create"]
        assert found == ([201] if had else [404])
        assert [json.loads(each.body)["Image"] for each in made] == ([harmless] if had else [])


async def test_a_push_is_of_the_image_that_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of one that the agent gives the name to while a helper looks for the login."""
    name = "ghcr.io/acme/x:1"
    async with scene(tmp_path, DockerGrant(push=("ghcr.io/acme/*",))) as here:
        answers, path = here.engine.answers, f"/v1.45/images/{name}/json"
        answers["GET", path] = (200, {"Id": _IMAGE, "RepoTags": [name]})
        here.broker.images.note(_IMAGE, name=name)

        async def look(_: object) -> bytes:
            answers["GET", path] = (200, {"Id": f"sha256:{'5' * 64}", "RepoTags": [name]})
            return b"bG9naW4="

        monkeypatch.setattr(here.agent, "find_login", look)
        here.agent.refuses, here.agent.approve = "never", lambda: "approved"
        status, said = await here.connect().ask("POST /images/ghcr.io/acme/x/push?tag=1")
        assert (status, "another one at the engine" in said["message"]) == (403, True)


async def test_lists_are_narrowed_by_the_engine_too(tmp_path: Path) -> None:
    """The agent's label is added to a list's filters; what comes is still looked at."""
    async with scene(tmp_path, DockerGrant()) as here:
        others = {"Names": ["/x"], "Labels": _MARKS}
        mine = {"Names": ["/airlock-a-0-web"], "Labels": _LABELS}
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [others, mine])
        status, found = await here.connect().ask("GET /containers/json?all=1")
        assert (status, [each["Names"] for each in found]) == (200, [["/web"]])
        query = here.engine.made("GET", "/v1.45/containers/json").query
        assert json.loads(query["filters"][0]) == {
            "label": ["airlock.agent=a", "airlock.installation=0"]
        }


async def test_events_are_looked_at_line_by_line(tmp_path: Path) -> None:
    """Others' events are dropped from the stream, own ones have the client's names."""
    async with scene(tmp_path) as here:
        events = [
            {"Type": "container", "Actor": {"Attributes": {"name": "secret"}}},
            {"Type": "container", "Actor": {"Attributes": {**_LABELS, "name": "airlock-a-0-web"}}},
        ]
        lines = b"".join(json.dumps(each).encode() + b"\n" for each in events)
        here.engine.answers["GET", "/v1.45/events"] = (200, lines)
        status, found = await here.connect().ask("GET /events?until=1")
        assert (status, found["Actor"]["Attributes"]["name"]) == (200, "web")


async def test_containers_are_pruned_one_by_one(tmp_path: Path) -> None:
    """A person's container with the agent's label, from its image, is not removed."""
    async with scene(tmp_path) as here:
        theirs = {"Id": _OTHER, "Names": ["/theirs"], "Labels": _LABELS}
        mine = {"Id": _ID, "Names": ["/airlock-a-0-web"], "Labels": _LABELS}
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [theirs, mine])
        here.engine.answers["DELETE", f"/v1.45/containers/{_ID}"] = (204, b"")
        status, answer = await here.connect().ask("POST /containers/prune")
        assert (status, answer["ContainersDeleted"]) == (200, [_ID])
        assert [each.path for each in here.engine.calls if each.method == "DELETE"] == [
            f"/v1.45/containers/{_ID}"
        ]


async def test_what_buildx_makes_becomes_the_granted_builder(tmp_path: Path) -> None:
    """It pulls its image, looks for it, and makes a container with all privileges."""
    async with scene(tmp_path) as here:
        here.agent.grant = replace(here.agent.grant, builder="docker.io/library/alpine:latest")
        answers = here.engine.answers
        answers["GET", "/v1.45/containers/json"] = (200, [])
        answers["POST", "/v1.45/images/create"] = (500, {"message": "no such host"})
        answers["POST", "/v1.45/containers/create"] = (201, {"Id": _ID})
        client = here.connect()
        wanted = "moby/buildkit:buildx-stable-1"
        pull = "POST /images/create?fromImage=moby%2Fbuildkit&tag=buildx-stable-1"
        assert (await client.ask(pull))[0] == 500
        pulled = here.engine.made("POST", "/v1.45/images/create")
        assert pulled.query == {"fromImage": ["docker.io/library/alpine"], "tag": ["latest"]}
        answers["GET", f"/v1.45/images/{_IMAGE}/json"] = (200, {"Id": _IMAGE})
        # The agent's own image of that name has not its rights.
        named = OwnImages("a", "0").outer(read_image_name("alpine"))
        answers["GET", f"/v1.45/images/{named}/json"] = (
            200,
            {"Id": f"sha256:{_OTHER}", "RepoTags": [named]},
        )
        assert (await client.ask(f"GET /images/{wanted}/json"))[1]["Id"] == _IMAGE
        body = {"Image": wanted, "HostConfig": {"Privileged": True, "Binds": ["/:/host"]}}
        made = "POST /containers/create?name=buildx_buildkit_default"
        path = "/v1.45/images/docker.io/library/alpine:latest/json"
        for user in ("", "0", "root:root", "00:1"):
            image = {"Id": _IMAGE, "RepoTags": ["alpine:latest"], "Config": {"User": user}}
            answers["GET", path] = (200, image)
            status, said = await client.ask(made, body=body)
            assert (status, "runs as root" in said["message"]) == (403, True)
        image = {"Id": _IMAGE, "RepoTags": ["alpine:latest"], "Config": {"User": "1000:1000"}}
        answers["GET", path] = (200, image)
        assert (await client.ask(made, body=body))[0] == 201
        sent = json.loads(here.engine.made("POST", "/v1.45/containers/create").body)
        assert (sent["Image"], sent["HostConfig"]["Mounts"]) == (_IMAGE, [])
        assert (sent["User"], sent["Labels"]["airlock.user"]) == ("1000:1000", "1000:1000")
        assert "Privileged" not in sent["HostConfig"]
        await wait_all_tasks_blocked()
        operation = here.agent.results[-1].operation
        assert operation is not None
        assert operation.words[2] == "image=docker.io/library/alpine:latest"


async def test_an_archive_has_not_any_number_of_names(tmp_path: Path) -> None:
    """Each is several calls of the engine, and the client waits for none of them."""
    names = [f"made:{number}" for number in range(200)]
    manifest = json.dumps([{"Config": "1.json", "RepoTags": names, "Layers": []}]).encode()
    entry = tarfile.TarInfo("manifest.json")
    entry.size = len(manifest)
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(manifest))
        body = packed.getvalue()
    async with scene(tmp_path) as here:
        status, said = await here.connect().ask("POST /images/load", body=body)
        assert (status, "more than 200" in said["message"]) == (400, True)


async def test_a_rootless_engines_containers_have_its_own_user(tmp_path: Path) -> None:
    """Root of its user namespace: any other user there has no file of the workspace."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        answers["GET", "/v1.45/info"] = (200, {"SecurityOptions": ["name=rootless"]})
        answers["GET", "/v1.45/containers/json"] = (200, [])
        answers["POST", "/v1.45/containers/create"] = (201, {"Id": _ID})
        body = {"Image": "alpine", "HostConfig": {"Binds": ["/work:/src"]}}
        assert (await here.connect().ask("POST /containers/create", body=body))[0] == 201
        sent = json.loads(here.engine.made("POST", "/v1.45/containers/create").body)
        assert (sent["User"], sent["HostConfig"]["CapDrop"]) == ("0:0", ["ALL"])


async def test_a_workspace_below_its_root_is_a_volume(tmp_path: Path) -> None:
    """The volume is made for the workspace's path, and one of another kind is not used."""
    async with scene(tmp_path) as here:
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [])
        here.engine.answers["POST", "/v1.45/volumes/create"] = (201, {})
        here.engine.answers["POST", "/v1.45/containers/create"] = (201, {"Id": _ID})
        body = {"Image": "alpine", "HostConfig": {"Binds": ["/work/src:/src"]}}
        client = here.connect()
        assert (await client.ask("POST /containers/create", body=body))[0] == 503
        made = json.loads(here.engine.made("POST", "/v1.45/volumes/create").body)
        assert made["DriverOpts"] == {"type": "none", "o": "bind", "device": "/home/u/work"}
        there = {**made, "Options": made["DriverOpts"]}
        here.engine.answers["GET", f"/v1.45/volumes/{made['Name']}"] = (200, there)
        assert (await client.ask("POST /containers/create", body=body))[0] == 201
        sent = json.loads(here.engine.made("POST", "/v1.45/containers/create").body)
        [mount] = sent["HostConfig"]["Mounts"]
        assert (mount["Source"], mount["VolumeOptions"]["Subpath"]) == (made["Name"], "src")


async def test_what_an_agent_has_made_goes_with_it(tmp_path: Path) -> None:
    """Containers, networks and volumes go, a workspace's volume too, and nothing of a person."""
    async with scene(tmp_path) as here:
        answers, labels = here.engine.answers, _MARKS
        root = Ownership("a", "0").root_volume("/home/u/work")
        answers["GET", "/v1.45/containers/json"] = (
            200,
            [
                {"Id": _ID, "Names": ["/airlock-a-0-web"], "Labels": labels},
                {"Id": _OTHER, "Names": ["/theirs"], "Labels": labels},
            ],
        )
        answers["GET", "/v1.45/networks"] = (
            200,
            [{"Id": _NET, "Name": "airlock-a-0-default", "Labels": labels}],
        )
        volumes = [
            {"Name": "airlock-a-0-data", "Labels": labels},
            {"Name": root, "Labels": {**labels, "airlock.root": "/home/u/work"}},
            {"Name": "theirs", "Labels": {**labels, "airlock.root": "/home/u/work"}},
        ]
        answers["GET", "/v1.45/volumes"] = (200, {"Volumes": volumes})
        gone = [f"/containers/{_ID}", f"/networks/{_NET}", "/volumes/airlock-a-0-data"]
        for path in gone:
            answers["DELETE", f"/v1.45{path}"] = (204, b"")
        answers["DELETE", f"/v1.45/volumes/{root}"] = (409, {"message": "in use"})
        answers["GET", "/v1.45/images/json"] = (200, [])
        assert await remove_own(here.agent.engine, here.agent.ownership) == [root]
        asked = [each.path for each in here.engine.calls if each.method == "DELETE"]
        assert asked == [f"/v1.45{path}" for path in (*gone, f"/volumes/{root}")]


async def test_what_the_engine_lists_goes_where_it_does_not_list_the_rest(tmp_path: Path) -> None:
    """Each kind on its own; and of images it is asked for the agent's names alone."""
    async with scene(tmp_path) as here:
        answers = here.engine.answers
        listed = {"Id": _ID, "Names": ["/airlock-a-0-web"], "Labels": _MARKS}
        answers["GET", "/v1.45/containers/json"] = (200, [listed])
        answers["GET", "/v1.45/networks"] = (500, {"message": "no"})
        volume = {"Name": "airlock-a-0-data", "Labels": _MARKS}
        answers["GET", "/v1.45/volumes"] = (200, {"Volumes": [volume]})
        answers["GET", "/v1.45/images/json"] = (200, b"x" * (33 << 20))
        answers["DELETE", f"/v1.45/containers/{_ID}"] = (204, b"")
        answers["DELETE", "/v1.45/volumes/airlock-a-0-data"] = (204, b"")
        with pytest.raises(Failed, match="answered 500"):
            await remove_own(here.agent.engine, here.agent.ownership)
        asked = [each.path for each in here.engine.calls if each.method == "DELETE"]
        assert asked == [f"/v1.45/containers/{_ID}", "/v1.45/volumes/airlock-a-0-data"]
        query = here.engine.made("GET", "/v1.45/images/json").query
        prefix = OwnImages("a", "0").prefix
        patterns = json.loads(query["filters"][0])["reference"]
        assert patterns[:2] == [f"{prefix}*/*", f"{prefix}*/*/*"]


async def test_no_address_is_reached_but_by_the_bridge_of_a_network(tmp_path: Path) -> None:
    """Where the engine is elsewhere, a container's address is that of something else here."""
    async with scene(tmp_path) as here:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            end = {"NetworkID": _NET, "IPAddress": "127.0.0.1"}
            listed = {
                "Id": _ID,
                "Names": ["/airlock-a-0-web"],
                "State": "running",
                "Labels": {**_LABELS, "airlock.ports": f"8080:{port}"},
                "NetworkSettings": {"Networks": {"x": end}},
            }
            network = here.engine.answers["GET", "/v1.45/networks/airlock-a-0-default"]
            here.engine.answers["GET", f"/v1.45/networks/{_NET}"] = network
            here.engine.answers["GET", "/v1.45/containers/json"] = (200, [listed])
            client = here.connect()
            await client.send("POST /airlock/connect?port=8080")
            assert await client.connection.receive_some() == b""
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.accept()
        await wait_all_tasks_blocked()
        error = here.agent.results[-1].error
        assert error is not None
        assert "cannot be reached: the engine answers 404" in error.message


async def test_a_list_of_ports_ends_with_the_engines_events(tmp_path: Path) -> None:
    """The shim asks again: what it listened at may have changed meanwhile."""
    async with scene(tmp_path) as here:
        here.engine.answers["GET", "/v1.45/containers/json"] = (200, [])
        here.engine.answers["GET", "/v1.45/events"] = (200, b"{}")
        client = here.connect()
        await client.send("POST /airlock/ports")
        said = b"".join([piece async for piece in client.connection])
        assert said.startswith(b"HTTP/1.1 101 ")
        await wait_all_tasks_blocked()
        error = here.agent.results[-1].error
        assert error is not None
        assert "ended its events" in error.message
