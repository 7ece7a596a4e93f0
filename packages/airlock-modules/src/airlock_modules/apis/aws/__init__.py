"""AWS: verify the placeholder's signature, identify and judge the operation, sign the request anew.

This module imports what judges; `operations` and `signature` are for the process that parses
requests, since the table of operations is large.
"""

from airlock_modules.apis.aws.grant import Call, Grant, Keys, Operation, find_action_problem

__all__ = ["Call", "Grant", "Keys", "Operation", "find_action_problem"]
