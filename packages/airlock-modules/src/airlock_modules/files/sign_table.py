"""Reading `[sign]` of a profile: what is signed for an agent, and by which key."""

import re

from airlock_modules.files.sandbox_table import is_plain
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.remotes.signing import EmailPattern, SignGrant, is_email_pattern
from airlock_wire.text import quote

# Of OpenPGP, versions 4 to 6; shorter ids are not unique.
_FINGERPRINT = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})")


def read_sign_grant(table: TableReader) -> SignGrant:
    """Read `[sign]`; `table` records faults. `git = false` signs nothing."""
    is_on = table.boolean("git", default=True)
    key = table.string("key", default=None)
    if key is not None and not is_plain(key) and not _FINGERPRINT.fullmatch(key):
        problem = f"{quote(key, limit=80)} is no absolute path, and no fingerprint"
        remedy = 'write it like "~/.ssh/agents.pub", or as gpg --list-keys prints that of a key'
        table.fault("key", problem, remedy)
    return SignGrant(
        commits=table.boolean("commits", default=True) and is_on,
        tags=table.boolean("tags", default=True) and is_on,
        emails=_read_patterns(table, "emails") if table.has("emails") else None,
        authors=_read_patterns(table, "authors") if table.has("authors") else (),
        key=key,
    )


def _read_patterns(table: TableReader, key: str) -> tuple[EmailPattern, ...]:
    found = []
    for text in table.strings(key):
        if is_email_pattern(text):
            found.append(EmailPattern.of(text))
        else:
            problem = f"{quote(text, limit=80)} is no pattern of an address"
            table.fault(key, problem, 'write it like "agent@acme.com" or "*@acme.com"')
    return tuple(found)
