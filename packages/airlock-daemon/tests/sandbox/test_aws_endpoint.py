"""A box whose keys of AWS come from an address: they are in none of its files and variables."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.sandbox.aws_profile import Keys, find_own_keys, has_profile, without_keys
from airlock_daemon.sandbox.box import Secret
from airlock_daemon.sandbox.credentials import Held
from airlock_daemon.sandbox.hiding import locate
from boxing import PYTHON, mapped_world, needs_bubblewrap
from holding import SECRET, hold, home_of_tools, run, serve
from worlds import World

CONFIG, KEYS = locate("${AWS_CONFIG_FILE}"), locate("${AWS_SHARED_CREDENTIALS_FILE}")

AWS = """aws_endpoint = true
aws_export = ["EXPORT", "configure", "export-credentials"]
env.AWS_PROFILE = "AWS_PROFILE?"
env.AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID?"
env.AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY?"
files."${AWS_CONFIG_FILE}" = "~/config?"
files."${AWS_SHARED_CREDENTIALS_FILE}" = "~/keys?"
"""
NETWORK = 'network = ["registry.example.com:443"]\n'
STATIC = f"[default]\naws_access_key_id = AKIA\naws_secret_access_key = {SECRET}\n"

EXPORTS = """#!/bin/sh
[ "$*" = "configure export-credentials --profile login" ] && cat "$HOME/exported"
"""

# As the SDKs ask, and as nothing may.
ASK = """
import base64, os, urllib.error, urllib.request
address = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
word = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]

def ask(headers, **more):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, None, headers, **more)) as said:
            return said.read().decode()
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"

pair = base64.b64encode(f"{word}:{word}".encode()).decode()
print(ask({"Authorization": word}))
for other in ("", word[:-1], "Bearer " + word, "Basic " + word, "Basic " + pair):
    print(ask({"Authorization": other}))
print(ask({}))
print(ask({"X-Amz-Token": word}))
print(ask({"Authorization": word}, method="POST"))
"""
LOOK = (
    'env; cat "$AWS_CONFIG_FILE"; '
    "find / -xdev -type f -newermt 2000-01-01 -path '*credentials*' -exec cat {} + 2>/dev/null"
)


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of the daemon's user."""
    with home_of_tools() as home:
        yield home


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon with boxes, and `/workspace` mapped."""
    with mapped_world() as world:
        yield world


@needs_bubblewrap
@pytest.mark.parametrize("kept_in", ["files", "variables"])
def test_keys_go_to_whom_asks_as_the_sdks_do(world: World, home: Path, kept_in: str) -> None:
    """To nobody who has the word sent otherwise; and each that asked is recorded."""
    variables = {}
    if kept_in == "files":
        (home / "keys").write_text(STATIC)
        (home / "config").write_text("[default]\nregion = eu-west-1\nrole_session_name = x\n")
    else:
        variables = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}
    hold(world, AWS, NETWORK)
    (world.workspace / "ask.py").write_text(ASK)
    with serve(world, home, **variables) as daemon:
        first, *others = run(daemon, f"{PYTHON} ask.py").splitlines()
        seen = run(daemon, LOOK)
        daemon.stop()
        records = daemon.records("broker")
    assert json.loads(first) == {"AccessKeyId": "AKIA", "SecretAccessKey": SECRET}
    assert len(others) == 8
    assert all(each.startswith("403 ") and "airlock: " in each for each in others)
    assert SECRET not in seen
    assert "AKIA" not in seen
    assert ("region = eu-west-1" in seen) == (kept_in == "files")
    assert [each["outcome"] for each in records] == ["allowed", *["denied"] * 8]
    assert {each["detail"]["service"] for each in records} == {"aws-keys"}
    assert SECRET not in json.dumps(records)


@needs_bubblewrap
def test_keys_of_a_login_are_exported_to_the_address(world: World, home: Path) -> None:
    """And where nothing is known of a profile, or nothing is exported, there is no address."""
    hold(world, AWS.replace("EXPORT", str(home / "export")), NETWORK)
    (home / "config").write_text("[profile login]\nsso_session = corp\nregion = eu-west-1\n")
    (home / "export").write_text(EXPORTS)
    (home / "export").chmod(0o755)
    keys = {"AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": SECRET}
    (home / "exported").write_text(json.dumps(keys))
    (world.workspace / "ask.py").write_text(ASK)
    with serve(world, home, AWS_PROFILE="login") as daemon:
        first = run(daemon, f"{PYTHON} ask.py").splitlines()[0]
        seen = run(daemon, LOOK)
        (home / "exported").write_text("Error: log in once more")
        without = run(daemon, LOOK)
    assert json.loads(first) == {
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "secret",
        "Token": SECRET,
    }
    assert "AWS_PROFILE=login" in seen
    assert "[profile login]\nregion = eu-west-1\n" in seen
    assert "sso_session" not in seen
    assert "AWS_CONTAINER" not in without
    with serve(world, home) as daemon:
        assert "AWS_CONTAINER" not in run(daemon, LOOK)
    (home / "exported").write_text(json.dumps(keys))
    with serve(world, home, AWS_PROFILE="other") as daemon:
        assert "AWS_CONTAINER" not in run(daemon, LOOK)


@needs_bubblewrap
def test_keys_of_a_web_identity_are_exported_for_no_profile(world: World, home: Path) -> None:
    """It goes before the keys of files, as it does for the SDKs, and after those of variables."""
    hold(world, AWS.replace("EXPORT", str(home / "export")), NETWORK)
    (home / "keys").write_text(STATIC)
    (home / "export").write_text(EXPORTS.replace(" --profile login", ""))
    (home / "export").chmod(0o755)
    (home / "exported").write_text('{"AccessKeyId": "ASIA", "SecretAccessKey": "secret"}')
    (world.workspace / "ask.py").write_text(ASK)
    token = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token")}
    with serve(world, home, **token) as daemon:
        first = run(daemon, f"{PYTHON} ask.py").splitlines()[0]
    assert json.loads(first)["AccessKeyId"] == "ASIA"
    with serve(world, home, AWS_ACCESS_KEY_ID="AKIB", **token) as daemon:
        first = run(daemon, f"{PYTHON} ask.py").splitlines()[0]
    assert json.loads(first)["AccessKeyId"] == "AKIB"


def test_keys_of_the_chosen_profile_are_found() -> None:
    """Variables go first; a profile with a role has no keys of its own, whatever stands beside."""
    config = "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
    held = Held(
        {
            CONFIG: Secret(config.encode(), CONFIG),
            KEYS: Secret(f"{STATIC}[role]\naws_access_key_id = X\n".encode(), KEYS),
        },
        {},
    )
    assert find_own_keys(held, {}) == Keys("AKIA", SECRET)
    assert find_own_keys(held, {"AWS_PROFILE": "role"}) is None
    assert find_own_keys(held, {"AWS_PROFILE": "absent"}) is None
    variables = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_PROFILE": "role"}
    assert find_own_keys(held, variables) == Keys("A", "B")
    assert has_profile(held, "role")
    assert not has_profile(held, "absent")
    kept = without_keys(held, "role")
    assert set(kept.files) == {CONFIG}
    found = kept.files[CONFIG]
    assert isinstance(found, Secret)
    assert found.content == b"[profile role]\n\n"
