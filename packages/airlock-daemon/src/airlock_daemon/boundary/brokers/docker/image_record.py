"""Which images of an engine are an agent's: those that it pulled or made.

The record is a file of the state directory, so that a restart of the daemon forgets none.
"""

from collections.abc import Mapping

import msgspec

from airlock_daemon.errors import Failed
from airlock_daemon.setup.state import State

_MOST = 2000


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
        self._write(_Images(ids=ids[-_MOST:], names=dict(names[-_MOST:])))

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
