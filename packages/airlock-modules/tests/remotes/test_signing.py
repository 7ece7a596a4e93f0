"""What git has signed, read as git writes it or not at all, and judged by its addresses."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.signing import (
    MAX_BYTES,
    EmailPattern,
    SignGrant,
    Unsigned,
    is_email_pattern,
    judge_signing,
    read_unsigned,
)
from repositories import needs_git, run_git

ID = "1" * 40
PERSON = "A U Thor <a@acme.com> 1700000000 +0000"
COMMIT = f"tree {ID}\nauthor {PERSON}\ncommitter {PERSON}\n\nsubject\n\nbody\n"
TAG = f"object {ID}\ntype commit\ntag v1.2\ntagger {PERSON}\n\nmessage\n"

# Copies the buffer, and answers what git takes for a signature.
SIGNER = """#!/bin/sh
for last; do :; done
cp "$last" "$HOME/buffer"
echo '-----BEGIN SSH SIGNATURE-----' > "$last.sig"
"""


def refusal(data: bytes | str) -> tuple[str, str]:
    """The rule and the words by which a buffer is refused."""
    with pytest.raises(RemoteError) as caught:
        read_unsigned(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
    return caught.value.rule, caught.value.problem


def test_a_subject_is_the_one_that_git_shows() -> None:
    """It leaves out blank lines before it, which could hide it from a person and from patterns."""
    begin = COMMIT.partition("\n\n")[0]
    for blank in ("", "\n", " \t\n\r\n\n", "\n" * 100_000):
        assert read_unsigned(f"{begin}\n\n{blank}subject\nmore\n".encode()).title == "subject"
    assert read_unsigned(f"{begin}\n\n  ".encode()).title == "  "
    assert read_unsigned(f"{begin}\n\n".encode()).title == ""


class Signing:
    """A repository whose git hands what it signs to the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        program = directory / "signer"
        program.write_text(SIGNER)
        program.chmod(0o755)
        self.git("init", "-q", "-b", "main")
        for name, value in {
            "gpg.format": "ssh",
            "gpg.ssh.program": str(program),
            "user.signingkey": "key",
        }.items():
            self.git("config", name, value)

    def git(self, *args: str) -> str:
        """Run git; returns its stdout."""
        emails = {
            f"GIT_{each}_EMAIL": f"{each.lower()}@acme.com" for each in ("AUTHOR", "COMMITTER")
        }
        done = run_git(self._directory, *args, more=emails)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def signed(self, *args: str) -> Unsigned:
        """What git has signed while it runs."""
        self.git(*args)
        return read_unsigned(self.buffer)

    @property
    def buffer(self) -> bytes:
        """The last buffer."""
        return (self._directory / "buffer").read_bytes()


