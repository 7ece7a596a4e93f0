"""Profiles of AWS that a box cannot use as they are, and what it has in their place."""

import configparser
import json

import pytest

from airlock_daemon.sandbox.aws_profile import find_profile, put_keys
from airlock_daemon.sandbox.box import Secret
from airlock_daemon.sandbox.credentials import Held
from airlock_daemon.sandbox.hiding import locate

CONFIG, KEYS = locate("${AWS_CONFIG_FILE}"), locate("${AWS_SHARED_CREDENTIALS_FILE}")

SETTINGS = """
[default]
region = eu-west-1
[profile process]
credential_process = /opt/print-keys --account 1
region = us-east-1
s3 =
  max_concurrent_requests = 4
[profile "my login"]
sso_session = corp
sso_account_id = 1
sso_role_name = dev
[sso-session corp]
sso_start_url = https://corp.example/start
[profile machine]
role_arn = arn:aws:iam::1:role/x
credential_source = Ec2InstanceMetadata
[profile behind]
role_arn = arn:aws:iam::1:role/y
source_profile = process
[profile plain]
role_arn = arn:aws:iam::1:role/y
source_profile = default
[profile both]
credential_process = /opt/print-keys
[profile circle]
role_arn = arn:aws:iam::1:role/y
source_profile = other
[profile other]
role_arn = arn:aws:iam::1:role/y
source_profile = circle
"""
STATIC = """[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = static
[both]
aws_access_key_id = AKIABOTH
aws_secret_access_key = static
"""
EXPORTED = json.dumps(
    {"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s/+=", "SessionToken": "t%(x)s=="}
).encode()


def hold(config: str | None = SETTINGS, keys: str | None = STATIC) -> Held:
    """What was fetched of these two files, None for one that is not there."""
    texts = {CONFIG: config, KEYS: keys}
    files = {at: Secret(text.encode(), at) for at, text in texts.items() if text is not None}
    return Held(files, {})


def find(profile: str, *argv: str, held: Held | None = None, **variables: str) -> str | None:
    """Whose keys are to be exported, for a tool that has these variables."""
    chosen = {"AWS_PROFILE": profile} if profile else {}
    return find_profile(held or hold(), {**chosen, **variables}, ("aws", *argv))


def read(held: Held, target: str) -> dict[str, dict[str, str]]:
    """One of the files, as AWS's client reads it."""
    parser = configparser.RawConfigParser(default_section="\0")
    found = held.files[target]
    assert isinstance(found, Secret)
    parser.read_string(found.content.decode())
    return {name: dict(parser[name]) for name in parser.sections()}


@pytest.mark.parametrize("profile", ["process", "my login", "machine", "behind"])
def test_what_needs_a_program_a_login_or_a_machine_is_exported(profile: str) -> None:
    """Also where it is another profile's that a role is assumed with."""
    assert find(profile) == profile


@pytest.mark.parametrize("profile", ["", "default", "plain", "both", "circle", "no such", "corp"])
def test_what_a_box_can_use_is_not(profile: str) -> None:
    """Keys that stand in a file, and roles that are assumed with them."""
    assert find(profile) is None


def test_the_humans_choice_alone_is_exported() -> None:
    """A client that names another profile has of that what the files have; keys come first."""
    assert find("process", "s3", "ls", "--profile", "process") == "process"
    assert find("process", "s3", "ls", "--profile=my login") is None
    assert find("", "--profile", "process") is None
    assert find("process", "--profile") == "process"
    assert find("process", AWS_ACCESS_KEY_ID="AKIA") is None


@pytest.mark.parametrize("config", [None, "", "no section\n", "[a]\nx=1\n[a]\nx=2\n", "[default"])
def test_files_that_are_not_understood_are_left_to_the_tool(config: str | None) -> None:
    """Which tells its client what is wrong."""
    assert find("process", held=hold(config)) is None


def test_exported_keys_stand_in_the_place_of_what_the_profile_says() -> None:
    """Its other settings stay, and all other profiles."""
    held = put_keys(hold(), "process", EXPORTED)
    config, keys = read(held, CONFIG), read(held, KEYS)
    assert config["profile process"] == {
        "region": "us-east-1",
        "s3": "\nmax_concurrent_requests = 4",
    }
    before = read(hold(), CONFIG)
    assert {name for name in before if config[name] != before[name]} == {"profile process"}
    assert keys["process"] == {
        "aws_access_key_id": "ASIA1",
        "aws_secret_access_key": "s/+=",
        "aws_session_token": "t%(x)s==",
    }
    assert keys["default"] == read(hold(), KEYS)["default"]
    assert find("process", held=held) is None


def test_a_human_without_a_file_of_keys_has_one_in_the_box() -> None:
    """As who logs in by IAM Identity Center: what is in there is what was exported, and no more."""
    held = put_keys(hold(keys=None), "my login", EXPORTED)
    assert list(read(held, KEYS)) == ["my login"]
    assert read(held, CONFIG)['profile "my login"'] == {}


@pytest.mark.parametrize(
    "printed",
    [
        *(b"", b"[]", b"{}", b'{"AccessKeyId": "A"}', b'{"AccessKeyId":1,"SecretAccessKey":"s"}'),
        b'{"AccessKeyId": "A", "SecretAccessKey": "s\\n[default]\\nregion=x"}',
        b'{"AccessKeyId": "", "SecretAccessKey": "s"}',
        b'{"AccessKeyId": "A B", "SecretAccessKey": "s"}',
    ],
)
def test_what_has_no_keys_in_it_is_told(printed: bytes) -> None:
    """Nothing of it gets into a file."""
    with pytest.raises(ValueError, match="no keys"):
        put_keys(hold(), "process", printed)
