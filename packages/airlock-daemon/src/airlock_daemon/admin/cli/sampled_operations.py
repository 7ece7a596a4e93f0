"""Operations by which two policies are compared, made of the patterns that both have.

For each pattern there are members, and neighbours just outside of it: a spelling that a star may
not match, another host, user, port, method, region, name or flag. Where one pattern may forbid or
ask about what another one allows, they are met: a sample is what both match.
"""

import functools
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from airlock_modules import GrammarRules, Module
from airlock_modules.apis import Api
from airlock_modules.operation import parse_operation

Kind = Literal["run", "git", "ssh", "sign", "api", "aws"]


class Question(msgspec.Struct, frozen=True):
    """One operation to judge.

    `words` are a command and its arguments ("run"); the arguments of git, of ssh, or a kind and
    addresses ("git", "ssh", "sign"); the name of an API, HOST or HOST:PORT, and a method and path
    or the kind, field and object of GraphQL ("api"); the name of an API, SERVICE:OPERATION, a
    region, and a bucket or role ("aws").
    """

    kind: Kind
    words: tuple[str, ...]


Family = Literal[
    "place",
    "ref",
    "option",
    "login",
    "email",
    "author",
    "asked",
    "rule",
    "operation",
    "named",
    "action",
    "region",
    "bucket",
    "role",
]


class Pattern(msgspec.Struct, frozen=True):
    """A text of a policy, and what it is a pattern of.

    `owner` is the command or API that it is about, `under` the subcommand that lists it.
    """

    family: Family
    text: str
    owner: str = ""
    under: str = ""


OTHER = "airlock-sample"
"""A name that no policy has by chance."""
_MOST = 80
"""Samples of one pattern."""
_MOST_MET = 300
_DEEPEST = 100
"""Slashes of patterns that are met: each takes a call of Python's."""
_STARS = re.compile(r"\*\*|\*")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REFS = ("refs/heads/agent/x",)
_URLS = ("https://git.example/acme/app", "ssh://git@git.example/acme/app")
_ON_OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListObjectsV2")
_ELSEWHERE = ("us-west-2", "eu-north-1")


def fill(pattern: str) -> tuple[str, ...]:
    """Texts that `pattern` matches: a name for each star, and a path for two."""
    deep = _STARS.sub(lambda found: "x/y" if found[0] == "**" else "x", pattern)
    texts = (_STARS.sub("x", pattern), deep, pattern.removesuffix("/**"))
    return tuple(dict.fromkeys(each for each in texts if each and "*" not in each))


def step_out(pattern: str) -> tuple[str, ...]:
    """Texts just outside of `pattern`, or such that a server may mistake them for one inside."""
    plain = _STARS.sub("x", pattern)
    stars = (found for found in _STARS.finditer(pattern) if found[0] == "*")
    crossed = (f"{pattern[: each.start()]}x/y{pattern[each.end() :]}" for each in stars)
    head, slash, last = plain.rpartition("/")
    around = (f"{plain}-x", f"{plain}/x", f"{head}{slash}{OTHER}", f"{head}{slash}{last.upper()}")
    return tuple(dict.fromkeys((*(_STARS.sub("x", each) for each in crossed), *around)))


def meet(one: str, other: str) -> str | None:
    """A text that both patterns match, compared part by part; None if none is found."""
    if max(one.count("/"), other.count("/")) > _DEEPEST:
        return None
    met = _meet(tuple(one.split("/")), tuple(other.split("/")))
    return None if met is None else "/".join(met)


@functools.lru_cache(65_536)
def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    if not one or not other:
        return () if all(each == "**" for each in one or other) else None
    if "**" in (one[0], other[0]):
        deep, flat = (one, other) if one[0] == "**" else (other, one)
        taken = flat[1:] if flat[0] != "**" else ()
        longer = _meet(deep, taken) if flat[0] != "**" else _meet(deep[1:], flat[1:])
        if longer is not None:
            return (_STARS.sub("x", flat[0]), *longer)
        return _meet(deep[1:], flat)
    rest = _meet(one[1:], other[1:])
    for pattern, text in ((one[0], other[0]), (other[0], one[0])):
        plain = _STARS.sub("x", text)
        if rest is not None and _compile_stars(_STARS.split(pattern)).fullmatch(plain):
            return (plain, *rest)
    return None


_PLACE = re.compile(
    r"(?:(?P<scheme>ssh|https|http)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^:/]+)(?::(?P<port>[^/]+))?/(?P<path>.+)"
)
_LOGIN = re.compile(r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:]+)(?::(?P<port>[^:]+))?")