@needs_git
def test_what_git_itself_has_signed_is_read(tmp_path: Path) -> None:
    """First commits, empty messages, other encodings, merges of signed tags, and tags."""
    signing = Signing(tmp_path)
    first = signing.signed("commit", "-q", "--allow-empty", "-S", "-m", "Füge etwas hinzu\n\nx")
    assert (first.kind, first.title) == ("commit", "Füge etwas hinzu")
    assert first.emails == ("author@acme.com", "committer@acme.com")
    assert first.id == signing.git("hash-object", "-t", "commit", "buffer")
    tag = signing.signed("tag", "-s", "-m", "release", "v1")
    assert (tag.kind, tag.title, tag.emails) == ("tag", "v1", ("committer@acme.com",))
    assert tag.id == signing.git("rev-parse", "HEAD")
    assert tag.operation.line == f"sign git tag {tag.id[:7]} v1"
    signing.git("checkout", "-q", "--orphan", "other")
    empty = ("--allow-empty", "--allow-empty-message")
    nothing = signing.signed("commit", "-q", *empty, "-S", "-m", "")
    assert nothing.title == ""
    latin = ("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "--allow-empty", "-S")
    assert signing.signed(*latin, "-m", "x").title == "x"
    merge = ("merge", "-q", "-S", "--no-edit", "--allow-unrelated-histories", "v1")
    assert signing.signed(*merge).title.startswith("Merge tag 'v1'")
    assert b"\nmergetag object " in signing.buffer


def test_an_operation_shows_what_is_signed() -> None:
    """It names the kind, the id of the unsigned commit, and its subject, on one line."""
    asked = read_unsigned(COMMIT.replace("subject", "Fix it\x1b[2J").encode())
    assert asked.operation.line == f'sign git commit {asked.id[:7]} "Fix it\\u{{1b}}[2J"'
    other = read_unsigned(COMMIT.replace("body", "else").encode())
    assert other.digest != asked.digest


def test_objects_of_sha256_repositories_are_read() -> None:
    """Their ids have 64 digits, and so has that of the commit."""
    asked = read_unsigned(COMMIT.replace(ID, "2" * 64).encode())
    assert len(asked.id) == 64


COMMIT_HEADERS = (
    *(f"tree {ID}", f"parent {ID}", f"author {PERSON}", f"committer {PERSON}"),
    *("encoding utf-8", f"mergetag object {ID}\n type commit"),
)
TAG_HEADERS = (f"object {ID}", "type commit", "tag v1.2", f"tagger {PERSON}")


@pytest.mark.parametrize(
    ("headers", "optional"),
    [(COMMIT_HEADERS, {"parent", "encoding", "mergetag"}), (TAG_HEADERS, set())],
)
def test_headers_are_read_in_the_order_of_git_alone(
    headers: tuple[str, ...], optional: set[str]
) -> None:
    """Each once, but parents and merged tags; git finds others where it looks for them first."""

    def is_read(chosen: Iterable[str]) -> bool:
        try:
            read_unsigned("\n".join((*chosen, "", "text")).encode())
        except RemoteError:
            return False
        return True

    for order in itertools.permutations(headers):
        assert is_read(order) == (order == headers), order
    for number, header in enumerate(headers):
        name = header.partition(" ")[0]
        assert is_read(headers[:number] + headers[number + 1 :]) == (name in optional)
        is_many = name in ("parent", "mergetag")
        assert is_read((*headers[:number], header, *headers[number:])) == is_many


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("certificate version 0.1\npusher k 1 +0000\n\n", "push-certificate"),
        ("", "object"),
        ("\n\n", "headers"),
        ("any text", "object"),
        ("blob x\n\n", "object"),
        (COMMIT.replace("\n\n", "\n", 2), "object"),
        (COMMIT + "\0", "object"),
        ("x" * (MAX_BYTES + 1), "size"),
        (f" {COMMIT}", "headers"),
        (f"\n{COMMIT}", "headers"),
        (COMMIT.replace("author", "Author"), "headers"),
        (COMMIT.replace("\ncommitter", "\ngpgsig x\ncommitter"), "headers"),
        (COMMIT.replace("\n\n", "\ngpgsig -----BEGIN SSH SIGNATURE-----\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", "\ngpgsig-sha256 x\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", "\nHG:extra x\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", f"\nauthor {PERSON}\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", "\nencoding utf-7\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", "\nencoding utf-8\n continued\n\n", 1), "headers"),
        (COMMIT.replace("\n\n", "\nmergetag x\n\n", 1), "headers"),
        (COMMIT.replace(ID, ID[1:]), "headers"),
        (COMMIT.replace(ID, "A" * 40), "headers"),
        (COMMIT.replace(f"tree {ID}\n", f"tree {ID}\nparent {'1' * 64}\n"), "headers"),
        (COMMIT.replace(f"tree {ID}\n", f"parent {ID}\ntree {ID}\n"), "object"),
        (TAG.replace("type commit\n", ""), "headers"),
        (TAG.replace("type commit", "type note"), "headers"),
        (TAG.replace("v1.2", "v 1"), "headers"),
        (TAG.replace("\n\n", f"\ntree {ID}\n\n", 1), "headers"),
        (TAG + "-----BEGIN SSH SIGNATURE-----\n", "object"),
        (TAG + "-----BEGIN PGP SIGNATURE-----\n", "object"),
    ],
)
def test_anything_but_an_unsigned_commit_or_tag_is_refused(data: str, rule: str) -> None:
    """Push certificates, signed objects, other headers, and what could be read in two ways."""
    found, problem = refusal(data)
    assert found == rule
    assert problem.isprintable()


