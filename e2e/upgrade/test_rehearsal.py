"""A release, rehearsed: published on an index and a registry here, and upgraded to."""

import email
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tasks.hatch import hold_lock, install_tool

from e2e.world import engine
from e2e.world.command import run
from e2e.world.daemon import Daemon
from e2e.world.image_context import make_context
from e2e.world.images import make_registry
from e2e.world.need import need
from e2e.world.product import build, make_base, read_python
from e2e.world.registry import running_registry
from e2e.world.wheels import CHECKOUT, download_wheels

from .built import FOLDERS, Built, HistoryMissing, build_all
from .shim_asking import NO_BOX, find_wrong_answers, install_tools

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

_OWN = tuple(name.replace("-", "_") for name in FOLDERS)


class Index(ThreadingHTTPServer):
    """A package index with the files of a folder, to which `uv publish` can add some."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        """A project's files (PEP 503), or one of them."""
        kind, name = self.path.strip("/").split("/")[:2]
        if kind == "files":
            body = (self.server.folder / name).read_bytes()
        else:
            found = (each.name for each in sorted(self.server.folder.iterdir()))
            project = [each for each in found if _normal(each.partition("-")[0]) == name]
            body = "".join(f'<a href="/files/{each}">{each}</a>' for each in project).encode()
        self._answer(200 if body else 404, body)

    do_HEAD = do_GET  # noqa: N815 - as http.server has it

    def do_POST(self) -> None:
        """Take an upload; a file that is there is never replaced."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"].encode()
        form = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body)
        (file,) = (part for part in form.walk() if part.get_filename())
        target = self.server.folder / str(file.get_filename())
        is_new = not target.exists()
        if is_new:
            content = file.get_payload(decode=True)
            assert isinstance(content, bytes)
            target.write_bytes(content)
        self._answer(200 if is_new else 400, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    with Index(folder) as index:
        thread = threading.Thread(target=index.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            index.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Built, ...]]:
    try:
        return build_all(tmp_path_factory.mktemp("wheels"))
    except HistoryMissing as missing:
        pytest.skip(f"the history is not here: {missing}")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all of it depends on."""
    folder = tmp_path_factory.mktemp("others")
    download_wheels(folder, python=".".join(map(str, sys.version_info[:2])))
    # pipx brings the newest pip into its environments.
    words = ("-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", "pip")
    run((sys.executable, *words)).succeeded()
    return folder


@pytest.fixture(scope="module")
def uv() -> Path:
    with hold_lock():
        return install_tool("lock") / "bin" / "uv"


def publish(built: tuple[Built, ...], index: Index, uv: Path) -> None:
    files = [str(each.wheel) for each in built]
    words = (str(uv), "--no-config", "publish", "--trusted-publishing=never", "--username=me")
    url = f"--publish-url={index.address}/legacy/"
    run((*words, "--password=x", url, *files), env={**os.environ}).succeeded()


def _by_pip(home: Path, _: Path, wanted: str, environment: Mapping[str, str]) -> Path:
    where = home / "env"
    if not where.exists():
        run((sys.executable, "-m", "venv", str(where))).succeeded()
    pip = (str(where / "bin/pip"), "install", "--quiet", "--no-compile", "--upgrade")
    run((*pip, f"airlock-daemon[run]{wanted}"), env=environment).succeeded()
    assert "No broken" in run((pip[0], "check"), env=environment).succeeded().stdout
    return where / "bin"


def _by_pipx(home: Path, _: Path, wanted: str, environment: Mapping[str, str]) -> Path:
    tool = home / "tool"
    if not tool.exists():
        run((sys.executable, "-m", "venv", str(tool))).succeeded()
        # From the index of this machine: it is no part of what is released.
        run((str(tool / "bin/pip"), "install", "--quiet", "pipx")).succeeded()
    variables = {**environment, "PIPX_HOME": str(home / "px"), "PIPX_BIN_DIR": str(home / "bin")}
    words = ("install", f"airlock-daemon{wanted}") if wanted else ("upgrade", "airlock-daemon")
    # pip alone: pipx would otherwise look for another program, and for a newer pip of its own.
    more = ("--pip-args=--no-compile",)
    run((str(tool / "bin/pipx"), *words, *more), env=variables).succeeded()
    return home / "px/venvs/airlock-daemon/bin"


