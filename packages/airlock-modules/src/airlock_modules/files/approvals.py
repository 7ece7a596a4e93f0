"""`[approve]` of a profile: the operations that wait for a person's answer.

A pattern is written like the operation that it matches, word by word: `git push * refs/heads/x`.
It matches every operation that begins with its words. A word `*` matches any one word, or nothing
at the end, and `**` any number of words. Within a word `*` crosses no `/`, `**` does, `/x/**` is
also `/x`, and `x **` also `x`. The command of ssh is one word, and as many as it has blanks.

Such a pattern protects, so doubt goes against the request: letter case, forms of Unicode, and the
spellings of a path that some server may understand make no difference. A user or port in a pattern
is also that of a request that names none: it is left to ssh's configuration, or https has no user.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from airlock_modules.files.module_file import Module
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.operation import Operation, UnknownWord
from airlock_modules.remotes.grants import compile_protection, fold
from airlock_modules.rules.rule import PlainRules
from airlock_wire.text import quote

WAIT_S = 300.0
_MIN_WAIT_S, _MAX_WAIT_S = 30.0, 3600.0
_MAX_PATTERNS = 200
# How much of an operation is compared, in the daemon's only thread: words, and letters in all. What
# is behind may be anything.
_MAX_WORDS = 500
_MAX_LETTERS = 1 << 16
_EXAMPLE = 'write it like "git push * refs/heads/release/**" or "run terraform apply"'
# Connections to destinations without a credential: no request can be shown to a person.
_UNASKED = ("connect",)

# With places in their operations: [user@]host[:port][/path].
_WITH_PLACES = ("git", "ssh", "*", "**")
_PLACE = re.compile(
    r"(?P<user>[^@/]*@)?(?P<host>\[[^\]/]*\]|[^@:/]*)(?P<port>:[^:/]*)?(?P<path>/.*)?", re.DOTALL
)

# What stands before a path in ssh's short form, host:path, and a password in a URL.
_SHORT = re.compile(r"^((?:[^@/]*@)?(?:\[[^\]/]*\]|[^@:/\[]+)):(?![0-9*]*(?:/|$))/*")
_PASSWORD = re.compile(r"^([^@/:]*):[^@/]*@")

_PARTS = re.compile(r"/|\*\*|\.\.")
_IDS = re.compile(r"[0-9a-f.]*\*[0-9a-f.*]*")

_REST = re.compile(r"[/ ]\*\*$")

# Commands of git that are fetches to its remote.
_FETCHING = ("clone", "pull", "ls-remote")

# A word of an operation's line; stars are plain in a pattern.
_WORD = re.compile(
    r'(?P<plain>[A-Za-z0-9_@%+=:,./~^*-]+)|"(?P<quoted>(?:[^"\\]|\\(?:[nrt"\\]|x[0-9a-f]{2}'
    r"|u\{[0-9a-f]{1,5}\}|u\{10[0-9a-f]{4}\}))*)\"(?!\.)"
)
_ESCAPE = re.compile(r'\\(?:(?P<short>[nrt"\\])|x(?P<byte>[0-9a-f]{2})|u\{(?P<code>[0-9a-f]+)\})')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}

_Word = re.Pattern[str] | None


class MaybeValue(str):
    """A word of a tool's operation that may be a flag's value instead."""

    __slots__ = ()


class OperationPattern(Struct, frozen=True):
    """A pattern: its text in the profile, and its runs of words, any words between two runs.

    A word of None matches any word.
    """

    text: str
    runs: tuple[tuple[_Word, ...], ...]

    def matches(
        self, words: Sequence[frozenset[str]], optional: Collection[int] = frozenset()
    ) -> bool:
        """Whether an operation begins with the pattern; each word is given in all its forms.

        The words at the positions `optional` may be none of the operation's.
        """
        expected = [word for run in self.runs for word in run]
        # How many of the expected words may precede any number of words.
        gaps = {*itertools.accumulate(map(len, self.runs[:-1]))}
        found = {0}
        for at, word in enumerate(words[:_MAX_WORDS]):
            if len(expected) in found:
                break
            stays = found if at in optional else found & gaps
            found = {count + 1 for count in found if _fits(expected[count], word)} | stays
            if not found:
                return False
        return len(expected) in found or len(words) > _MAX_WORDS

    def may_match(self, words: Sequence[frozenset[str]]) -> bool:
        """Whether it may match an operation that begins with these words."""
        first = self.runs[0][: len(words)]
        return _is_at(first, words, 0)


class ApprovalRules(Struct, frozen=True, kw_only=True):
    """The operations that need an approval, and how it is asked for.

    Without an answer in `wait_s` seconds the operation is refused. `notify` is the argv of a
    program that is told of each question, empty for none.
    """

    require: tuple[OperationPattern, ...]
    wait_s: float = WAIT_S
    notify: tuple[str, ...] = ()

    def find(self, forms: Iterable[Sequence[str]]) -> str | None:
        """The text of the first pattern that matches; None if none does.

        `forms` are all operations, each by its words, that the request may amount to.
        """
        for form in itertools.chain.from_iterable(map(_spell_form, forms)):
            words = [*_fold_all(form[: _MAX_WORDS + 1])]
            optional = {at for at, word in enumerate(form) if isinstance(word, MaybeValue)}
            for pattern in self.require:
                if pattern.matches(words, optional):
                    return pattern.text
        return None

    def may_find(self, beginnings: Iterable[Sequence[str]]) -> bool:
        """Whether a pattern may match an operation that begins like one of these."""
        folded = [[_fold(word) for word in beginning] for beginning in beginnings]
        return any(pattern.may_match(words) for pattern in self.require for words in folded)


def _is_at(run: Sequence[_Word], words: Sequence[frozenset[str]], at: int) -> bool:
    return len(words) >= at + len(run) and all(
        _fits(word, words[at + number]) for number, word in enumerate(run)
    )


def _fits(expected: _Word, word: frozenset[str]) -> bool:
    return expected is None or not word or any(map(expected.fullmatch, word))


def _spell_form(form: Sequence[str]) -> tuple[Sequence[str], ...]:
    """An operation as it is and, of ssh, with each word of its command by itself."""
    return (form, _split_words(form)) if form and form[0] == "ssh" else (form,)


def _split_words(words: Iterable[str]) -> tuple[str, ...]:
    split = (word.split(None, _MAX_WORDS) for word in words)
    return tuple(itertools.islice(itertools.chain.from_iterable(split), _MAX_WORDS + 1))


def _fold_all(form: Sequence[str]) -> Iterator[frozenset[str]]:
    left = _MAX_LETTERS
    for word in form:
        left -= len(word)
        yield _fold(word) if left >= 0 else frozenset()


def _fold(word: str) -> frozenset[str]:
    """All forms of a word that may mean the same to a server; none for one that may be any."""
    if isinstance(word, UnknownWord):
        return frozenset()
    if not word.startswith("/"):
        return frozenset(fold(word))
    # Only an API's operation has a path, so what knows them is loaded already.
    from airlock_modules.apis.patterns import spell_path  # noqa: PLC0415

    return frozenset(form for spelled in spell_path(word) for form in fold(spelled))


def read_approvals(table: TableReader) -> ApprovalRules | None:
    """Read `[approve]`, None if it requires nothing; `table` records faults."""
    texts = table.strings("require")
    if len(texts) > _MAX_PATTERNS:
        table.fault("require", f"has more than {_MAX_PATTERNS} patterns", "use wider ones")
    found = itertools.chain.from_iterable(_read_pattern(table, text) for text in texts)
    notify = table.strings("notify")
    if notify and not notify[0]:
        table.fault("notify", "names no program", 'write it like ["notify-send", "Airlock"]')
    rules = ApprovalRules(
        require=tuple(found),
        wait_s=table.number("wait_s", default=300, minimum=_MIN_WAIT_S, maximum=_MAX_WAIT_S),
        notify=notify,
    )
    if not texts and (notify or table.has("wait_s")):
        table.fault("require", "is missing: nothing would be asked", _EXAMPLE)
    table.finish()
    return rules if rules.require else None


def parse_operation(line: str) -> Operation:
    """Read the line of an operation. Raises ValueError, also for one that was truncated."""
    words: list[str] = []
    at = 0
    while True:
        found = _WORD.match(line, at)
        if found is None:
            raise ValueError("it has a word that is neither plain nor in double quotes")
        plain = found["plain"]
        words.append(plain if plain is not None else _ESCAPE.sub(_unescape, found["quoted"]))
        at = found.end()
        if at == len(line):
            return Operation(tuple(words))
        if line[at] != " ":
            raise ValueError("it has something between two words that is no blank")
        at += 1


def _unescape(found: "re.Match[str]") -> str:
    if found["byte"]:
        # A byte that was not UTF-8 (PEP 383).
        return chr(0xDC00 + int(found["byte"], 16))
    return chr(int(found["code"], 16)) if found["code"] else _ESCAPED[found["short"]]


def _read_pattern(table: TableReader, text: str) -> Iterator[OperationPattern]:
    try:
        words = list(parse_operation(text).words)
    except ValueError as error:
        table.fault("require", f"{quote(text, limit=80)} is no pattern: {error}", _EXAMPLE)
        return
    if any("***" in word for word in words):
        table.fault("require", f"{quote(text, limit=80)} is no pattern: it has ***", _EXAMPLE)
        return
    if words[0] in _UNASKED:
        problem = f"{quote(text, limit=80)} cannot be asked: its connections are not looked into"
        table.fault("require", problem, "remove it, and the destination from [network]")
        return
    tool = words[0].lower()
    if tool in _SPELLINGS:
        read, how = _SPELLINGS[tool]
        words, right = read(words)
        if words != right:
            shown = [quote(each, limit=None) if {*" ["} & {*each} else each for each in right]
            problem = f"{quote(text, limit=80)} would match nothing that {tool} does"
            remedy = f"write it like {quote(' '.join(shown), limit=None)}: {how}"
            table.fault("require", problem, remedy)
            return
    yield _compile_words(text, _drop_stars(words))
    # A blank word is no word of a command, so that without it the pattern would ask about more.
    if tool == "ssh" and all(map(str.strip, words)) and (split := [*_split_words(words)]) != words:
        yield _compile_words(text, _drop_stars(split))


def _drop_stars(words: list[str]) -> list[str]:
    """A pattern matches what begins with it, so stars at its end say nothing more."""
    count = len(words)
    while count > 1 and words[count - 1] in ("*", "**"):
        count -= 1
    return words[:count]


def _compile_words(text: str, words: list[str]) -> OperationPattern:
    runs: list[list[_Word]] = [[]]
    for word in words:
        if word == "**":
            runs.append([])
        else:
            spelled = spell_place(word) if words[0] in _WITH_PLACES else (word,)
            runs[-1].append(None if word == "*" else _compile(*spelled))
    return OperationPattern(text, tuple(map(tuple, runs)))


def _read_git(words: list[str]) -> tuple[list[str], list[str]]:
    """A pattern of git as it is matched, and as it has to be written to match anything.

    A repository may be written with `.git` or slashes at its end, as in `[git]`.
    """
    words = _drop_stars(words)
    verb, *rest = [word.lower() for word in words[1:]] or ["*"]
    right = [*words]
    if verb in _FETCHING:
        right[1] = verb = "fetch"
    elif verb not in ("push", "fetch", "lfs") and "*" not in verb:
        return words, right
    is_lfs = verb == "lfs" or ("*" in verb and rest[:1] in (["download"], ["upload"]))
    at = 3 if is_lfs else 2
    # A word behind any number of words may be anything.
    known = words[: words.index("**")] if "**" in words else words
    if len(known) > at and known[at] != "*":
        right[at] = _spell_repository(known[at])
        words = [*words[:at], _trim(known[at]), *words[at + 1 :]]
    if verb == "fetch" and len(known) == len(words):
        # What it fetches is not known.
        right = right[:3]
    elif verb != "fetch" and not is_lfs and len(known) > 3 and known[3] != "*":
        right[3] = _spell_ref(known[3])
    behind = [at for at in range(len(known), len(words)) if not _may_be_any(words[at])]
    if verb == "fetch" and behind:
        right = right[: len(known)]
    elif verb == "push":
        right = [_spell_ref(each) if at in behind else each for at, each in enumerate(right)]
    return words, right


def _may_be_any(word: str) -> bool:
    """Whether it may match a repository, a ref or both ids of a push, which all have these."""
    return any(
        {"/", "**", ".."} & {*_PARTS.findall(each)} or _IDS.fullmatch(each) for each in fold(word)
    )


def _read_ssh(words: list[str]) -> tuple[list[str], list[str]]:
    """As `_read_git`: the host without a scheme or path."""
    right = [*words]
    if len(words) > 1 and "/" in words[1].removesuffix("/**"):
        host = _PASSWORD.sub(r"\1@", words[1].rpartition("://")[2]).partition("/")[0]
        right[1] = host.removesuffix(":") or "*"
    return words, right


_SPELLINGS = {
    "git": (_read_git, "a repository as HOST/PATH, and of a push the whole name of a ref"),
    "ssh": (_read_ssh, "a host as [USER@]HOST[:PORT]"),
}


def _trim(repository: str) -> str:
    host, slash, path = repository.partition("/")
    return f"{host}{slash}{path.strip('/').removesuffix('/.git').removesuffix('.git')}"


def _spell_repository(word: str) -> str:
    """A repository as operations name it, from a URL, ssh's short form, or a host alone."""
    text = _PASSWORD.sub(r"\1@", word.rpartition("://")[2])
    text = _SHORT.sub(r"\1/", text)
    host, _, path = _trim(text).partition("/")
    if path:
        return f"{host}/{path}"
    if "**" in host:
        return host
    # A remote's name is known to the client's git alone.
    return f"{host}/**" if re.search(r"[.:@*]", host) else "*"


