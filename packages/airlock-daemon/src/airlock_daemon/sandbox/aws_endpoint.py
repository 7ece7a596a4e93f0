"""Keys of AWS that a box has in no file and no variable: an address of its own gives them.

For a tool that evaluates what an agent wrote. Such a tool shows paths and variables in its
messages, and reads whatever file it is told of, while it runs: no path is a secret for long.
"""

from collections.abc import Mapping
from secrets import token_hex

import msgspec

from airlock_daemon.brokers.aws.giving import Given
from airlock_daemon.sandbox.aws_profile import KEY_VARIABLES, Keys
from airlock_daemon.sandbox.doors import Doors

_BYTES = 32

WEB_IDENTITY = "AWS_WEB_IDENTITY_TOKEN_FILE"
"""The daemon's own variable for a login whose keys go before those of files."""


def give_keys(keys: Keys) -> Given:
    """What the address answers, to whom has a word that nobody can guess."""
    named = {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key}
    named |= {"Token": keys.session_token} if keys.session_token else {}
    return Given(token_hex(_BYTES), msgspec.json.encode(named))


def tell_address(
    variables: Mapping[str, str], given: Given | None, doors: Doors | None
) -> dict[str, str]:
    """The tool's `variables` without any key, and with the address where it gets them."""
    kept = {name: value for name, value in variables.items() if name not in KEY_VARIABLES}
    if given is None or doors is None or doors.keys is None:
        return kept
    address = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{doors.keys}/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": given.word,
    }
    return kept | address
