"""aws from a container: the host's identity, files and streams, and nothing that hands out keys."""

import configparser
import json

import pytest
from e2e.world.aws_server import BUCKET
from e2e.world.scene import Stage

from .errands.cloud import Cloud


def test_a_container_is_who_the_host_is(stage: Stage, cloud: Cloud) -> None:
    """The cloud takes a request from the container for one of the person at the host."""
    scene = stage.workshop
    who = ("sts", "get-caller-identity", "--output", "json")
    with scene.setup(scene.images.busybox).running() as client:
        said = client.run("aws", *who).succeeded().stdout
    assert json.loads(said) == json.loads(cloud.aws(*who).succeeded().stdout)


def test_objects_stream_through_standard_input_and_output(user_stage: Stage, cloud: Cloud) -> None:
    """Bytes of every kind go up and come down again unchanged."""
    scene = user_stage.workshop
    data = bytes(range(256)) * 1000
    place = f"s3://{BUCKET}/stream"
    with scene.setup(scene.images.busybox).running() as client:
        client.run("aws", "s3", "cp", "-", place, stdin=data).succeeded()
        assert client.run("aws", "s3", "cp", place, "-").succeeded().out == data
    assert cloud.read("stream") == data


def test_a_file_that_would_be_lost_is_not_fetched(user_stage: Stage, cloud: Cloud) -> None:
    """In a directory that is not mapped `aws s3 cp` fails, and does not end with 0."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        client.run("aws", "s3", "cp", "-", f"s3://{BUCKET}/one", stdin=b"one").succeeded()
        fetch = ("aws", "s3", "cp", f"s3://{BUCKET}/one", "./one")
        lost = client.run(*fetch, cwd="/etc")
        assert lost.exit_code != 0
        assert "Read-only file system" in lost.stderr
        client.run(*fetch).succeeded()
    assert (scene.project.path / "one").read_bytes() == b"one"


def test_links_of_the_workspace_lead_to_no_credential(user_stage: Stage, cloud: Cloud) -> None:
    """What the client holds is at no path that a link could have, nor in /proc."""
    scene = user_stage.workshop
    folder = user_stage.account.make_directory(scene.project.path / "links")
    places = ("/run", "/home", "/proc", "/proc/self/environ", "/proc/1/environ", "/tmp", "/dev/fd")
    for number, place in enumerate(places):
        (folder / str(number)).symlink_to(place)
    user_stage.account.write(folder / "file", "of the workspace\n")
    with scene.setup(scene.images.busybox).running() as client:
        client.run("aws", "s3", "sync", "links", f"s3://{BUCKET}/links")
    assert cloud.read("links/file") == b"of the workspace\n"
    listed = cloud.aws("s3", "ls", "--recursive", f"s3://{BUCKET}/links/").succeeded().stdout
    names = [line.split(maxsplit=3)[3] for line in listed.splitlines()]
    assert [name for name in names if cloud.secret().encode() in (cloud.read(name) or b"")] == []


def test_a_profile_whose_keys_a_program_prints_works(user_stage: Stage, cloud: Cloud) -> None:
    """The person's own client runs it on the host; in the box are its keys, and no program."""
    folder = user_stage.account.home / ".aws"
    before = {name: (folder / name).read_text() for name in ("config", "credentials")}
    keys = configparser.ConfigParser()
    keys.read_string(before["credentials"])
    own = keys["default"]
    printed = {
        "Version": 1,
        "AccessKeyId": own["aws_access_key_id"],
        "SecretAccessKey": own["aws_secret_access_key"],
    }
    program = f"credential_process = cat {folder}/printed\n"
    changed = before["config"].replace("[default]\n", f"[default]\n{program}")
    assert program in changed
    scene = user_stage.workshop
    try:
        user_stage.account.write(folder / "printed", json.dumps(printed), mode=0o600)
        user_stage.account.write(folder / "credentials", "", mode=0o600)
        user_stage.account.write(folder / "config", changed)
        with scene.setup(scene.images.busybox).running() as client:
            said = client.run("aws", "sts", "get-caller-identity", "--output", "json")
    finally:
        for name, text in before.items():
            user_stage.account.write(folder / name, text, mode=0o600)
    expected = cloud.aws("sts", "get-caller-identity", "--output", "json").succeeded().stdout
    assert json.loads(said.succeeded().stdout) == json.loads(expected)


@pytest.mark.parametrize(
    "words",
    [
        ("configure", "export-credentials"),
        ("configure", "get", "aws_secret_access_key"),
        ("sts", "get-session-token"),
        ("iam", "create-access-key"),
        ("s3", "presign", f"s3://{BUCKET}/stream"),
        ("s3", "ls", "--endpoint-url", "http://127.0.0.1:1"),
        ("s3", "ls", "--debug"),
    ],
    ids=lambda words: "-".join(word for word in words[:2]),
)
def test_what_would_hand_out_a_key_is_refused(
    user_stage: Stage, cloud: Cloud, words: tuple[str, ...]
) -> None:
    """The shim says so with its own status, and the cloud is not asked."""
    scene = user_stage.workshop
    refused = scene.setup(scene.images.busybox).run("aws", *words)
    assert refused.exit_code == 126
    assert refused.stderr.startswith("airlock: ")
