"""Whether anything was mounted or unmounted in the mount namespace of this process."""

import os
import select

from airlock_daemon.platform.linux.procfs import read_process_file


class MountWatch:
    """Knows of changes since it was asked last (proc_pid_mounts(5)). Its owner must `close` it."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def has_changed(self) -> bool:
        """Whether there was one, since this was asked or made."""
        return bool(self._poll.poll(0))

    @staticmethod
    def read() -> str:
        """All mounts, as they are now."""
        return read_process_file(os.getpid(), "mountinfo")

    def close(self) -> None:
        """Give back the file."""
        os.close(self._file)
