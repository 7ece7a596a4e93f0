"""Calls about images: pull, push, commit, import, tag, remove and prune.

A name that the agent gives is its own at the engine (`OwnImages`), except one that it may push to,
which it could give to everybody by the registry anyway. The name of a registry is never moved away
from a person's image, but by a pull from that registry. A file of the state directory records which
images are the agent's, so that a restart of the daemon forgets none.
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from airlock_daemon.boundary.brokers.docker.connections import request_json, unusual
from airlock_daemon.boundary.brokers.docker.lists import ask_list
from airlock_daemon.boundary.fairness import TurnSource
from airlock_daemon.errors import Failed
from airlock_daemon.setup.generation import State
from airlock_modules.engine import (
    ImageName,
    Refused,
    View,
    is_image_id,
    join_tag,
    read_engine_name,
    rewrite_error,
)

_MAX = 2000


class _Name(msgspec.Struct, frozen=True, kw_only=True):
    """A name with tag or digest: the image that it had, and whether the agent gave it."""

    id: str
    is_own: bool


class _Images(msgspec.Struct, frozen=True, kw_only=True):
    """The file: ids in the order in which they came, and their names."""

    ids: tuple[str, ...] = ()
    names: Mapping[str, _Name] = {}


class ImageRecord:
    """The images of one agent, by full id, and the full names that they got.

    All methods raise AirlockError if the file cannot be read or written.
    """

    def __init__(self, state: State, agent: str) -> None:
        """Nothing is read yet."""
        self._state = state
        self._file = state.name_images(agent)
        self._images: _Images | None = None

    @property
    def ids(self) -> frozenset[str]:
        """The ids of its images."""
        return frozenset(self._read().ids)

    @property
    def names(self) -> frozenset[str]:
        """The names that its images got, some of which others may have by now."""
        return frozenset(self._read().names)

    def gave(self, name: str, identity: str) -> bool:
        """Whether it was the agent who made the full name `name` stand for this image."""
        return self._read().names.get(name) == _Name(id=identity, is_own=True)

    def note(self, identity: str, *, name: str = "", is_own: bool = True) -> None:
        """Note an image, and a full name that it has, which the agent gave unless not `is_own`.

        The oldest of more than 2,000 are forgotten.
        """
        had = self._read()
        # One that is there stays in its place: a file that changes by each call is one to wait for.
        ids = had.ids if identity in had.ids else (*had.ids, identity)
        names = [*had.names.items(), *([(name, _Name(id=identity, is_own=is_own))] if name else ())]
        self._write(_Images(ids=ids[-_MAX:], names=dict(names[-_MAX:])))

    def forget_name(self, name: str) -> None:
        """Note that the agent has removed a name."""
        had = self._read()
        if name in had.names:
            names = {key: value for key, value in had.names.items() if key != name}
            self._write(msgspec.structs.replace(had, names=names))

    def forget_all(self) -> None:
        """Remove the file: the agent was removed."""
        self._images = _Images()
        if self._state.find(self._file) is not None:
            with self._state.changing():
                self._state.write(self._file, None)

    def _read(self) -> _Images:
        if self._images is None:
            text = self._state.read(self._file)
            try:
                self._images = msgspec.json.decode(text or "{}", type=_Images)
            except msgspec.MsgspecError as error:
                raise Failed(
                    f"{self._state.path(self._file)} cannot be understood: {error}",
                    hint="a person on the host can remove it: the agent then has to pull its "
                    "images again",
                ) from error
        return self._images

    def _write(self, images: _Images) -> None:
        if images != self._images:
            with self._state.changing():
                self._state.write(self._file, msgspec.json.encode(images).decode() + "\n")
            self._images = images


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A name that a call gives: `outer` at the engine, and whether it is one of a registry."""

    image: ImageName
    outer: str
    is_real: bool


