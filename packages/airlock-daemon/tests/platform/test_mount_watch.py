"""Changes of what is mounted, as the kernel tells of them."""

import subprocess
import sys
from pathlib import Path

WATCH = """
import subprocess, sys
from airlock_daemon.platform.linux.mount_watch import MountWatch
watch = MountWatch()
seen = [watch.has_changed()]
for words in (["mount", "-t", "tmpfs", "x", sys.argv[1]], ["true"], ["umount", sys.argv[1]],
              ["unshare", "--mount", "mount", "-t", "tmpfs", "x", sys.argv[1]]):
    subprocess.run(words, check=True)
    seen.append(watch.has_changed())
print(seen)
"""


def test_changes_of_mounts_are_seen_and_those_of_other_namespaces_not(tmp_path: Path) -> None:
    """Where this process may have a mount namespace of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", WATCH]
    ran = subprocess.run([*words, str(tmp_path)], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[False, True, False, True, False]"