def _spell_ref(word: str) -> str:
    """The whole name of a ref, from a branch's or a refspec."""
    is_wild = word.startswith("*") and ("/" in word or "**" in word)
    if is_wild or word.lower().startswith("refs/"):
        return word
    name = word.removeprefix("+").rpartition(":")[2]
    if name.startswith("refs/"):
        return name
    kind = "" if name.startswith(("heads/", "tags/")) else "heads/"
    return f"refs/{kind}{name}"


def _compile(*words: str) -> "re.Pattern[str]":
    """The expression of words, with any of which a text may match."""
    texts = (each for word in words for each in (word, _REST.sub("", word) or word))
    ways = (compile_protection(text).pattern for text in dict.fromkeys(texts))
    return re.compile("|".join(ways))


def spell_place(word: str) -> tuple[str, ...]:
    """The word of a pattern as it is, and without the user or port that a request may leave out.

    Then `@` or `:` stays, so that it matches no place that another pattern names without them.
    """
    found = _PLACE.fullmatch(word)
    if found is None:
        return (word,)
    users = dict.fromkeys((found["user"] or "", "@" if found["user"] else ""))
    ports = dict.fromkeys((found["port"] or "", ":" if found["port"] else ""))
    rest = found["path"] or ""
    return tuple(f"{user}{found['host']}{port}{rest}" for user in users for port in ports)


