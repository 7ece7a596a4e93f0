"""The box: the tool sees the workspace, the system's programs, and nothing else of the host."""

from airlock_daemon.boundary.box.choice import Boxed, Maker, Templates, find_identity
from airlock_daemon.boundary.box.prewarmed import Boxes, BoxPool
from airlock_daemon.boundary.box.probe import probe_box, probe_groups
from airlock_daemon.boundary.box.runner import BoxRun, open_run
from airlock_daemon.boundary.box.system import ApiAccess