def _by_uv(home: Path, uv: Path, wanted: str, environment: Mapping[str, str]) -> Path:
    places = {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
    words = (str(uv), "--no-config", "--no-cache", "--quiet", "tool", "install", "--upgrade")
    python = f"--python={sys.executable}"
    variables = {**environment, **places}
    run((*words, python, f"airlock-daemon[run]{wanted}"), env=variables).succeeded()
    return home / "tools/airlock-daemon/bin"


def _by_installer(home: Path, _: Path, wanted: str, environment: Mapping[str, str]) -> Path:
    words = ("--with", "venv", "--no-init", "--no-modify-path")
    version = ("--version", wanted.removeprefix("==")) if wanted else ()
    script = str(CHECKOUT / "install.sh")
    run(("sh", script, *words, *version), env={**environment, "HOME": str(home)}).succeeded()
    return (home / ".local/bin/airlock-daemon").resolve().parent


_WAYS = (_by_pip, _by_pipx, _by_uv, _by_installer)


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.__name__)
def test_the_release_is_published_and_upgraded_to(
    way: Callable[[Path, Path, str, Mapping[str, str]], Path],
    wheels: Mapping[str, tuple[Built, ...]],
    others: Path,
    uv: Path,
    tmp_path: Path,
) -> None:
    """Each way installs the release before, then this one, and both answer a shim."""
    folder, home = tmp_path / "files", tmp_path / "home"
    shutil.copytree(others, folder)
    home.mkdir()
    # The Python that the wheels of others are for.
    (home / "python3").symlink_to(os.path.realpath(sys.executable))
    before = tuple(releases[-2] for releases in wheels.values())
    now = tuple(releases[-1] for releases in wheels.values())
    with serving(folder) as index:
        url = f"{index.address}/simple/"
        environment = {
            "PATH": f"{home}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PIP_INDEX_URL": url,
            "UV_DEFAULT_INDEX": url,
            "PIP_NO_CACHE_DIR": "1",
        }
        for number, (published, wanted) in enumerate(((before, "=="), (now, ""))):
            publish(published, index, uv)
            daemon = next(each for each in published if each.package == "airlock-daemon")
            programs = way(home, uv, wanted and f"=={daemon.version}", environment)
            said = run((str(programs / "airlock-daemon"), "version")).succeeded().stdout
            assert daemon.version in said.splitlines()[0]
            _serve(programs, tmp_path / str(number), knows_boxes=not wanted)


def _serve(programs: Path, folder: Path, *, knows_boxes: bool) -> None:
    """A daemon of these programs answers a shim of the same."""
    folder.mkdir()
    more = '[exec]\nworkspace = "optional"\n' + (NO_BOX if knows_boxes else "")
    installed = install_tools(folder / "i", more=more, knows_boxes=knows_boxes)
    with Daemon(
        installed.argv([programs / "airlock-daemon"]),
        said=installed.said,
        sockets=installed.list_sockets,
        environment={"HOME": str(folder), "PATH": os.environ["PATH"]},
    ):
        place = folder / "place"
        place.mkdir()
        shim = programs / "airlock-shim"
        if shim.exists():
            assert list(find_wrong_answers(shim, installed.socket("web"), place)) == []


def test_the_image_is_pushed_and_upgraded_to(
    wheels: Mapping[str, tuple[Built, ...]], tmp_path: Path
) -> None:
    """By its tag from a registry: the release before, and then this one."""
    need(engine.why_not())
    with engine.alone():
        base = make_base()
        context = make_context(tmp_path, python=read_python(base))
        with running_registry(make_registry(), user="me", password="x") as registry:
            config = tmp_path / "docker"
            config.mkdir()
            (config / "config.json").write_text(registry.configuration())
            docker = ("docker", "--config", str(config))
            for number in (-2, -1):
                for name in _OWN[:-1]:
                    for old in (context / "wheels").glob(f"{name}-*"):
                        old.unlink()
                for package in (*wheels,)[:-1]:
                    shutil.copy(wheels[package][number].wheel, context / "wheels")
                version = wheels["airlock-daemon"][number].version
                arguments = (f"--build-arg=BASE={base}",)
                made = build("Dockerfile.daemon", context, *arguments, name="rehearsed")
                tag = f"{registry.address}/airlock-daemon:{version}"
                subprocess.run(["docker", "tag", made, tag], check=True)
                run((*docker, "push", "--quiet", tag)).succeeded()
                run((*docker, "rmi", tag)).succeeded()
                run((*docker, "rmi", "--no-prune", made)).succeeded()
                words = ("run", "--rm", "--quiet", "--network=none", tag, "version")
                said = run((*docker, *words)).succeeded().stdout
                assert version in said.splitlines()[0]
