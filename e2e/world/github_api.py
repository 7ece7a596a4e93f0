"""The part of GitHub's API that gh needs for pull requests and a run of the repository acme/app."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

from .web_server import Answer, Asked

TITLE = "Mend the door"
HEAD = "agent/door"
"""Title and branch of the existing pull request 7."""
_RUN = "/repos/acme/app/actions/runs/5"
_WORKFLOW = "/repos/acme/app/actions/workflows/"
_CHECK = "/repos/acme/app/check-runs/"
_STATE = (
    {"status": "in_progress", "conclusion": None},
    {"status": "completed", "conclusion": "success"},
)
_asked_run = itertools.count()


def answer_github(asked: Asked, *, token: str) -> Answer:
    """Answer clients with the token as api.github.com or a GitHub Enterprise Server does."""
    if asked.account not in (f"token {token}", f"Bearer {token}"):
        return 401, {"message": "Bad credentials"}
    if asked.path in ("/graphql", "/api/graphql"):
        question = json.loads(asked.body)
        return 200, _answer_query(question["query"], question.get("variables", {}))
    path = asked.path.removeprefix("/api/v3")
    if path.startswith((_RUN, _WORKFLOW, _CHECK)):
        return 200, _answer_run(asked)
    found = _FOUND.get(path)
    return (404, {"message": "Not Found"}) if found is None else (200, found)


def _answer_query(query: str, variables: Mapping[str, Any]) -> object:
    if "createPullRequest(" in query:
        return {"data": {"createPullRequest": {"pullRequest": _pull_request(8, "")}}}
    if "mergePullRequest(" in query:
        return {"data": {"mergePullRequest": {"clientMutationId": ""}}}
    if "__type(" in query:
        # gh asks for optional features, of which this server has none.
        return {"data": {}}
    repository: dict[str, object] = {
        "id": "R_1",
        "name": "app",
        "owner": {"login": "acme"},
        "viewerPermission": "WRITE",
        "defaultBranchRef": {"name": "main"},
    }
    if "pullRequests(" in query:
        head = variables.get("headRefName", HEAD)
        found = [_pull_request(7, TITLE)] if head == HEAD else []
        page = {"hasNextPage": False, "endCursor": ""}
        counted = {"totalCount": len(found), "nodes": found, "pageInfo": page}
        repository["pullRequests"] = counted
    if "pullRequest(" in query:
        repository["pullRequest"] = _pull_request(7, TITLE)
    return {"data": {"repository": repository}}


def _answer_run(asked: Asked) -> object:
    """Answer about run 5, alternating between in progress and done."""
    if asked.path == f"{_RUN}/jobs":
        return {"total_count": 1, "jobs": [{"id": 6, "name": "build", "steps": [], **_STATE[1]}]}
    if asked.path != _RUN:
        return [] if asked.path.startswith(_CHECK) else {"id": 4, "name": "Build"}
    state = _STATE[next(_asked_run) % 2]
    return {
        "id": 5,
        "workflow_id": 4,
        "head_branch": HEAD,
        "jobs_url": f"https://{asked.host}{_RUN}/jobs",
        **state,
    }


def _pull_request(number: int, title: str) -> dict[str, object]:
    return {
        "id": f"PR_{number}",
        "number": number,
        "title": title,
        "body": "It squeaks.",
        "state": "OPEN",
        "url": f"https://github.example.com/acme/app/pull/{number}",
        "headRefName": HEAD,
        "createdAt": "2026-01-01T00:00:00Z",
    }


_FOUND: Mapping[str, object] = {
    "/rate_limit": {"resources": {}},
    "/user": {"login": "ada"},
    "/repos/acme/app/pulls": [_pull_request(7, TITLE)],
}
