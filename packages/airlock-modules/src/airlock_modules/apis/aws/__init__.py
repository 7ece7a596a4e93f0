"""AWS: a placeholder's signature is verified, the operation found and judged, and all signed anew.

What is imported here judges; `operations`, `signature` and `calls` are for the process that reads
requests, since the table of operations is large.
"""

from airlock_modules.apis.aws.grant import Call, Grant, Keys, Operation, find_action_problem

__all__ = ["Call", "Grant", "Keys", "Operation", "find_action_problem"]
