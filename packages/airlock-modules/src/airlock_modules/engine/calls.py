"""The calls of the engine's API that an agent may make: one table of methods and paths.

A call is found by method and normalised path (of `airlock_modules.apis.read_head`); its query is
read by the table too, and both are written anew for the version that the broker speaks. What has no
line here is refused, `build`, `swarm`, `plugins` and `secrets` among it.
"""

import re
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from airlock_modules.apis.head import read_query
from airlock_modules.engine.builder import refuse_builder
from airlock_modules.engine.images import read_image_reference
from airlock_modules.engine.names import is_airlocks, outer_label
from airlock_modules.engine.strict import (
    Reader,
    Reference,
    Refused,
    decode,
    encode,
    malformed,
    not_granted,
    one_of,
    read_reference,
    resolve,
    text,
)
from airlock_wire.text import quote

OLDEST, NEWEST = (1, 41), (1, 45)
"""Versions of the API whose calls mean what this table says."""

Version = tuple[int, int]
Answer = Literal["plain", "list", "stream", "raw"]
Flow = Literal["none", "json", "bytes", "raw"]

_PLUGIN = re.compile("/plugins/[^/]+/json")
_VERSION = re.compile(r"/v([0-9]{1,3})\.([0-9]{1,3})(?=/)")
_SLOT = re.compile(r"\{([a-z]+)\}")
_SLOTS = {"image": "(.+)"}
_TRUE = frozenset({"1", "true", "True"})
_FALSE = frozenset({"", "0", "false", "False"})
_MAX_QUERY = 8192


class Call(Struct, frozen=True, kw_only=True):
    """One line of the table.

    `name` is that of the operation. `sends` says what the request's body is, `answers` how the
    answer comes: "plain" is a JSON value that is rewritten, "list" one of everybody's objects,
    "stream" goes on until it ends, "raw" is no HTTP after its head. `reads` tells that it may look
    at a granted container of a person.
    `needs` is a parameter by which it differs from another call of this path.
    """

    name: str
    method: str
    path: str
    query: Mapping[str, Reader]
    sends: Flow = "none"
    answers: Answer = "plain"
    reads: bool = False
    needs: str = ""


class FoundCall(Struct, frozen=True, kw_only=True):
    """A call as a client made it. `target` is the object in its path, `query` as it was read."""

    call: Call
    target: Reference | None
    query: Mapping[str, object]

    @property
    def words(self) -> tuple[str, ...]:
        """The operation's words, but for what its body says."""
        return ("docker", self.call.name, *(() if self.target is None else (self.target.text,)))

    def write(self, version: Version, found: Mapping[Reference, str]) -> str:
        """The path and query to send, with each reference's id of `found`."""
        path = self.call.path
        if self.target is not None:
            identity = urllib.parse.quote(found[self.target], safe=":")
            path = _SLOT.sub(lambda _: identity, path)
        pairs = {name: _write_value(resolve(value, found)) for name, value in self.query.items()}
        query = urllib.parse.urlencode(pairs)
        return f"/v{version[0]}.{version[1]}{path}" + (f"?{query}" if query else "")


