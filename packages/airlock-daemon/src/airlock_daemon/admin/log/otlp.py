"""Sends records of the log to a collector by OTLP over HTTP, with OpenTelemetry's own exporter.

That is the extra `airlock-daemon[otlp]`. It is imported here alone, and only when it is asked for:
no daemon loads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from airlock_daemon.admin.log.items import Item
from airlock_daemon.errors import AirlockError
from airlock_wire import quote

_BATCH = 200
# Of a line that is no record; a record is much shorter.
_MAX_LENGTH = 1 << 16
# OpenTelemetry's numbers of severity.
_INFO, _WARN = 9, 13
_MEMBERS = ("event", "profile", "command", "outcome", "layer", "rule", "container", "request")


class Collector:
    """A collector at a URL, to which records are sent in batches."""

    def __init__(self, url: str) -> None:
        """Raises AirlockError where the exporter is not installed."""
        try:
            # An extra, which is not always there.
            from opentelemetry._logs import SeverityNumber  # noqa: PLC0415
            from opentelemetry.exporter.otlp.proto.http import _log_exporter  # noqa: PLC0415
            from opentelemetry.sdk._logs import LoggerProvider, export  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        except ImportError as error:
            raise AirlockError(
                f"OpenTelemetry's exporter is not installed: {error}",
                hint="pip install 'airlock-daemon[otlp]' into the environment of airlock",
            ) from error
        self._url = url
        self._severity = SeverityNumber
        self._noting = _Noting(_log_exporter.OTLPLogExporter(endpoint=url))
        self._provider = LoggerProvider(resource=Resource.create({"service.name": "airlock"}))
        self._provider.add_log_record_processor(export.BatchLogRecordProcessor(self._noting))
        self._logger = self._provider.get_logger("airlock.audit")

    def send(self, items: Iterable[Item]) -> int:
        """Send items, the oldest first; returns how many.

        Raises AirlockError where the collector does not take one: those of its batch may be sent
        twice when they are sent again. A body is the line of the log as it is.
        """
        count, left = 0, iter(items)
        while batch := list(islice(left, _BATCH)):
            for item in batch:
                self._emit(item)
            self._provider.force_flush()
            if self._noting.has_failed:
                raise AirlockError(
                    f"the collector at {quote(self._url)} has not taken the records",
                    hint="name its whole address, such as http://127.0.0.1:4318/v1/logs, and look "
                    "at the collector's own log",
                )
            count += len(batch)
        return count

    def close(self) -> None:
        """End its connections."""
        self._provider.shutdown()

    def _emit(self, item: Item) -> None:
        text = item.line.text
        record: Mapping[str, Any] = {} if item.entry is None else msgspec.json.decode(text)
        shown = {name: record[name] for name in _MEMBERS if isinstance(record.get(name), str)}
        is_refused = item.entry is None or record.get("outcome") in ("denied", "invalid")
        self._logger.emit(
            timestamp=_read_time(record.get("ts")),
            severity_number=self._severity(_WARN if is_refused else _INFO),
            severity_text="WARN" if is_refused else "INFO",
            body=text[:_MAX_LENGTH].decode("utf-8", "replace"),
            attributes={f"airlock.{name}": value for name, value in shown.items()},
        )


class _Noting:
    """An exporter that remembers whether the real one has failed."""

    def __init__(self, exporter: Any) -> None:
        self.has_failed = False
        self._exporter = exporter

    def export(self, batch: Sequence[Any]) -> Any:
        try:
            result = self._exporter.export(batch)
        except Exception:
            # The processor only logs it.
            self.has_failed = True
            raise
        self.has_failed |= result.name != "SUCCESS"
        return result

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _read_time(text: object) -> int | None:
    """A time of the log in nanoseconds, None for what is none."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000) * 1_000_000
    except (ValueError, OverflowError):
        return None
