"""Whether the container engine runs on another kernel than the daemon, as in a virtual machine."""

import shutil

import msgspec
import trio

from airlock_daemon.identity.engine_info import EngineInfo
from airlock_daemon.identity.engines import ENGINES

_LONGEST_S = 5.0


async def find_elsewhere(search_path: str) -> str | None:
    """Ask the first engine that answers on `search_path` where its containers run.

    None where that is this kernel, or no engine says.
    """
    for engine in ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is None:
            continue
        try:
            with trio.fail_after(_LONGEST_S):
                done = await trio.run_process(
                    (program, "info", "--format", "{{json .}}"),
                    stdin=b"",
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
            info = msgspec.json.decode(done.stdout, type=EngineInfo)
        except (OSError, trio.TooSlowError, msgspec.MsgspecError):
            continue
        if info.kernel or info.version:
            return info.explain_elsewhere()
    return None
