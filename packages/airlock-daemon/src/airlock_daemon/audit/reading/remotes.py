"""What a `broker` record says, as a person says it: push refs/heads/x to github.com/acme/app."""

from collections.abc import Callable, Iterator, Mapping

_VERBS = {
    "git-receive-pack": ("push", "to"),
    "git-upload-pack": ("fetch", "from"),
    "connect": ("connect", "to"),
    "docker": ("speak", "to"),
    "aws-keys": ("get keys of AWS", "at"),
}
_SCHEME = "ssh://"


def tell_remote(detail: Mapping[object, object], show: Callable[[object], str]) -> Iterator[str]:
    """The words of it. `show` makes one word of whatever stands in the record."""
    service = detail.get("service")
    if service == "ssh":
        yield from _tell_session(detail, show)
        return
    verb, preposition = _VERBS.get(str(service), (show(service), "at"))
    yield verb
    refs = detail.get("refs")
    for each in refs if isinstance(refs, list) else ():
        if isinstance(each, dict):
            yield from _tell_ref(each, show)
    if "more" in detail:
        more = detail["more"]
        yield f"... ({more if isinstance(more, int) else show(more)} more)"
    place = detail.get("destination")
    if service == "connect" and place is None:
        # It could not be read.
        return
    yield preposition
    yield show(place.removeprefix(_SCHEME) if isinstance(place, str) else place)
    if "unpinned" in detail:
        yield "[unpinned]"


def _tell_session(detail: Mapping[object, object], show: Callable[[object], str]) -> Iterator[str]:
    yield "ssh"
    query = detail.get("query")
    yield from map(show, query if isinstance(query, list) else ())
    place = detail.get("destination")
    if place is not None:
        yield show(place.removeprefix(_SCHEME) if isinstance(place, str) else place)
    if "subsystem" in detail:
        yield "-s"
    for key in ("subsystem", "command"):
        if key in detail:
            yield show(detail[key])
    if "unpinned" in detail:
        yield "[unpinned]"


def _tell_ref(each: Mapping[object, object], show: Callable[[object], str]) -> Iterator[str]:
    if not str(each.get("new")).strip("0"):
        yield "--delete"
    yield show(each.get("ref"))
