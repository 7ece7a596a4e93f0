"""`[sign]` of a profile."""

import pytest

from airlock_modules.files.sign_table import read_sign_grant
from airlock_modules.files.toml_reader import Fault, TableReader
from airlock_modules.remotes.signing import SignGrant


def read(text: str) -> tuple[SignGrant, list[Fault]]:
    """The grant, and the faults of its table."""
    faults: list[Fault] = []
    table = TableReader.parse(text, source="airlock.toml", faults=faults)
    assert table is not None
    grant = read_sign_grant(table)
    table.finish()
    return grant, faults


def test_a_whole_table() -> None:
    """Everything that it can say."""
    text = 'git = true\nemails = ["*@Acme.com"]\nkey = "~/.ssh/agents.pub"\ntags = false\n'
    text += 'authors = ["*@*"]\n'
    grant, faults = read(text)
    assert faults == []
    assert (grant.commits, grant.tags, grant.key) == (True, False, "~/.ssh/agents.pub")
    assert grant.emails is not None
    assert [each.text for each in grant.emails] == ["*@Acme.com"]
    assert grant.emails[0].expression.fullmatch("a@acme.com")
    assert [each.text for each in grant.authors] == ["*@*"]


def test_an_empty_table_signs_for_the_human_alone() -> None:
    """Nobody's addresses but the human's own, and the human's own key."""
    assert read("") == (SignGrant(), [])


def test_a_fingerprint_is_a_key_of_openpgp() -> None:
    """And a path one of ssh; a short id could be another key's."""
    grant, faults = read(f'key = "{"0123ABCD" * 5}"')
    assert (faults, grant.is_openpgp) == ([], True)
    assert not read('key = "/a"')[0].is_openpgp
    assert read('key = "0123ABCD"')[1]


def test_git_can_be_switched_off_as_a_whole() -> None:
    """`git = false` leaves neither commits nor tags."""
    grant, faults = read("git = false\ncommits = true")
    assert (grant.commits, grant.tags, faults) == (False, False, [])


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('emails = ["*acme.com"]', "emails", "is no pattern of an address"),
        ('emails = ["*"]', "emails", "is no pattern of an address"),
        ('emails = ["a@b@c"]', "emails", "is no pattern of an address"),
        ('emails = ["[ab]@c"]', "emails", "is no pattern of an address"),
        ('authors = ["*"]', "authors", "is no pattern of an address"),
        ('key = "id_ed25519.pub"', "key", "is no absolute path"),
        ('key = "/etc/../key"', "key", "is no absolute path"),
        ('gpg = "x"', "gpg", "unknown"),
    ],
)
def test_what_cannot_be_meant_is_a_fault(text: str, key: str, words: str) -> None:
    """Each names the key and a remedy."""
    _, faults = read(text)
    assert [fault.key for fault in faults] == [key]
    assert words in str(faults[0])