class Images:
    """What one call about images looks up, decides and notes."""

    def __init__(self, engine: str, view: View, record: ImageRecord, turns: TurnSource) -> None:
        self._engine = engine
        self._turns = turns
        self._view = view
        self._record = record
        self._base = f"/v{view.version[0]}.{view.version[1]}/images"

    async def judge_name(self, name: str, tag: object) -> Named:
        """The name that a commit, an import or a tag gives. Raises Refused and AirlockError."""
        image = join_tag(name, tag)
        if image.digest:
            raise Refused(
                f"{image} has a digest, which is no name to give",
                hint="name a tag",
                rule="tag",
            )
        if not self._view.grant.may_push(image):
            return Named(image=image, outer=self._view.own_images.outer(image), is_real=False)
        had = await self.find(str(image))
        if had is not None and not self._record.gave(str(image), had):
            raise Refused(
                f"{image} is an image of the host, and is not this agent's to replace",
                hint="use another tag",
                rule="tag",
            )
        return Named(image=image, outer=str(image), is_real=True)

    async def note_named(self, named: Named) -> None:
        """Note the image that has the name by now, which a call has given."""
        identity = await self.find(named.outer)
        if identity is not None:
            self._record.note(identity, name=named.outer if named.is_real else "")

    def note_made(self, identity: str) -> None:
        """Note an image that the agent made."""
        self._record.note(identity)

    async def name_loaded(
        self, identities: object, names: Sequence[Sequence[str]]
    ) -> list[dict[str, str]]:
        """Note images that were loaded, and give them their names; returns lines for the client.

        `identities` are as the engine tells them. Raises AirlockError.
        """
        if not isinstance(identities, list) or len(identities) != len(names):
            raise Failed(
                "the docker engine of the host did not tell which images it has loaded",
                hint="save them one by one, and load these",
            )
        lines = []
        for identity, wanted in zip(identities, names, strict=True):
            self._record.note(identity)
            lines += [{"stream": f"Loaded image ID: {identity}\n"}] if not wanted else []
            for name in wanted:
                lines.append(await self._name_loaded(identity, name))
        return lines

    async def _name_loaded(self, identity: str, name: str) -> dict[str, str]:
        try:
            named = await self.judge_name(name, None)
        except Refused as refused:
            return {"error": f"airlock: {refused.message}; {refused.hint}"}
        repository, _, tag = named.outer.rpartition(":")
        words = f"repo={quote(repository)}&tag={quote(tag)}"
        status, answer = await request_json(
            self._engine, "POST", f"{self._base}/{_escape(identity)}/tag?{words}"
        )
        if status >= HTTPStatus.BAD_REQUEST:
            return {"error": rewrite_error(answer, self._view)["message"]}
        await self.note_named(named)
        return {"stream": f"Loaded image: {name}\n"}

    async def is_persons(self, image: ImageName) -> bool:
        """Whether the engine has an image of this name that the agent did not pull."""
        had = await self.find(str(image))
        return had is not None and not self._record.gave(str(image), had)

    async def note_pulled(self, image: ImageName, digest: str, *, is_persons: bool) -> None:
        """Note the image of a pull as the agent's, by the digest of the registry's answer.

        A name that a person's image had stays theirs, although it may move to what the registry has
        now.
        """
        named = f"{image.repository}@{digest}"
        identity = await self.find(named)
        if identity is None:
            return
        self._record.note(identity, name=named, is_own=False)
        self._record.note(identity, name=str(image), is_own=not is_persons)
        if not image.digest:
            # As docker does it: the name stands for what was pulled from now on.
            await self._remove(self._view.own_images.outer(image))

    async def _find_names(self, text: str, identity: str) -> list[str]:
        """The engine's names of an image that the agent removes as `text`.

        Raises Refused and Failed.
        """
        if not is_image_id(text):
            return [await self._find_name(text)]
        answer = await self._inspect(identity)
        tags = [] if answer is None else _list_tags(answer)
        if not self._owns(identity, tags):
            raise Refused(
                "the image has a name that this agent did not give, or is a person's",
                hint="remove it by a name that this agent gave or pulled",
                rule="images",
            )
        # By name: a person may give it a name meanwhile, which a removal by id would take.
        return tags or [identity]

    async def _find_name(self, text: str) -> str:
        image = join_tag(text, None)
        outer = "" if image.digest else self._view.own_images.outer(image)
        if outer and await self.find(outer) is not None:
            return outer
        identity = await self.find(text)
        if identity is None or not self._record.gave(text, identity):
            raise Refused(
                f"this agent neither gave nor pulled the name {text}",
                hint="name an image that this agent pulled or made",
                rule="images",
            )
        return text

    def _owns(self, identity: str, tags: list[str]) -> bool:
        """Whether all tags of an image are the agent's; of one without any, the image."""
        prefix, gave = self._view.own_images.prefix, self._record.gave
        are_own = all(each.startswith(prefix) or gave(each, identity) for each in tags)
        return are_own and (bool(tags) or identity in self._record.ids)

    async def remove(self, text: str, identity: str) -> object:
        """Remove an image that the client calls `text`; returns the engine's answer.

        Raises Refused, also as the engine refuses, and Failed.
        """
        status, answer = await self._remove_all(await self._find_names(text, identity))
        if status >= HTTPStatus.BAD_REQUEST:
            message = rewrite_error(answer, self._view)["message"]
            raise Refused(message, hint="remove what uses it", status=status, rule="engine")
        return self._tell(answer)

    async def _remove_all(self, names: list[str]) -> tuple[int, Any]:
        """Remove by names at the engine, up to the first that it refuses."""
        removed: list[Any] = []
        for name in names:
            status, answer = await self._remove(name)
            if status >= HTTPStatus.BAD_REQUEST:
                return status, answer
            self._record.forget_name(name)
            removed += answer if isinstance(answer, list) else []
        return HTTPStatus.OK, removed

    def _tell(self, removed: list[Any]) -> list[dict[str, str]]:
        inner = self._view.own_images.inner
        return [{key: inner(str(value)) for key, value in each.items()} for each in removed]

    async def prune(self, filters: Mapping[str, list[Any]]) -> object:
        """Remove the agent's images that no container uses: those without names, or all."""
        if filters.keys() - {"label", "dangling"}:
            raise Refused("prune by age is not granted", hint="leave the filter out", rule="field")
        is_all = filters.get("dangling") in (["false"], ["0"])

        def pick(each: Mapping[str, Any]) -> Iterator[list[str]]:
            tags, identity = _list_tags(each), str(each.get("Id"))
            if (is_all or not tags) and self._owns(identity, tags):
                yield tags or [identity]

        left = _without(filters, "dangling")
        found, _ = await ask_list(
            self._engine, "/images/json", left, self._view, pick=pick, turns=self._turns
        )
        removed: list[Any] = []
        for names in found:
            status, answer = await self._remove_all(names)
            removed += answer if status == HTTPStatus.OK else []
        return {"ImagesDeleted": self._tell(removed), "SpaceReclaimed": 0}

    async def find(self, name: str) -> str | None:
        """The id of an image by its name at the engine, whosoever it is."""
        answer = await self._inspect(name)
        return None if answer is None else str(answer.get("Id"))

    async def _inspect(self, name: str) -> Mapping[str, Any] | None:
        status, answer = await request_json(
            self._engine, "GET", f"{self._base}/{_escape(name)}/json"
        )
        if status == HTTPStatus.OK and isinstance(answer, dict):
            return answer
        if status == HTTPStatus.NOT_FOUND:
            return None
        raise unusual(status, answer, self._view)

    async def _remove(self, name: str) -> tuple[int, Any]:
        return await request_json(self._engine, "DELETE", f"{self._base}/{_escape(name)}")


def _list_tags(image: Mapping[str, Any]) -> list[str]:
    """An image's names in full, but digests; older versions of the API have a name for none."""
    tags = (str(each) for each in image.get("RepoTags") or ())
    return [str(read_engine_name(each) or each) for each in tags if not each.startswith("<none>")]


def _without(filters: Mapping[str, list[Any]], name: str) -> dict[str, list[Any]]:
    return {key: value for key, value in filters.items() if key != name}


def _escape(text: str) -> str:
    return quote(text, safe=":/")
