"""The cost of calls to docker's engine through the broker, of a large archive and of a build."""

import contextlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from e2e.world.errors import BrokenError

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import base_environment, start_daemon
from bench.errors import BenchError
from bench.figures import Figure, at_least, at_most, estimated
from bench.interleaving import interleave
from bench.plan import MIB
from bench.samples import Samples, estimate, ratio
from bench.setup_files import TIMED, Places, find_program

_ENGINE = Path("/var/run/docker.sock")
_IMAGE = f"airlock-bench-{os.getpid()}"
_BUILDER = os.environ.get("AIRLOCK_BUILDER", "moby/buildkit:rootless")
_NODE = "buildx_buildkit_"
_DIRECT, _BROKER = "direct", "broker"
_PROFILE = """\
commands = ["docker"]
[workspace]
host = true
[docker]
images = ["docker.io/library/{image}"]
builder = "{builder}"
"""
_PIECE = bytes(1 << 20)


def measure_engine(run: BenchRun) -> Iterator[Figure]:
    """Yield what the broker adds to `docker ps`, and its share of the throughput of an archive.

    That of a build's context comes last, if the engine has an image of rootless BuildKit
    (AIRLOCK_BUILDER). Only for our own pair, and where this user has docker and its engine.
    """
    if shutil.which("docker") is None or not os.access(_ENGINE, os.R_OK | os.W_OK):
        return
    folder = run.data / "engine"
    folder.mkdir()
    try:
        with _serve(run, folder) as sockets, run.caller() as caller, _image():
            yield _measure_list(run, folder, sockets, caller)
            yield _measure_archive(run, sockets)
            if _has_builder():
                yield from _measure_build(run, folder, sockets, caller)
    except BrokenError as error:
        raise BenchError(str(error)) from error


@contextlib.contextmanager
def _serve(run: BenchRun, folder: Path) -> Iterator[dict[str, Path]]:
    """The sockets by name."""
    pair = run.pairs[0]
    places = Places(folder / "daemon", work=run.work, shim=pair.shim)
    places.enable(["docker"])
    places.add_agent(TIMED, profile=_PROFILE.format(image=_IMAGE, builder=_BUILDER))
    with start_daemon(pair, places, patience_s=run.plan.patience_s):
        broker = places.socket(TIMED).with_name("docker.sock")
        yield {_DIRECT: _ENGINE, _BROKER: broker}


@contextlib.contextmanager
def _image() -> Iterator[None]:
    """An image with nothing but a directory, which is removed again."""
    with io.BytesIO() as content:
        with tarfile.open(fileobj=content, mode="w") as archive:
            folder = tarfile.TarInfo("data")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
        _docker("import", "-", _IMAGE, content=content.getvalue())
    try:
        yield
    finally:
        _docker("rmi", "--force", _IMAGE)


def _docker(*words: str, content: bytes = b"") -> None:
    done = subprocess.run(("docker", *words), input=content, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"docker {words[0]} fails: {done.stderr.decode()}")


def _measure_list(run: BenchRun, folder: Path, sockets: dict[str, Path], caller: Caller) -> Figure:
    def call(path: Path) -> Call:
        variables = {**base_environment(folder), "DOCKER_HOST": f"unix://{path}"}
        return Call(find_program("docker"), ("docker", "ps"), variables)

    samples = interleave(
        {name: partial(caller.time, call(path)) for name, path in sockets.items()},
        rounds=run.plan.calls,
        warm_up=3,
        budget_s=run.plan.budget_s / 2,
    )
    direct, through = samples[_DIRECT], samples[_BROKER]
    pairs = zip(direct.values, through.values, strict=False)
    return estimated(
        estimate([(slow - quick) * 1e3 for quick, slow in pairs]),
        what="`docker ps` through the broker: adds to direct",
        pair=run.pairs[0].name,
        unit="ms",
        goal=at_most(5),
        behind={"direct ms": direct.median * 1e3, "through ms": through.median * 1e3},
    )


def _measure_archive(run: BenchRun, sockets: dict[str, Path]) -> Figure:
    size = run.plan.size
    body = json.dumps({"Image": _IMAGE, "Cmd": ["true"]}).encode()
    made = json.loads(_ask(sockets[_BROKER], "POST", "/containers/create", [body], len(body)))
    target = f"/containers/{made['Id']}"
    try:
        samples = interleave(
            {name: partial(_put, path, target, size) for name, path in sockets.items()},
            rounds=min(run.plan.transfers, 5),
            warm_up=0,
            budget_s=run.plan.budget_s / 2,
        )
    finally:
        _ask(sockets[_BROKER], "DELETE", target, [], 0)
    return _share(run, samples, f"an archive of {size // MIB:,} MiB into a container")