def name_places(place: str) -> Iterator[tuple[str, bool]]:
    """URLs of repositories at and around a line of `[git]`, and whether the line matches them."""
    found = _PLACE.fullmatch(place)
    if found is None:
        return
    user = "" if found["user"] is None else f"{found['user']}@"
    port = "" if found["port"] is None else f":{found['port']}"
    host, path = found["host"], found["path"].removesuffix(".git")
    schemes = (found["scheme"],) if found["scheme"] else ("https", "ssh")
    hosts = tuple(dict.fromkeys(_STARS.sub(text, host) for text in ("x", "x.y")))
    for scheme, name in itertools.product(schemes, hosts):
        for text in fill(path):
            yield f"{scheme}://{user}{name}{port}/{text}", True
    scheme, name, text = schemes[0], hosts[0], _STARS.sub("x", path)
    for other in step_out(path):
        yield f"{scheme}://{user}{name}{port}/{other}", False
    for where in (f"x.{name}", f"{name}.example", re.sub(r"^\*+\.", "", host)):
        yield f"{scheme}://{user}{where}{port}/{text}", False
    yield f"{scheme}://{user}{name}:8443/{text}", False
    for begin in (f"ssh://root@{name}{port}", f"ssh://{name}", f"http://{name}"):
        yield f"{begin}/{text}", False


