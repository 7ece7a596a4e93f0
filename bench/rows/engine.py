"""The cost of a call to docker's engine through the broker, and of a large archive."""

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
from collections.abc import Iterator
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
from bench.samples import estimate, ratio
from bench.setup_files import TIMED, Places, find_program

_ENGINE = Path("/var/run/docker.sock")
_IMAGE = f"airlock-bench-{os.getpid()}"
_DIRECT, _BROKER = "direct", "broker"
_PROFILE = """\
commands = ["docker"]
[workspace]
host = true
[docker]
images = ["docker.io/library/{image}"]
"""
_PIECE = bytes(1 << 20)


def measure_engine(run: BenchRun) -> Iterator[Figure]:
    """Yield what the broker adds to `docker ps`, and its share of an archive's throughput.

    Only for our own pair, and where this user has docker and its engine.
    """
    if shutil.which("docker") is None or not os.access(_ENGINE, os.R_OK | os.W_OK):
        return
    folder = run.data / "engine"
    folder.mkdir()
    try:
        with _serve(run, folder) as sockets, run.caller() as caller, _image():
            yield _measure_list(run, folder, sockets, caller)
            yield _measure_archive(run, sockets)
    except BrokenError as error:
        raise BenchError(str(error)) from error


@contextlib.contextmanager
def _serve(run: BenchRun, folder: Path) -> Iterator[dict[str, Path]]:
    """The sockets by name."""
    pair = run.pairs[0]
    places = Places(folder / "daemon", work=run.work, shim=pair.shim)
    places.enable(["docker"])
    places.add_agent(TIMED, profile=_PROFILE.format(image=_IMAGE))
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
    return estimated(
        ratio(samples[_BROKER], samples[_DIRECT]),
        what=f"an archive of {size // MIB:,} MiB into a container: share of the direct throughput",
        pair=run.pairs[0].name,
        unit="times",
        goal=at_least(0.7),
        behind={
            "direct MB/s": size / 1e6 / samples[_DIRECT].median,
            "through MB/s": size / 1e6 / samples[_BROKER].median,
        },
    )


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