@pytest.mark.parametrize(
    "person",
    [
        "A <a@acme.com> <b@evil.com> 1 +0000",
        "A <a@acme.com>, B <b@evil.com> 1 +0000",
        "A <a@acme.com",
        "A a@acme.com 1 +0000",
        "A <> 1 +0000",
        "A <a> 1 +0000",
        "A <a@b@acme.com> 1 +0000",
        "A <b@evil.com,a@acme.com> 1 +0000",
        "A <b@evil.com a@acme.com> 1 +0000",
        "A <a@acme.com\u200b> 1 +0000",
        "A <a@\u0430cme.com> 1 +0000",
        "A <a@acme.com>  1 +0000",
        "A <a@acme.com> 1 +0000 <b@evil.com>",
        "A <a@acme.com> 1",
        "A\t<a@acme.com> 1 +0000",
        "A\r <a@acme.com> 1 +0000",
    ],
)
def test_an_address_can_be_read_in_one_way_only(person: str) -> None:
    """No second address, no blank, nothing invisible and no letter that looks like another."""
    for name in ("author", "committer"):
        rule, _ = refusal(COMMIT.replace(f"{name} {PERSON}", f"{name} {person}"))
        assert rule == "emails"


def test_a_person_may_have_no_name() -> None:
    """git writes it so for a commit of `git fast-import`."""
    data = COMMIT.replace(f"author {PERSON}", "author <b@acme.com> 1 +0000")
    people = (("author", "b@acme.com"), ("committer", "a@acme.com"))
    assert read_unsigned(data.encode()).people == people


def grant(*patterns: str, commits: bool = True, tags: bool = True) -> SignGrant:
    """A grant for addresses."""
    assert all(map(is_email_pattern, patterns))
    emails = tuple(map(EmailPattern.of, patterns))
    return SignGrant(emails=emails, commits=commits, tags=tags)


def judged(grant: SignGrant, data: str, own: str | None = None) -> str:
    """The rule that refuses it, or "signed"."""
    try:
        judge_signing(grant, read_unsigned(data.encode()), own=own)
    except RemoteError as error:
        return error.rule
    return "signed"


@pytest.mark.parametrize(
    ("patterns", "answer"),
    [
        (("*@acme.com",), "signed"),
        (("A@ACME.COM",), "signed"),
        (("*@*",), "signed"),
        ((), "emails"),
        (("b@acme.com",), "emails"),
        (("*@acme.co",), "emails"),
        (("*@cme.com",), "emails"),
    ],
)
def test_every_address_must_be_granted(patterns: tuple[str, ...], answer: str) -> None:
    """Of author, committer and tagger, in any case of its letters."""
    assert judged(grant(*patterns), COMMIT) == answer
    assert judged(grant(*patterns), TAG) == answer


def test_an_author_who_is_not_granted_is_refused_as_a_committer_is() -> None:
    """A forge shows the author beside *verified*."""
    for name, answer in (("author", "authors"), ("committer", "emails")):
        data = COMMIT.replace(f"{name} A U Thor <a@acme.com>", f"{name} A U Thor <b@evil.com>")
        assert judged(grant("*@acme.com"), data) == answer


def test_authors_can_be_granted_beside_committers() -> None:
    """For a rebase of other people's commits; whoever commits or tags must be in `emails`."""
    emails, authors = (EmailPattern.of("a@acme.com"),), (EmailPattern.of("*@*"),)
    wide = SignGrant(emails=emails, authors=authors)
    for name, answer in (("author", "signed"), ("committer", "emails")):
        data = COMMIT.replace(f"{name} A U Thor <a@acme.com>", f"{name} A U Thor <b@evil.com>")
        assert judged(wide, data) == answer
        assert judged(SignGrant(authors=authors), data, own="a@acme.com") == answer
    assert judged(wide, TAG.replace("<a@acme.com>", "<b@evil.com>")) == "emails"


def test_without_patterns_the_human_s_own_address_is_granted() -> None:
    """And nothing where git on the host has none."""
    assert judged(SignGrant(), COMMIT, own="a@acme.com") == "signed"
    assert judged(SignGrant(), COMMIT, own="b@acme.com") == "emails"
    assert judged(SignGrant(), COMMIT) == "emails"


def test_commits_and_tags_are_granted_apart() -> None:
    """Each by its own key."""
    assert judged(grant("*@*", commits=False), COMMIT) == "commits"
    assert judged(grant("*@*", commits=False), TAG) == "signed"
    assert judged(grant("*@*", tags=False), TAG) == "tags"
