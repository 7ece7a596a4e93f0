"""What a profile of AWS has that a box cannot get by itself, exported outside of it.

A profile may name a program, a login of IAM Identity Center, or a machine's own address (the AWS
SDKs' reference, "Standardized credential providers"). Nothing of that works in a box; the human's
own client exports the keys that it would use, mostly short-lived ones, and these stand in the box
in its place.
"""

import configparser
import io
import re
import shlex
from collections.abc import Mapping, Sequence

import msgspec

from airlock_daemon.sandbox.box import Secret
from airlock_daemon.sandbox.credentials import Held
from airlock_daemon.sandbox.hiding import locate

_CONFIG = locate("${AWS_CONFIG_FILE}")
_KEYS = locate("${AWS_SHARED_CREDENTIALS_FILE}")
_DEFAULT = "default"
_OPTION = "--profile"

_STATIC = "aws_access_key_id"
# Of a profile that assumes a role: what gets the keys for that where no other profile has them.
_BEYOND_ROLE = ("credential_source", "web_identity_token_file")
_LOGIN = ("sso_session", "sso_start_url")
_BY_PROGRAM = ("credential_process", "login_session")
_REPLACED = (
    *(_STATIC, "aws_secret_access_key", "aws_session_token", "role_arn", "source_profile"),
    *("external_id", "mfa_serial", "role_session_name", "duration_seconds"),
    *(*_BEYOND_ROLE, *_LOGIN, "sso_account_id", "sso_role_name", "sso_region"),
    *("sso_registration_scopes", *_BY_PROGRAM),
)
# Of a profile, what is no secret, names no file and leads nowhere.
_SETTINGS = (
    *("region", "output", "retry_mode", "max_attempts", "defaults_mode", "sts_regional_endpoints"),
    *("use_fips_endpoint", "use_dualstack_endpoint", "s3_us_east_1_regional_endpoint"),
)
KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""By which a tool is told keys themselves."""

# As an INI file takes it back.
_PLAIN = re.compile(r"[!-~]+")


class Keys(msgspec.Struct, frozen=True, rename="pascal"):
    """What a client exports in the format "process"."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def find_profile(held: Held, variables: Mapping[str, str], argv: Sequence[str]) -> str | None:
    """The profile whose keys the box needs and cannot get, None where there is none.

    It is the one that the human has chosen by `variables` of the tool. The client may name another
    one in `argv`, of which nothing is exported.
    """
    if has_keys(variables):
        return None
    chosen = choose_profile(variables)
    named = [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == _OPTION]
    named += [word.partition("=")[2] for word in argv if word.startswith(f"{_OPTION}=")]
    if any(name != chosen for name in named):
        return None
    config, keys = _parse(held, _CONFIG), _parse(held, _KEYS)
    if config is None or keys is None:
        return None
    return chosen if _needs_help(chosen, config, keys) else None


def put_keys(held: Held, profile: str, printed: bytes) -> Held:
    """What is held, with the exported keys for the profile in the place of what it says itself.

    Raises ValueError where no keys were printed.
    """
    keys = read_keys(printed)
    values = {_STATIC: keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}
    values |= {"aws_session_token": keys.session_token} if keys.session_token else {}
    config, known = _parse(held, _CONFIG), _parse(held, _KEYS)
    if config is None or known is None or not all(map(_PLAIN.fullmatch, values.values())):
        raise ValueError("no keys")
    own = _find_section(config, profile)
    if own is not None:
        for name in _REPLACED:
            config.remove_option(own, name)
    known[profile] = values
    written = {_CONFIG: _write(config, _CONFIG), _KEYS: _write(known, _KEYS)}
    return Held({**held.files, **written}, held.variables)


def find_own_keys(held: Held, variables: Mapping[str, str]) -> Keys | None:
    """The keys that stand in `variables`, or in the files for the profile that they choose."""
    if has_keys(variables):
        return Keys(*(variables.get(name, "") for name in KEY_VARIABLES))
    has = _read_profile(held, choose_profile(variables))
    if "role_arn" in has or not has.get(_STATIC):
        return None
    names = (_STATIC, "aws_secret_access_key", "aws_session_token")
    return Keys(*(has.get(name, "") for name in names))


def has_keys(variables: Mapping[str, str]) -> bool:
    """Whether keys stand in `variables`, before which a client takes no others."""
    return bool(variables.get("AWS_ACCESS_KEY_ID"))


def choose_profile(variables: Mapping[str, str]) -> str:
    """The profile that the human has chosen by `variables` of the tool."""
    return variables.get("AWS_PROFILE") or _DEFAULT


def has_profile(held: Held, profile: str) -> bool:
    """Whether the files say anything of it."""
    return bool(_read_profile(held, profile))


def read_keys(printed: bytes) -> Keys:
    """The keys that a client printed. Raises ValueError where there are none."""
    try:
        return msgspec.json.decode(printed, type=Keys)
    except msgspec.MsgspecError as error:
        raise ValueError("no keys") from error


def without_keys(held: Held, profile: str) -> Held:
    """What is held, with no keys: of the files the profile's settings that are none alone."""
    has = _read_profile(held, profile)
    parser = configparser.RawConfigParser(default_section="\0")
    section = _DEFAULT if profile == _DEFAULT else f"profile {profile}"
    parser[section] = {name: has[name] for name in _SETTINGS if name in has}
    kept = {target: each for target, each in held.files.items() if target not in (_CONFIG, _KEYS)}
    variables = {name: each for name, each in held.variables.items() if name not in KEY_VARIABLES}
    return Held({**kept, _CONFIG: _write(parser, _CONFIG)}, variables)


def _read_profile(held: Held, profile: str) -> dict[str, str]:
    config, keys = _parse(held, _CONFIG), _parse(held, _KEYS)
    has = dict[str, str]()
    if config is not None and (section := _find_section(config, profile)) is not None:
        has |= config[section]
    if keys is not None and keys.has_section(profile):
        has |= keys[profile]
    return has


def _needs_help(
    profile: str, config: configparser.RawConfigParser, keys: configparser.RawConfigParser
) -> bool:
    seen = set()
    while profile not in seen:
        seen.add(profile)
        section = _find_section(config, profile)
        has = dict(config[section]) if section is not None else {}
        has |= dict(keys[profile]) if keys.has_section(profile) else {}
        if "role_arn" in has and has.get("source_profile") != profile:
            if any(name in has for name in _BEYOND_ROLE):
                return True
            profile = has.get("source_profile", profile)
            continue
        if any(name in has for name in _LOGIN):
            return True
        return _STATIC not in has and any(name in has for name in _BY_PROGRAM)
    return False


def _find_section(config: configparser.RawConfigParser, profile: str) -> str | None:
    """The section of the configuration that is a profile's: `[profile NAME]`, or `[default]`."""
    for section in config.sections():
        try:
            words = shlex.split(section)
        except ValueError:
            continue
        if words == ["profile", profile] or (profile == _DEFAULT and words == [profile]):
            return section
    return None


def _parse(held: Held, target: str) -> configparser.RawConfigParser | None:
    """One of the files, empty where there is none; None where it is not understood."""
    # No section is for all others.
    parser = configparser.RawConfigParser(default_section="\0")
    found = held.files.get(target)
    if isinstance(found, Secret):
        try:
            parser.read_string(found.content.decode())
        except (configparser.Error, UnicodeDecodeError):
            return None
    return parser


def _write(parser: configparser.RawConfigParser, target: str) -> Secret:
    text = io.StringIO()
    parser.write(text)
    return Secret(text.getvalue().encode(), target)