def name_place(user: str | None, host: str, port: int | None, path: str = "") -> tuple[str, ...]:
    """The names of a place in patterns, with and without user and port."""
    users, ports = (f"{user or ''}@", ""), (f":{'' if port is None else port}", "")
    return tuple(f"{who}{host}{at}{path}" for who in users for at in ports)


def list_tool_forms(command: tuple[str, ...], module: Module) -> tuple[tuple[str, ...], ...]:
    """The operations, by their words, that a tool's name and arguments may amount to.

    As they are, and as the tool parses them: the subcommand first, whatever flags precede it.
    """
    name, *args = command
    words: Iterable[str]
    if isinstance(module.rules, PlainRules):
        words = _read_words(args)
    else:
        # A module with a table has loaded it.
        from airlock_modules.reading.grammar import parse  # noqa: PLC0415

        parsed = parse(module.rules.table, args)
        words = (*parsed.command, *(word.text for word in parsed.words), *parsed.rest)
    return (("run", *command), ("run", name, *words))


def _read_words(args: Iterable[str]) -> Iterator[str]:
    """The words without flags, by their form: the next word may be a flag's value."""
    is_over = is_open = False
    for arg in args:
        if not is_over and arg == "--":
            is_over, is_open = True, False
        elif is_over or arg == "-" or not arg.startswith("-"):
            is_doubtful = is_open or arg.startswith("-")
            yield MaybeValue(arg) if is_doubtful else arg
            is_open = False
        else:
            is_open = "=" not in arg
