"""Checks, before a token is used, whether it reaches more than its API's repositories.

GitHub reports a token's scopes in the header X-OAuth-Scopes of each answer. The answer to the
tool's first request would be too late: the request has taken effect by then. So the worker first
sends a harmless probe, and each request with the token waits for its answer.
"""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.https.service import Service
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_modules.apis import Api, present

_PIECE = 1 << 14
# For connection and answer, in seconds.
_PROBED_S = 20.0
# Statuses that say nothing about the token: they may be temporary.
_UNCLEAR = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_TRY_AGAIN = "try again; a person on the host can see whether the service answers: curl -v"


class TokenTooBroad(Denied):
    """A token that was found to reach more than its API's repositories."""

    def __init__(self, api: Api) -> None:
        super().__init__(
            f"the token of {api.name} reaches more than the repositories of this agent",
            layer="broker",
            rule="wide",
            hint="a person on the host can make a fine-grained token for these repositories "
            f"(airlock login {api.module}), or write wide = true in [{api.module}] of this "
            "agent's airlock.toml" + AND_RELOAD,
        )


class TokenRejected(Failed):
    """The service answers 401 to a token."""

    def __init__(self, api: Api) -> None:
        super().__init__(
            f"the service does not take the token of {api.name} (401)",
            hint="try again; if it stays so, a person on the host can log in again, or store "
            f"another: airlock login {api.module}",
        )


class _Failure(msgspec.Struct, frozen=True):
    """Why and when a probe failed; requests that waited for it fail with it."""

    at: float
    message: str
    hint: str
    is_taken: bool


class _Place:
    """What is known at one host and port of an API; the holder of `turn` probes there."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        # The version of the last token found narrow.
        self.narrow: int | None = None
        self.failure: _Failure | None = None


class Scopes:
    """What is known of an API's tokens, by version."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._too_wide: set[int] = set()
        self._places: dict[str, _Place] = {}

    def mark_too_broad(self, version: int) -> None:
        """Mark a token as too wide: it is not sent again."""
        self._too_wide.add(version)

    async def demand_narrow(
        self,
        service: Service,
        authority: str,
        *,
        secret: str,
        version: int,
        spend: Callable[[], Awaitable[None]],
    ) -> None:
        """Return if a token may be used at `authority`, which is probed once.

        Raises TooWide; Failed if the probe failed. `spend` is called after a 401.
        """
        if not self._api.is_bounded:
            return
        place = self._places.setdefault(authority, _Place())
        began = trio.current_time()
        async with place.turn:
            if version in self._too_wide:
                raise TokenTooBroad(self._api)
            if place.narrow == version:
                return
            self._raise_failure(place.failure, began)
            try:
                is_narrow = await self._probe(service, authority, secret)
            except Failed as error:
                is_taken = not isinstance(error, TokenRejected)
                now = trio.current_time()
                place.failure = _Failure(now, error.message, error.hint, is_taken)
                if not is_taken:
                    await spend()
                raise
            place.failure = None
            if not is_narrow:
                self.mark_too_broad(version)
                raise TokenTooBroad(self._api)
            place.narrow = version

    def _raise_failure(self, failure: _Failure | None, began: float) -> None:
        """Raise the failure of a probe that another request made while this one waited."""
        if failure is None or failure.at < began:
            return
        if not failure.is_taken:
            raise TokenRejected(self._api)
        raise Failed(failure.message, hint=failure.hint)

    async def _probe(self, service: Service, authority: str, secret: str) -> bool:
        """Whether a token is narrow, as are those without scopes (fine-grained). Raises Failed."""
        try:
            with trio.fail_after(_PROBED_S):
                response = await self._ask(service, authority, secret)
        except trio.TooSlowError:
            raise self._unknown(f"no answer came in {_PROBED_S:g} s") from None
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            raise self._unknown("the service did not answer as HTTP has it") from None
        finally:
            await service.close()
        status, scopes = response.status_code, read_scopes(response.headers)
        if status == HTTPStatus.UNAUTHORIZED:
            raise TokenRejected(self._api)
        if scopes is None and (status in _UNCLEAR or status >= HTTPStatus.INTERNAL_SERVER_ERROR):
            raise self._unknown(f"the service answered {status}")
        return not self._api.is_too_wide(scopes)

    async def _ask(self, service: Service, authority: str, secret: str) -> h11.Response:
        """Read the head of the answer; the connection cannot be reused."""
        assert self._api.credential is not None  # noqa: S101 - for mypy
        headers = [
            ("host", authority),
            present(self._api.credential, secret),
            ("user-agent", "airlock"),
            ("accept", "application/json"),
            ("connection", "close"),
        ]
        await service.prepare(fresh=True)
        talk = service.talk
        request = h11.Request(method="GET", target=self._api.probe_path, headers=headers)
        data = b"".join(talk.send(each) or b"" for each in (request, h11.EndOfMessage()))
        await service.stream.send_all(data)
        while True:
            event = talk.next_event()
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                talk.receive_data(await service.stream.receive_some(_PIECE))
            elif not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise self._unknown("the service did not answer as HTTP has it")

    def _unknown(self, why: str) -> Failed:
        name = self._api.name
        return Failed(f"how far the token of {name} reaches is not known: {why}", hint=_TRY_AGAIN)


def read_scopes(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The scopes reported in an answer; None if it reports none."""
    found = [value.decode("latin-1") for name, value in headers if name == b"x-oauth-scopes"]
    return ",".join(found) if found else None