class Sampler:
    """Makes the questions about each pattern of the two policies of one agent.

    `patterns` are all of both; those that `changed` are met with others. `modules` are those of
    commands and `apis` the APIs, as either has them. `judges` say of each policy whether it lets a
    question pass: to see whether a branch may be pushed takes a repository that may be pushed to.
    """

    def __init__(
        self,
        patterns: Iterable[Pattern],
        *,
        changed: Collection[Pattern],
        modules: Mapping[str, Sequence[Module]],
        apis: Sequence[Api],
        judges: Sequence[Callable[[Question], bool]],
    ) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        self._changed = {*changed}
        self._modules = modules
        self._actions: dict[str | None, list[str]] = {}
        self._apis = apis
        self._texts: dict[tuple[str, str], dict[str, None]] = {}
        for each in self.patterns:
            self._texts.setdefault((each.family, each.owner), {})[each.text] = None
        refs = [ref for text in self._list("ref") for ref in fill(text)] or list(_REFS)
        places = (url for text in self._list("place") for url in name_places(text))
        urls = [url for url, is_in in places if is_in] or list(_URLS)
        self._urls: dict[str, None] = {}
        self._refs: dict[str, None] = {}
        for lets in judges:
            for url, ref in itertools.islice(itertools.product(urls, (*refs, *_REFS)), 2_000):
                if lets(Question("git", ("push", url, f"HEAD:{ref}"))):
                    self._urls[url] = self._refs[ref] = None
                    break
        self._urls = self._urls or {urls[0]: None}
        self._refs = self._refs or {refs[0]: None}

    def _list(self, family: str, owner: str = "") -> tuple[str, ...]:
        return tuple(self._texts.get((family, owner), ()))

    def sample(self, pattern: Pattern) -> tuple[Question, ...]:
        """The questions about a pattern, its members first."""
        make: dict[str, Callable[[Pattern], Iterator[Question]]] = {
            "place": self._at_place,
            "ref": self._at_ref,
            "option": self._with_option,
            "login": self._at_login,
            "email": self._of_email,
            "author": self._of_author,
            "asked": self._of_asked,
            "rule": self._by_rule,
            "operation": self._of_api,
            "named": self._of_named,
            "action": self._of_action,
            "region": self._in_region,
            "bucket": self._in_bucket,
            "role": self._of_role,
        }
        found = make[pattern.family](pattern)
        return tuple(itertools.islice(dict.fromkeys(found), _MOST))

    def _list_others(self, pattern: Pattern) -> tuple[str, ...]:
        """The texts to meet a pattern with: none if it is the same in both policies."""
        if pattern not in self._changed:
            return ()
        others = self._list(pattern.family, pattern.owner)[:_MOST_MET]
        return tuple(each for each in others if each != pattern.text)

    def _at_place(self, pattern: Pattern) -> Iterator[Question]:
        urls = [url for url, _ in name_places(pattern.text)]
        for url in urls:
            for ref in self._refs:
                yield Question("git", ("push", url, f"HEAD:{ref}"))
            yield Question("git", ("fetch", url))

    def _at_ref(self, pattern: Pattern) -> Iterator[Question]:
        yield from self._push(fill(pattern.text), deletes=True)
        met = (meet(pattern.text, other) for other in self._list_others(pattern))
        yield from self._push(filter(None, met), deletes=False)
        yield from self._push(step_out(pattern.text), deletes=False)

    def _push(self, refs: Iterable[str], *, deletes: bool) -> Iterator[Question]:
        for ref, url in itertools.product(refs, self._urls):
            yield Question("git", ("push", url, f"HEAD:{ref}"))
            if deletes:
                yield Question("git", ("push", url, f":{ref}"))

    def _with_option(self, pattern: Pattern) -> Iterator[Question]:
        for option in (*fill(pattern.text), *step_out(pattern.text)):
            for url, ref in itertools.product(self._urls, self._refs):
                yield Question("git", ("push", f"--push-option={option}", url, f"HEAD:{ref}"))

    def _at_login(
        self, pattern: Pattern, commands: Sequence[str] = ("uptime",)
    ) -> Iterator[Question]:
        found = _LOGIN.fullmatch(pattern.text)
        if found is None:
            return
        user, port = found["user"], found["port"]
        hosts = dict.fromkeys(_STARS.sub(text, found["host"]) for text in ("x", "x.y"))
        host, *_ = hosts
        logins = [(user, each, port) for each in hosts]
        around = (f"x.{host}", f"{host}.example", re.sub(r"^\*+\.", "", found["host"]))
        logins += [(user, each, port) for each in around]
        logins += [
            ("root", host, port),
            (OTHER, host, port),
            (user, host, "2222"),
            (user, host, None),
        ]
        for who, where, at in logins:
            options = () if at is None else ("-p", at)
            login = where if who is None else f"{who}@{where}"
            for command in commands:
                yield Question("ssh", (*options, login, command))

    def _of_email(self, pattern: Pattern) -> Iterator[Question]:
        for kind, text in itertools.product(("commit", "tag"), _name_addresses(pattern.text)):
            yield Question("sign", (kind, text))

    def _of_author(self, pattern: Pattern) -> Iterator[Question]:
        committers = [_STARS.sub("x", text) for text in self._list("email")]
        for committer in committers[:3] or [f"{OTHER}@git.example"]:
            for text in _name_addresses(pattern.text):
                yield Question("sign", ("commit", committer, text))

    def _of_asked(self, pattern: Pattern) -> Iterator[Question]:
        """Operations that a pattern of `[approve]` matches: `*` is any word, and so is no word."""
        service, *words = parse_operation(pattern.text).words
        if service == "git":
            # Large files have no samples, nor the commits of a push.
            yield from () if words[:1] == ["lfs"] else self._of_asked_git(*words[:3])
            return
        if service == "sign":
            kinds = [each for each in words[1:2] if "*" not in each] or ["commit", "tag"]
            emails = [_STARS.sub("x", text) for text in self._list("email")]
            signers = emails or [f"{OTHER}@git.example"]
            yield from (Question("sign", each) for each in itertools.product(kinds, signers))
            return
        if service == "ssh":
            commands = [" ".join(map(_fill_word, words[1:])) or "uptime"]
            logins = self._list("login") if words[:1] in ([], ["*"], ["**"]) else words[:1]
            for text in logins:
                yield from self._at_login(Pattern("login", text), commands)
            return
        if service == "run":
            plain = tuple(map(_fill_word, words))
            calls = (plain, plain[:-1], (*plain, "x"))
            yield from (Question("run", each) for each in calls if each)
            return
        for owner in dict.fromkeys(api.module for api in self._apis if service in api.names):
            found = self._derive(pattern, owner, words)
            yield from () if found is None else self.sample(found)

    def _of_asked_git(
        self, verb: str = "*", place: str = "*", ref: str = "*"
    ) -> Iterator[Question]:
        places = (place, *filter(None, (meet(place, each) for each in self._list("place"))))
        urls = [url for each in places for url, is_in in name_places(each) if is_in]
        refs = (*fill(ref), *filter(None, (meet(ref, each) for each in self._list("ref"))))
        for url in self._urls if place in ("*", "**") else urls:
            if verb != "push":
                yield Question("git", ("fetch", url))
            named = self._refs if ref in ("*", "**") else refs
            for name in () if verb == "fetch" else named:
                yield Question("git", ("push", url, f"HEAD:{name}"))

    def _derive(self, asked: Pattern, owner: str, words: Sequence[str]) -> Pattern | None:
        """The rule of an API that matches what a pattern of `[approve]` asks about."""
        is_aws = any(api.aws is not None for api in self._apis if api.module == owner)
        if is_aws:
            found = Pattern("action", words[0] if words and ":" in words[0] else "*:*")
        elif words[:2] == ["graphql", "mutation"]:
            found = Pattern("operation", f"mutation {(*words, '*')[2]}", owner)
        else:
            method, path = (*words, "*", "**")[:2] if len(words) < 2 else words[:2]
            if not path.startswith("/"):
                path = "/**"
            found = Pattern("operation", f"{method} {path}", owner)
        if asked in self._changed:
            self._changed.add(found)
        return found

    def _by_rule(self, pattern: Pattern) -> Iterator[Question]:
        """A request for each part of a rule, and such without one of them."""
        command, parts = pattern.owner, pattern.text.split(" & ") if pattern.text else []
        begins = [tuple(_member_of(each).split(" ")) for each in pattern.under.split(", ") if each]
        members = [_spell_part(part, _member_of) for part in parts]
        others = [_spell_part(part, lambda _: OTHER) for part in parts]
        calls = [members]
        calls += [[*members[:at], *members[at + 1 :]] for at in range(len(members))]
        calls += [[*members[:at], other, *members[at + 1 :]] for at, other in enumerate(others)]
        for call in calls:
            plain = [word for each in call for word in each if not each[0].startswith("-")]
            flags = [word for each in call for word in each if each[0].startswith("-")]
            for begin in begins or self._find_homes(command, flags if not plain else []):
                yield Question("run", (command, *begin, *plain, *flags))
                if flags and "=" not in flags[-1]:
                    yield Question("run", (command, *begin, *plain, *flags, "x"))
        yield from (Question("run", (command, *begin, f"--{OTHER}")) for begin in begins)

    def _find_homes(self, command: str, flags: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Subcommands that have the first flag, of a tool whose grammar is known."""
        name = flags[0].partition("=")[0] if flags else ""
        homes: list[tuple[str, ...]] = [()]
        for module in self._modules.get(command, ()) if name else ():
            if isinstance(module.rules, GrammarRules):
                scopes = module.rules.table.commands.values()
                homes += [each.key for each in scopes if name in each.flags.exact][:2]
        return homes

    def _of_api(self, pattern: Pattern) -> Iterator[Question]:
        methods, _, path = pattern.text.partition(" ")
        apis = [api for api in self._apis if api.module == pattern.owner]
        for api in apis:
            host = find_host(api)
            if methods == "mutation":
                for field in (path, f"{path}X"):
                    yield Question("api", (api.name, host, "graphql", "mutation", field))
                continue
            named = [each for each in methods.split(",") if each != "*"] or list(_METHODS)
            for method, text in itertools.product(named, fill(path)):
                yield Question("api", (api.name, host, method, text))
            for rule in self._list_others(pattern):
                others, _, with_path = rule.partition(" ")
                met = meet(path, with_path)
                shared = [each for each in named if others == "*" or each in others.split(",")]
                if met is not None and shared:
                    yield Question("api", (api.name, host, shared[0], met))
            for text in step_out(path):
                yield Question("api", (api.name, host, named[0], text))
            for method in _METHODS:
                yield Question("api", (api.name, host, method, fill(path)[0]))

    def _of_named(self, pattern: Pattern) -> Iterator[Question]:
        """Operations of the rules that a name of the profile has filled in, as a repository."""
        owner, name = pattern.owner, pattern.text
        for spelled in dict.fromkeys((name, name.replace("/", "%2F"))):
            for rule in self._list("operation", owner)[:_MOST_MET]:
                if spelled in rule:
                    yield from itertools.islice(self._of_api(Pattern("operation", rule, owner)), 3)
        for api in self._apis:
            if api.module == owner and api.mutations is not None:
                for text in fill(name):
                    words = (api.name, find_host(api), "graphql", "query", "repository", text)
                    yield Question("api", words)

    def _of_action(self, pattern: Pattern) -> Iterator[Question]:
        from airlock_modules.apis.aws.operations import load_table  # noqa: PLC0415 - 10 MB large

        service, _, _ = pattern.text.partition(":")
        prefix = None if "*" in service else service
        if prefix not in self._actions:
            self._actions[prefix] = [*load_table().list_actions(prefix)]
        actions = self._actions[prefix]
        expression = compile_action(pattern.text)
        found = [each for each in actions if expression.fullmatch(each)]
        others = map(compile_action, self._list_others(pattern))
        met = [next(filter(other.fullmatch, found), None) for other in others]
        outside = [each for each in actions if not expression.fullmatch(each)][:2]
        for action in (*found[:3], *found[-1:], *filter(None, met), *outside):
            yield from self._call(action, self._list_regions()[:2])

    def _call(self, action: str, regions: Iterable[str]) -> Iterator[Question]:
        resources: Sequence[str] = ("",)
        if action.startswith("s3:"):
            buckets = self._list("bucket")
            resources = [f"{fill(each)[0]}/x" for each in buckets[:3]] or [f"{OTHER}/x"]
        elif action == "sts:AssumeRole":
            resources = self._list("role") or [f"arn:aws:iam::123456789012:role/{OTHER}"]
        names = [api.name for api in self._apis if api.aws is not None]
        for name, region, resource in itertools.product(dict.fromkeys(names), regions, resources):
            yield Question("aws", (name, action, region, *filter(None, [resource])))

    def _list_regions(self) -> tuple[str, ...]:
        grants = [api.aws for api in self._apis if api.aws is not None]
        first = [each.regions[0] for each in grants if each.regions]
        return tuple(
            dict.fromkeys((*first, *(region for each in grants for region in each.regions)))
        )

    def _in_region(self, pattern: Pattern) -> Iterator[Question]:
        for action in ("ec2:DescribeInstances", "s3:GetObject", "iam:ListUsers"):
            yield from self._call(action, (pattern.text, *_ELSEWHERE))

    def _in_bucket(self, pattern: Pattern) -> Iterator[Question]:
        name = _STARS.sub("x", pattern.text)
        names = [api.name for api in self._apis if api.aws is not None]
        regions = self._list_regions()[:2]
        for bucket in (name, f"{name}-x", f"x-{name}"):
            for api, action, region in itertools.product(names, _ON_OBJECTS, regions):
                yield Question("aws", (api, action, region, f"{bucket}/x"))

    def _of_role(self, pattern: Pattern) -> Iterator[Question]:
        names = [api.name for api in self._apis if api.aws is not None]
        for name, region in itertools.product(names, self._list_regions()[:2]):
            for role in (pattern.text, f"{pattern.text}-x"):
                yield Question("aws", (name, "sts:AssumeRole", region, role))


def _fill_word(word: str) -> str:
    return _STARS.sub("x", word)


def _name_addresses(pattern: str) -> tuple[str, ...]:
    """An address that a pattern matches, and some just outside of it."""
    plain = _STARS.sub("x", pattern)
    return (plain, f"x-{plain}", f"{plain}.example", f"{OTHER}@git.example")


def find_host(api: Api) -> str:
    """A host of an API as HOST or HOST:PORT; "" if it is a cluster of a kubeconfig."""
    if not api.hosts:
        return ""
    host, port = _STARS.sub("x", api.hosts[0]), api.ports[0]
    return host if port == 443 else f"{host}:{port}"


@functools.lru_cache(4096)
def compile_action(pattern: str) -> "re.Pattern[str]":
    """An expression, for `fullmatch`, for SERVICE:OPERATION with stars."""
    return _compile_stars(pattern.split("*"))


def _compile_stars(texts: Sequence[str]) -> "re.Pattern[str]":
    """An expression, for `fullmatch`, for texts with anything between them.

    The first place of each is as good as any later one, so nothing is tried twice.
    """
    first, *others = map(re.escape, texts)
    between = (f"(?>.*?{text})" for text in others[:-1])
    return re.compile("".join((first, *between, *(f".*{text}" for text in others[-1:]))))


_SET = re.compile(r"\[[!^]?\]?[^\]]*\]")


def _member_of(glob: str) -> str:
    """A text that a glob of a rule matches, in most cases."""
    text = glob.removeprefix("(#i)")
    while (braces := re.search(r"\{([^{},]*)[^{}]*\}", text)) is not None:
        text = text[: braces.start()] + braces[1] + text[braces.end() :]
    text = _SET.sub(lambda found: found[0][1] if found[0][1] not in "!^" else "_", text)
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[*?]", "x", text))


def _spell_part(part: str, spell: Callable[[str], str]) -> tuple[str, ...]:
    """A part of a rule as words: those of a subcommand, or a flag and its value."""
    if not part.startswith("-"):
        return tuple(spell(part).split(" "))
    flag, equals, value = part.partition("=")
    if flag.endswith("!"):
        return (f"{_member_of(flag[:-1])}={OTHER}",)
    return (f"{_member_of(flag)}={spell(value)}",) if equals else (_member_of(flag),)