def _share(run: BenchRun, samples: Mapping[str, Samples], what: str) -> Figure:
    """The share of the direct throughput that the broker has, for a transfer of the plan's size."""
    size = run.plan.size / 1e6
    return estimated(
        ratio(samples[_BROKER], samples[_DIRECT]),
        what=f"{what}: share of the direct throughput",
        pair=run.pairs[0].name,
        unit="times",
        goal=at_least(0.7),
        behind={
            "direct MB/s": size / samples[_DIRECT].median,
            "through MB/s": size / samples[_BROKER].median,
        },
    )


def _has_builder() -> bool:
    asked = ("docker", "image", "inspect", _BUILDER)
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _measure_build(
    run: BenchRun, folder: Path, sockets: dict[str, Path], caller: Caller
) -> Iterator[Figure]:
    """Build with one large file, which is sent again in each round since its time has changed."""
    size, context = run.plan.size, folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    with (context / "file").open("wb") as file:
        for at in range(0, size, len(_PIECE)):
            file.write(_PIECE[: size - at])

    def build(name: str) -> float:
        (folder / name).mkdir(exist_ok=True)
        variables = {
            **base_environment(folder / name),
            "DOCKER_HOST": f"unix://{sockets[name]}",
            "BUILDX_BUILDER": _IMAGE if name == _DIRECT else "",
        }
        os.utime(context / "file")
        words = ("docker", "buildx", "build", "--quiet", "--output=type=cacheonly", str(context))
        return caller.time(Call(find_program("docker"), words, variables))

    try:
        # Makes the agent's builder, whose like is then driven directly.
        build(_BROKER)
        with _direct_builder(folder / _DIRECT):
            samples = interleave(
                {name: partial(build, name) for name in sockets},
                rounds=min(run.plan.transfers, 5),
                budget_s=run.plan.budget_s,
            )
    finally:
        _ask(sockets[_BROKER], "DELETE", f"/containers/{_NODE}default?force=1&v=1", [], 0)
        _ask(sockets[_BROKER], "DELETE", "/networks/default", [], 0)
    yield _share(run, samples, f"a build with a context of {size // MIB:,} MiB")


@contextlib.contextmanager
def _direct_builder(home: Path) -> Iterator[None]:
    """A builder like the agent's, which buildx finds by its name instead of making its own."""
    home.mkdir(exist_ok=True)
    # The newest comes first.
    made = next(
        each["Id"]
        for each in json.loads(_ask(_ENGINE, "GET", "/containers/json", [], 0))
        if each["Names"][0].startswith(f"/airlock-{TIMED}-")
        and each["Names"][0].endswith(f"-{_NODE}default")
    )
    like = json.loads(_ask(_ENGINE, "GET", f"/containers/{made}/json", [], 0))
    kept = ("SecurityOpt", "CapDrop", "CapAdd", "Memory", "PidsLimit")
    host = {name: like["HostConfig"][name] for name in kept}
    body = {"Image": _BUILDER, "Cmd": like["Config"]["Cmd"], "HostConfig": host}
    name = f"{_NODE}{_IMAGE}0"
    text = json.dumps(body).encode()
    _ask(_ENGINE, "POST", f"/containers/create?name={name}", [text], len(text))
    try:
        words = ("docker", "buildx", "create", f"--name={_IMAGE}", "--driver=docker-container")
        variables = {**base_environment(home), "DOCKER_HOST": f"unix://{_ENGINE}"}
        subprocess.run(words, env=variables, check=True, capture_output=True)
        yield
    finally:
        _ask(_ENGINE, "DELETE", f"/containers/{name}?force=1&v=1", [], 0)


def _put(path: Path, container: str, size: int) -> float:
    """Put one file of so many bytes, in place of the one before; the seconds that it took."""
    file = tarfile.TarInfo("file")
    file.size = size
    head, end = file.tobuf(), bytes(2 * tarfile.BLOCKSIZE)

    def read() -> Iterator[bytes]:
        yield head
        for at in range(0, size, len(_PIECE)):
            yield _PIECE[: size - at]
        yield end

    began = time.perf_counter()
    _ask(path, "PUT", f"{container}/archive?path=/data", read(), len(head) + size + len(end))
    return time.perf_counter() - began


def _ask(
    path: Path, method: str, target: str, body: "Iterator[bytes] | list[bytes]", size: int
) -> bytes:
    """Make one call; `body` has `size` bytes."""
    client = http.client.HTTPConnection("docker")
    client.sock = socket.socket(socket.AF_UNIX)
    try:
        client.sock.connect(str(path))
        headers = {"Content-Type": "application/json", "Content-Length": str(size)}
        client.request(method, f"/v1.41{target}", body=iter(body), headers=headers)
        answer = client.getresponse()
        data = answer.read()
    finally:
        client.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise BenchError(f"{method} {target} at {path}: {data.decode()}")
    return data