def _write_value(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else encode(value).decode()


def _flag(value: object, place: str) -> object:
    if value not in _TRUE | _FALSE:
        raise malformed(f"{place} is neither 1 nor 0")
    return value in _TRUE


_integer = text("-?[0-9]{1,9}")
_time = text(r"[0-9]{1,12}(?:\.[0-9]{1,9})?|[0-9]{4}-[0-9TtZz:.+-]{1,40}|(?:[0-9]{1,9}[hms]){1,3}")
_name = text(r"[A-Za-z0-9/][A-Za-z0-9_.-]{0,127}")
# The engine runs the host's ps for all processes, and takes lines whose word below "PID" is of the
# container; another word there it tells in an error. So no column of several words stands before
# it, no column has another name, and nothing else selects processes.
_ps = text(
    "-?(?:e|ef|el|f|l|a|ax|aux|au|auxww|efww)|"
    "-?(?:e|a|ax)?o ?pid(?:,[a-z_%]{1,20}){0,20}|"
    "-(?:e|a|ax) -o ?pid(?:,[a-z_%]{1,20}){0,20}"
)
_keys = text(r"[A-Za-z0-9@^\[\],_?-]{0,100}")
_word = text("[A-Za-z0-9+._-]{0,40}")
_path = text(limit=4096)
_note = text(limit=4096)


def _platform(value: object, place: str) -> object:
    return text("[a-z0-9]*(?:/[a-z0-9]+){0,2}", limit=40)(value, place)


def _filters(**readers: Reader) -> Reader:
    """A `filters` of the API: an object of lists, or of objects whose keys are the values."""

    def read(value: object, place: str) -> object:
        found = decode(value.encode()) if isinstance(value, str) and value else {}
        if not isinstance(found, dict):
            raise malformed(f"{place} is no object")
        filters: dict[str, object] = {}
        for name, given in found.items():
            reader = readers.get(name.replace("-", "_"))
            if reader is None or name != name.lower():
                raise not_granted(f"{place}.{quote(name, limit=80)}", given)
            words = (
                [each for each in given if given[each] is True]
                if isinstance(given, dict)
                else given
            )
            if not isinstance(words, list) or (isinstance(given, dict) and len(words) < len(given)):
                raise malformed(f"{place}.{name} is no list")
            filters[name] = [reader(each, f"{place}.{name}") for each in words]
        return filters

    return read


def _image_label(value: object, place: str) -> object:
    word = text(limit=4096)(value, place)
    if isinstance(word, str) and is_airlocks(word.removesuffix("!")):
        raise not_granted(place, word)
    return word


def _label(value: object, place: str) -> object:
    return outer_label(str(_image_label(value, place)))


def _owned(kind: str) -> Reader:
    return lambda value, place: read_reference(kind, str(value), place)


_id = _owned("container")
_image = read_image_reference
_boolean = text("0|1|true|false")
_container_filters = _filters(
    ancestor=_image,
    before=_id,
    exited=_integer,
    expose=text("[0-9]{1,5}(?:-[0-9]{1,5})?(?:/(?:tcp|udp))?"),
    health=_word,
    id=text("[0-9a-f]{1,64}"),
    label=_label,
    name=text("[A-Za-z0-9/^$_.-]{1,128}"),
    network=_owned("network"),
    since=_id,
    status=_word,
    volume=_owned("volume"),
)
_name_filters = {"label": _label, "name": text("[A-Za-z0-9^$_.-]{1,128}"), "dangling": _boolean}
_ids = text("[0-9a-f]{1,64}")
_network_filters = _filters(**_name_filters, driver=_word, id=_ids, scope=_word, type=_word)
_volume_filters = _filters(**_name_filters, driver=_word)
_image_filters = _filters(
    label=_image_label,
    dangling=_boolean,
    reference=text("[A-Za-z0-9/:*_.-]{1,255}"),
    before=_image,
    since=_image,
)
_prune_filters = _filters(label=_label, until=_time, all=_boolean, dangling=_boolean)
_image_prune_filters = _filters(label=_image_label, until=_time, all=_boolean, dangling=_boolean)
_event_filters = _filters(
    container=_id,
    event=text("[a-z_]{1,30}(?:: ?.{0,200})?"),
    image=_image,
    label=_label,
    type=_word,
)
_EACH = {"stderr": _flag, "stdin": _flag, "stdout": _flag, "stream": _flag, "logs": _flag}


def _call(line: str, name: str, **options: object) -> Call:
    """A line of the table: METHOD PATH, and the operation's name."""
    method, path = line.split()
    query = options.pop("query", {})
    return Call(name=name, method=method, path=path, query=query, **options)  # type: ignore[arg-type]


TABLE = (
    _call("GET /_ping", "system.ping"),
    _call("HEAD /_ping", "system.ping"),
    _call("GET /version", "system.version"),
    _call("GET /info", "system.info"),
    _call(
        "GET /system/df",
        "system.df",
        answers="list",
        query={"type": one_of("container", "image", "volume", "build-cache")},
    ),
    _call(
        "GET /events",
        "system.events",
        query={"since": _time, "until": _time, "filters": _event_filters},
        answers="stream",
    ),
    _call(
        "GET /containers/json",
        "container.list",
        answers="list",
        query={"all": _flag, "limit": _integer, "size": _flag, "filters": _container_filters},
        reads=True,
    ),
    _call(
        "POST /containers/create",
        "container.create",
        query={"name": _name, "platform": _platform},
        sends="json",
    ),
    _call(
        "GET /containers/{container}/json", "container.inspect", query={"size": _flag}, reads=True
    ),
    _call(
        "GET /containers/{container}/top",
        "container.top",
        query={"ps_args": _ps},
    ),
    _call(
        "GET /containers/{container}/logs",
        "container.logs",
        query={
            "follow": _flag,
            "stdout": _flag,
            "stderr": _flag,
            "since": _time,
            "until": _time,
            "timestamps": _flag,
            "details": _flag,
            "tail": text("all|[0-9]{1,9}"),
        },
        answers="stream",
        reads=True,
    ),
    _call("GET /containers/{container}/changes", "container.changes", answers="stream"),
    _call("GET /containers/{container}/export", "container.export", answers="stream"),
    _call(
        "GET /containers/{container}/stats",
        "container.stats",
        query={"stream": _flag, "one-shot": _flag},
        answers="stream",
        reads=True,
    ),
    _call(
        "POST /containers/{container}/resize",
        "container.resize",
        query={"h": _integer, "w": _integer},
    ),
    _call("POST /containers/{container}/start", "container.start", query={"detachKeys": _keys}),
    _call(
        "POST /containers/{container}/stop",
        "container.stop",
        query={"t": _integer, "signal": _word},
    ),
    _call(
        "POST /containers/{container}/restart",
        "container.restart",
        query={"t": _integer, "signal": _word},
    ),
    _call("POST /containers/{container}/kill", "container.kill", query={"signal": _word}),
    _call("POST /containers/{container}/rename", "container.rename", query={"name": _name}),
    _call("POST /containers/{container}/pause", "container.pause"),
    _call("POST /containers/{container}/unpause", "container.unpause"),
    _call(
        "POST /containers/{container}/attach",
        "container.attach",
        query={**_EACH, "detachKeys": _keys},
        answers="raw",
    ),
    _call(
        "POST /containers/{container}/wait",
        "container.wait",
        query={"condition": text("|not-running|next-exit|removed")},
        answers="stream",
    ),
    _call(
        "DELETE /containers/{container}",
        "container.remove",
        query={"v": _flag, "force": _flag, "link": _flag},
    ),
    _call("HEAD /containers/{container}/archive", "container.archive", query={"path": _path}),
    _call(
        "GET /containers/{container}/archive",
        "container.archive",
        query={"path": _path},
        answers="stream",
    ),
    _call(
        "PUT /containers/{container}/archive",
        "container.extract",
        query={"path": _path, "noOverwriteDirNonDir": _flag, "copyUIDGID": _flag},
        sends="bytes",
    ),
    _call(
        "POST /commit",
        "container.commit",
        query={
            "container": _id,
            "repo": text(limit=255),
            "tag": _word,
            "comment": _note,
            "author": _note,
            "pause": _flag,
            "changes": _note,
        },
        sends="json",
    ),
    _call("POST /containers/prune", "container.prune", query={"filters": _prune_filters}),
    _call("POST /containers/{container}/exec", "exec.create", sends="json"),
    _call("POST /exec/{exec}/start", "exec.start", sends="json", answers="raw"),
    _call("POST /exec/{exec}/resize", "exec.resize", query={"h": _integer, "w": _integer}),
    _call("GET /exec/{exec}/json", "exec.inspect"),
    _call("GET /networks", "network.list", answers="list", query={"filters": _network_filters}),
    _call(
        "GET /networks/{network}",
        "network.inspect",
        query={"verbose": _flag, "scope": text("|local")},
    ),
    _call("POST /networks/create", "network.create", sends="json"),
    _call("POST /networks/{network}/connect", "network.connect", sends="json"),
    _call("POST /networks/{network}/disconnect", "network.disconnect", sends="json"),
    _call("DELETE /networks/{network}", "network.remove"),
    _call("POST /networks/prune", "network.prune", query={"filters": _prune_filters}),
    _call("GET /volumes", "volume.list", answers="list", query={"filters": _volume_filters}),
    _call("GET /volumes/{volume}", "volume.inspect"),
    _call("POST /volumes/create", "volume.create", sends="json"),
    _call("DELETE /volumes/{volume}", "volume.remove", query={"force": _flag}),
    _call("POST /volumes/prune", "volume.prune", query={"filters": _prune_filters}),
    _call(
        "GET /images/json",
        "image.list",
        answers="list",
        query={"all": _flag, "digests": _flag, "shared-size": _flag, "filters": _image_filters},
    ),
    _call(
        "POST /images/create",
        "image.import",
        query={
            "fromSrc": one_of("-"),
            "repo": text(limit=255),
            "tag": _word,
            "message": _note,
            "changes": _note,
            "platform": _platform,
        },
        sends="bytes",
        answers="stream",
        needs="fromSrc",
    ),
    _call(
        "POST /images/create",
        "image.pull",
        query={"fromImage": text(limit=255), "tag": text(limit=128), "platform": _platform},
        answers="stream",
    ),
    # The agent has no caches of the engine's own builder.
    _call("POST /build/prune", "build.prune", query={"filters": _prune_filters, "all": _flag}),
    _call("POST /images/prune", "image.prune", query={"filters": _image_prune_filters}),
    _call("GET /images/{image}/json", "image.inspect"),
    _call("GET /images/{image}/get", "image.save", answers="stream"),
    _call("GET /images/get", "image.save", query={"names": _image}, answers="stream"),
    _call(
        "POST /images/load", "image.load", query={"quiet": _flag}, sends="bytes", answers="stream"
    ),
    _call("GET /images/{image}/history", "image.history"),
    _call("POST /images/{image}/push", "image.push", query={"tag": _word}, answers="stream"),
    _call("POST /images/{image}/tag", "image.tag", query={"repo": text(limit=255), "tag": _word}),
    _call("DELETE /images/{image}", "image.remove", query={"force": _flag, "noprune": _flag}),
)
"""All calls that can be granted. The order decides where two paths match: fixed ones come first."""


def _compile(path: str) -> "re.Pattern[str]":
    pieces = _SLOT.split(path)
    return re.compile(
        "".join(
            re.escape(piece) if number % 2 == 0 else _SLOTS.get(piece, "([^/]+)")
            for number, piece in enumerate(pieces)
        )
    )


_FIXED_FIRST = sorted(TABLE, key=lambda call: "{" in call.path)
_COMPILED = tuple((call, _compile(call.path), _SLOT.search(call.path)) for call in _FIXED_FIRST)
_BUILDER = frozenset({"/build", "/build/cancel", "/session", "/grpc"})


def find_call(method: str, path: str, query: str, *, spoken: Version) -> FoundCall:
    """Find a client's call in the table; `spoken` is the newest version that it may ask for.

    `path` is normalised, with escapes. Raises Refused.
    """
    path = _check_version(path, spoken)
    decoded = urllib.parse.unquote(path)
    for call, pattern, slot in _COMPILED:
        if call.method == method and (match := pattern.fullmatch(decoded)):
            if call.needs and call.needs not in dict(read_query(query)):
                continue
            target = None if slot is None else _read_target(slot[1], match[1])
            return FoundCall(call=call, target=target, query=_read_query(call, query))
    if decoded in _BUILDER:
        raise refuse_builder()
    rule, what = "call", f"{method} {quote(decoded, limit=100)}"
    if decoded == "/auth":
        rule, what = "logins", "a login of an agent's own, beside the human's,"
    raise Refused(
        f"{what} is not granted to an agent",
        hint="on the host, airlock show docker --security lists what is granted",
        # docker's client looks for an object among plugins last.
        status=HTTPStatus.NOT_FOUND if _PLUGIN.fullmatch(decoded) else HTTPStatus.FORBIDDEN,
        rule=rule,
    )


def _check_version(path: str, spoken: Version) -> str:
    found = _VERSION.match(path)
    if found is None:
        return path
    asked = int(found[1]), int(found[2])
    if not OLDEST <= asked <= spoken:
        raise Refused(
            f"version {asked[0]}.{asked[1]} of the engine's API is not spoken here",
            hint=f"DOCKER_API_VERSION may be {_spell(OLDEST)} to {_spell(spoken)}; most clients "
            "ask for the newest that GET /_ping tells",
            status=HTTPStatus.BAD_REQUEST,
        )
    return path[found.end() :]


def _spell(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _read_target(kind: str, value: str) -> Reference:
    if kind == "image":
        return read_image_reference(value, "the image")
    return read_reference(kind, value, f"the {kind}")


def _read_query(call: Call, query: str) -> dict[str, object]:
    if len(query) > _MAX_QUERY:
        raise malformed("its query is longer than 8 KiB")
    if ";" in query:
        raise malformed("a semicolon in its query")
    found: dict[str, object] = {}
    for name, value in read_query(query):
        if name in found:
            raise malformed(f"the parameter {quote(name, limit=80)} is there twice")
        reader = call.query.get(name)
        if reader is None:
            if value in _FALSE:
                continue
            raise not_granted(f"the parameter {quote(name, limit=80)}", value)
        # An empty value is as none for each parameter of the API.
        if value:
            found[name] = reader(value, name)
    return found
