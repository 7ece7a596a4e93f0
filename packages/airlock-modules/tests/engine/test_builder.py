import io
import json
import tarfile

import pytest
from msgspec.structs import replace

from airlock_modules.engine import (
    DockerGrant,
    NoConfiguration,
    Ownership,
    Refused,
    find_builder,
    is_builder,
    order_builder,
    read_exec,
    read_image_name,
)

GRANT = DockerGrant(builder="docker.io/moby/buildkit:rootless", pids=99)
OWN = Ownership("a", "0")


def test_a_builder_has_what_an_ordinary_user_needs_and_no_more() -> None:
    """Nothing that buildx asks for is looked at: no privileges, mounts, networks or words."""
    order = order_builder("buildx_buildkit_default", grant=GRANT, ownership=OWN)
    body = dict(order.body)
    host = body["HostConfig"]
    assert isinstance(host, dict)
    seccomp, apparmor = host["SecurityOpt"]
    rules = json.loads(str(seccomp).removeprefix("seccomp="))
    assert {"bpf", "io_uring_setup", "userfaultfd"} <= set(rules["syscalls"][0]["names"])
    assert not {"clone", "unshare", "mount"} & set(rules["syscalls"][0]["names"])
    assert apparmor == "apparmor=unconfined"
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["SETUID", "SETGID"])
    assert not {"Privileged", "Devices", "Binds"} & host.keys()
    assert (host["Mounts"], host["PidsLimit"]) == ([], 99)
    assert body["Cmd"] == ["--oci-worker-no-process-sandbox"]
    assert "Entrypoint" not in body
    assert "User" not in body


def test_a_builder_runs_as_its_image_says() -> None:
    """Also what is executed there: its label says so, and no client names another user."""
    order = order_builder("buildx_buildkit_default", grant=GRANT, ownership=OWN).run_as("1000:1000")
    labels = order.body["Labels"]
    assert isinstance(labels, dict)
    assert (order.body["User"], labels["airlock.user"]) == ("1000:1000", "1000:1000")
    assert read_exec(b'{"Cmd":["id"],"User":"0"}', user=order.user)["User"] == "1000:1000"


@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [(tarfile.DIRTYPE, False), (tarfile.REGTYPE, True), (tarfile.SYMTYPE, True), (None, False)],
)
def test_a_builder_gets_no_configuration(kind: bytes | None, is_refused: bool) -> None:
    """What buildx copies without one, a directory with the mode that it likes, is left out too."""
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("buildkit")
            entry.type, entry.mode = kind or tarfile.DIRTYPE, 0o777
            archive.addfile(entry)
        content = b"" if kind is None else packed.getvalue()
    configuration = NoConfiguration()
    assert configuration.feed(content) == b""
    if is_refused:
        with pytest.raises(Refused, match="a builder has no files but those of its image"):
            configuration.end()
    else:
        assert configuration.end() == bytes(1024)
    with pytest.raises(Refused):
        configuration.feed(bytes(1 << 16) + b"1")


def test_all_else_of_a_builder_is_as_of_any_container() -> None:
    """Labels, network and limits."""
    order = order_builder("buildx_buildkit_x", grant=GRANT, ownership=OWN)
    assert order.image == GRANT.builder
    labels = order.body["Labels"]
    assert isinstance(labels, dict)
    assert labels["airlock.agent"] == "a"


@pytest.mark.parametrize("grant", [DockerGrant(), replace(GRANT, builder="")])
def test_without_a_builder_each_way_to_one_is_refused(grant: DockerGrant) -> None:
    """The container that buildx makes, and before that its image."""
    assert is_builder("buildx_buildkit_x")
    with pytest.raises(Refused, match="no image is built by the engine's own builder") as error:
        order_builder("buildx_buildkit_x", grant=grant, ownership=OWN)
    assert error.value.rule == "no-builder"
    with pytest.raises(Refused, match="no image is built by the engine's own builder"):
        find_builder(read_image_name("moby/buildkit:buildx-stable-1"), grant)


def test_the_image_of_buildx_is_the_granted_one() -> None:
    """Of whichever tag it wants; another image is what it is."""
    named = read_image_name("moby/buildkit:buildx-stable-1-rootless")
    assert str(find_builder(named, GRANT)) == GRANT.builder
    for other in ("moby/buildkit:latest", "ghcr.io/moby/buildkit:buildx-stable-1", "alpine"):
        assert find_builder(read_image_name(other), GRANT) == read_image_name(other)
    assert GRANT.may_use(read_image_name("moby/buildkit:rootless"))
    assert not GRANT.may_use(read_image_name("moby/buildkit:latest"))
