"""Whose a fault is, by what the daemon has written of it."""

import pytest
from e2e.canary.look import has_fault
from e2e.world.errors import BrokenError

SAID = """\
airlock: a fault of the daemon ended request 3f; please report it
Traceback (most recent call last):
  File "/x/airlock_daemon/serving/request/broker.py", line 65, in admit
    return await admit_errand(request.args, requester.generation, requester)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/x/e2e/canary/unguarded.py", line 53, in admit
    return await admission.admit_url(args[0], args[1:])
                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
WITHIN = """\
  File "/x/airlock_daemon/boundary/brokers/git/admission.py", line 36, in admit_url
    destination = asked.destination
"""


def test_a_fault_counts_unless_it_is_of_what_switches_the_guard_off() -> None:
    """Such an attack would seem to work, whatever it does."""
    assert not has_fault("airlock: ready\n")
    assert has_fault(f"{SAID}{WITHIN}AttributeError: destination\n")
    with pytest.raises(BrokenError, match="does not fit the daemon: TypeError: too many"):
        has_fault(f"{SAID}TypeError: too many\nairlock: ready\n")
