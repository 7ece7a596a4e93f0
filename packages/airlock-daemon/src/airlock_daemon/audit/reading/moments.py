"""Moments that a person names, and those of records."""

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RECORDED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def read_moment(text: str, *, now: datetime) -> str:
    """A duration before `now` (`90s 15m 24h 7d 2w`), or a time of ISO 8601, as records have it.

    A time without a zone is that of this host; `now` has one. Raises ValueError for anything else.
    """
    duration = _DURATION.fullmatch(text)
    try:
        if duration:
            moment = now - timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        else:
            moment = datetime.fromisoformat(text)
        return _format(moment)
    except (ValueError, OverflowError):
        raise ValueError(
            f"'{text}' is no duration (90s, 15m, 24h, 7d, 2w) and no time (2026-01-31T12:00)"
        ) from None


def is_since(ts: str, moment: str | None) -> bool:
    """Whether a record of `ts` is not from before `moment`; what is no time is new."""
    if moment is None:
        return True
    if not _RECORDED.fullmatch(ts):
        # Earlier implementations wrote it in another form.
        try:
            ts = _format(datetime.fromisoformat(ts))
        except (ValueError, OverflowError):
            return True
    return ts >= moment


def _format(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
