"""Everyday calls and evasions of the built-in APIs, as their tools make them."""

import json

import pytest
from msgspec.structs import replace

from airlock_modules import Fault, TableReader, builtin_security, load_builtin
from airlock_modules.apis import Api, ApiCall, BadHead, Client, Head, read_graphql, read_head
from airlock_modules.files.api_profile import grant_apis

_PROFILE = """
[gh]
repositories = ["acme/app"]
[npm]
publish = ["@acme/*", "tool"]
[pypi]
publish = true
[kubectl]
namespaces = ["web"]
exec = ["app-*"]
forward = ["db-0"]
allow = ["* /api/**", "* /apis/apps/**"]
[google]
projects = ["acme-dev"]
buckets = ["acme-data"]
write = ["acme-out"]
[terraform]
allow = ["* /api/v2/organizations/acme/**", "GET /api/v2/workspaces/ws-1/**"]
"""
_EVERYDAY = {
    "anthropic": """
        POST /v1/messages
        POST /v1/messages?beta=true
        POST /v1/messages/count_tokens?beta=true
        GET /v1/models?limit=20
        GET /v1/models/claude-sonnet-4-5
        HEAD /api/hello
        GET /api/claude_code/settings
        GET /api/claude_code/policy_limits
    """,
    "openai": """
        POST /v1/responses
        GET /v1/responses/resp_123?stream=true
        POST /v1/responses/resp_123/cancel
        POST /v1/chat/completions
        POST /v1/embeddings
        GET /v1/models
        GET /v1/models/gpt-5
    """,
    "gh": """
        GET /
        GET /user
        GET /repos/acme/app
        GET /repos/acme/app/pulls/1
        GET /repos/acme/app/pulls?state=all&per_page=100
        GET /repos/acme/app/pulls/1/files
        GET /repos/acme/app/issues/1/comments
        GET /repos/acme/app/actions/runs?per_page=20&exclude_pull_requests=true
        GET /repos/acme/app/actions/runs/5/jobs?per_page=100
        GET /repos/acme/app/actions/runs/5/logs
        GET /repos/acme/app/actions/workflows/7
        GET /repos/acme/app/check-runs/9/annotations
        GET /repos/acme/app/commits/main/check-runs
        GET /repos/acme/app/compare/main...feature%2Fx
        GET /repos/acme/app/contents/src/a%20b.py?ref=main
        GET /repos/acme/app/git/trees/main?recursive=1
        GET /repos/acme/app/releases/latest
        GET /repos/acme/app/readme
        POST /repos/acme/app/pulls
        PATCH /repos/acme/app/pulls/1
        POST /repos/acme/app/pulls/1/comments
        POST /repos/acme/app/pulls/1/requested_reviewers
        POST /repos/acme/app/issues
        PATCH /repos/acme/app/issues/1
        POST /repos/acme/app/issues/1/comments
        DELETE /repos/acme/app/issues/1/labels/good%20first%20issue
        POST /repos/acme/app/labels
    """,
    "npm": """
        GET /lodash
        GET /@types%2fnode
        GET /@types/node
        GET /lodash/latest
        GET /lodash/-/lodash-4.17.21.tgz
        GET /@types/node/-/node-20.0.0.tgz
        GET /-/v1/search?text=x
        GET /-/package/@types%2fnode/dist-tags
        POST /-/npm/v1/security/advisories/bulk
        GET /-/whoami
        PUT /@acme%2fapp
        PUT /tool
        PUT /-/package/@acme%2fapp/dist-tags/beta
    """,
    "pypi": """
        GET /simple/requests/
        GET /pypi/requests/json
        POST //upload.pypi.org/legacy/
        GET //files.pythonhosted.org/packages/aa/bb/x-1.0-py3-none-any.whl
        HEAD //files.pythonhosted.org/packages/aa/bb/x-1.0-py3-none-any.whl.metadata
    """,
    "kubectl": """
        GET /api?timeout=32s
        GET /apis/apps/v1?timeout=32s
        GET /openapi/v3/apis/apps/v1?hash=0
        GET /version?timeout=32s
        GET /api/v1/namespaces/web/pods?limit=500
        GET /api/v1/namespaces/web/pods?includeObject=Object
        GET /api/v1/namespaces/web/pods?watch=true&resourceVersion=1
        GET /api/v1/namespaces/web/pods/app-1/log?follow=true
        GET /apis/apps/v1/namespaces/web/deployments/app
        GET /apis/events.k8s.io/v1/namespaces/web/events?limit=500
        GET /apis/metrics.k8s.io/v1beta1/namespaces/web/pods
        POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews
        GET /api/v1/namespaces/web/pods/app-1/exec?command=id&stdout=true
        POST /api/v1/namespaces/web/pods/app-1/exec?command=id&stdout=true
        POST /api/v1/namespaces/web/pods/db-0/portforward
    """,
    "google": """
        GET /compute/v1/projects/acme-dev/zones/europe-west1-b/instances?alt=json
        GET //run.googleapis.com/v2/projects/acme-dev/locations/europe-west1/services
        GET //storage.googleapis.com/storage/v1/b/acme-data/o?prefix=x
        GET //storage.googleapis.com/storage/v1/b/acme-data/o/a%2Fb?alt=media
        POST //storage.googleapis.com/upload/storage/v1/b/acme-out/o?uploadType=resumable
        PUT //storage.googleapis.com/upload/storage/v1/b/acme-out/o?name=a&upload_id=1
        DELETE //storage.googleapis.com/storage/v1/b/acme-out/o/a%2Fb
    """,
    "terraform": """
        GET /.well-known/terraform.json
        GET /api/v2/ping
        GET /api/v2/organizations/acme/workspaces/app
        GET /api/v2/workspaces/ws-1/runs
    """,
}
_EVASIONS = {
    "anthropic": """
        POST /v1/files
        GET /v1/files/file_1/content
        POST /v1/messages/batches
        POST /v1/messages/../files
        POST /v1/messages/%2e%2e/files
        POST /v1/messages//
        POST /v1/Messages/x
        POST /v1/skills
        POST /api/event_logging/v2/batch
        GET /api/oauth/profile
        DELETE /v1/models/x
        POST /api/oauth/claude_cli/create_api_key
        GET /v1/organizations/api_keys
        POST /v1/messages?_method=DELETE
        POST /v1/messages?other=1
    """,
    "openai": """
        POST /v1/files
        GET /v1/files
        GET /v1/responses
        DELETE /v1/responses/resp_1
        POST /v1/fine_tuning/jobs
        POST /v1/uploads
        POST /v1/batches
        POST /v1/vector_stores
        GET /v1/organization/admin_api_keys
        POST /v1/organization/projects/p/api_keys
        POST /v1/realtime/client_secrets
        POST /v1/responses/..%2ffiles
        DELETE /v1/models/ft:x
    """,
    "gh": """
        PUT /repos/acme/app/pulls/1/merge
        PUT /repos/acme/app/pulls/1/merge/
        PUT /repos/acme/app/pulls/1/update-branch
        POST /repos/acme/app/pulls/1/reviews
        PUT /repos/acme/app/contents/a.py
        DELETE /repos/acme/app/contents/a.py
        POST /repos/acme/app/git/refs
        PATCH /repos/acme/app/git/refs/heads/main
        POST /repos/acme/app/merges
        POST /repos/acme/app/merge-upstream
        POST /repos/acme/app/forks
        POST /repos/acme/app/dispatches
        POST /repos/acme/app/actions/workflows/7/dispatches
        POST /repos/acme/app/actions/runs/5/rerun
        GET /repos/acme/app/actions/secrets
        PUT /repos/acme/app/actions/secrets/X
        GET /repos/acme/app/actions/variables
        POST /repos/acme/app/actions/runners/registration-token
        GET /repos/acme/app/hooks
        POST /repos/acme/app/hooks
        POST /repos/acme/app/keys
        PATCH /repos/acme/app
        DELETE /repos/acme/app
        PUT /repos/acme/app/collaborators/evil
        POST /repos/acme/app/releases
        POST /repos/acme/app/statuses/abc
        GET /repos/acme/other
        GET /repos/acme/app2
        GET /repos/acme/app/../secret
        GET /repos/acme%2Fapp/../secret/contents/a
        GET /repos/acme/app%2F..%2F..%2Fsecret
        GET /repos/acme/app;x/hooks
        GET /repos/acme/app/contents/%2e%2e/%2e%2e/hooks
        GET /repositories/1
        GET /user/repos
        GET /user/keys
        POST /user/keys
        POST /gists
        GET /search/code?q=password
        GET /orgs/acme/repos
        GET /notifications
        POST /app/installations/1/access_tokens
        POST /markdown
        GET /repos/acme/app?_method=DELETE
        POST /repos/acme/app/issues/1/lock
    """,
    "npm": """
        PUT /lodash
        PUT /@other%2fapp
        PUT /@acme%2fapp%2fx
        PUT /@acme/app
        PUT /tool/-rev/1
        DELETE /tool/-rev/1
        DELETE /@acme%2fapp/-/app-1.0.0.tgz/-rev/1
        GET /-/npm/v1/tokens
        POST /-/npm/v1/tokens
        PUT /-/user/org.couchdb.user:evil
        POST /-/v1/login
        PUT /-/org/acme/user
        POST /-/package/@acme%2fapp/access
        PUT /-/npm/v1/hooks/hook/1
        PUT /-/npm/v1/user
        GET /x?other=1
    """,
    "pypi": """
        POST /legacy/
        POST /pypi
        POST //upload.pypi.org/legacy
        GET //upload.pypi.org/legacy/
        GET /simple/x/?other=1
        GET /manage/projects/
        POST /_/oidc/mint-token
        GET //files.pythonhosted.org/
    """,
    # By a profile that allows all below /api: no wildcard grants these.
    "kubectl": """
        GET /api/v1/namespaces/web/secrets
        GET /api/v1/namespaces/web/pods/app-1/log?insecureSkipTLSVerifyBackend=true
        GET /api/v1/namespaces/web/secrets/x
        GET /api/v1/secrets
        GET /api/v1/Secrets
        GET /api/v1/namespaces/web/secrets/
        GET /api/v1//secrets
        GET /api/v1/watch/secrets
        GET /api/v1/watch/namespaces/web/pods
        GET /api/v1/namespaces/web/pods/other/exec?command=id
        GET /api/v1/namespaces/kube-system/pods/app-1/exec?command=id
        GET /api/v1/namespaces/web/pods/app-1%2f..%2fother/exec
        GET /api/v1/namespaces/web/pods/app-1/../other/exec
        GET /api/v1/namespaces/web/pods/app-1/portforward
        GET /api/v1/namespaces/web/pods/app-1/proxy/
        GET /api/v1/namespaces/web/services/app:80/proxy/admin
        GET /api/v1/nodes/node-1/proxy/pods
        PATCH /api/v1/namespaces/web/pods/app-1/ephemeralcontainers
        POST /api/v1/namespaces/web/serviceaccounts/default/token
        POST /apis/authentication.k8s.io/v1/tokenreviews
        POST /apis/certificates.k8s.io/v1/certificatesigningrequests
        GET /apis/apps/v1/watch/namespaces/web/deployments
        GET /apis/batch/v1/namespaces/other/jobs
        GET /metrics
        GET /logs/
    """,
    "google": """
        GET /compute/v1/projects/other/zones/europe-west1-b/instances
        GET /compute/v1/projects/acme-dev/zones/europe-west1-b/instances/i/serialPort
        POST /compute/v1/projects/acme-dev/zones/europe-west1-b/instances
        POST /v1/projects/acme-dev:setIamPolicy
        GET /v1/projects/acme-dev:getIamPolicy
        GET //storage.googleapis.com/storage/v1/b/other/o
        GET //storage.googleapis.com/storage/v1/b?project=acme-dev
        GET //storage.googleapis.com/acme-data/x
        POST //storage.googleapis.com/upload/storage/v1/b/acme-data/o
        DELETE //storage.googleapis.com/storage/v1/b/acme-out
        PUT //storage.googleapis.com/storage/v1/b/acme-out/iam
        POST //storage.googleapis.com/storage/v1/b/acme-out/o/x/rewriteTo/b/evil/o/x
        POST //storage.googleapis.com/storage/v1/projects/acme-dev/hmacKeys
        POST //storage.googleapis.com/upload/storage/v1/b/acme-out/o?predefinedAcl=publicRead
        POST //storage.googleapis.com/upload/storage/v1/b/acme-out/o?name=a&predefined%41cl=private
        POST //storage.googleapis.com/upload/storage/v1/b/acme-out/o?name=a;predefinedAcl=publicRead
        POST //storage.googleapis.com/upload/storage/v1/b/acme-out/o?kmsKeyName=projects/evil/key
        GET //storage.googleapis.com/storage/v1/b/acme-data/o?userProject=evil
        GET /compute/v1/projects/acme-dev/zones/europe-west1-b/instances?credential_of_mine=x
    """,
    "terraform": """
        POST /api/v2/organizations/acme/authentication-token
        GET /api/v2/organizations/other/workspaces
        POST /api/v2/users/user-1/authentication-tokens
        POST /api/v2/teams/team-1/authentication-token
        POST /api/v2/teams/team-1/authentication-tokens
        GET /api/v2/state-versions/sv-1
        POST /api/v2/runs
    """,
}


def _grant(name: str, profile: str = _PROFILE) -> tuple[tuple[Api, ...], Client]:
    faults: list[Fault] = []
    reader = TableReader.parse(profile, source="airlock.toml", faults=faults)
    assert reader is not None
    module, table = load_builtin(name), reader.table(name)
    granted = grant_apis(module.apis, module.clients, table)
    table.finish()
    assert faults == []
    return granted.apis, granted.client


def _is_allowed(apis: tuple[Api, ...], call: str) -> bool:
    method, target = call.split()
    # Where a cluster is the kubeconfig says.
    apis = tuple(replace(each, hosts=each.hosts or ("cluster.example",)) for each in apis)
    host, path = apis[0].hosts[0], target
    hosts = {name for each in apis for name in each.hosts}
    if target.startswith("//") and target[2:].split("/")[0] in hosts:
        host, _, rest = target[2:].partition("/")
        path = f"/{rest}"
    try:
        head = read_head(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), host)
    except BadHead:
        return False
    api = next(each for each in apis if each.serves(host, 443))
    asked = ApiCall(method=head.method, path=head.path, query_names=head.query_names)
    return api.judge(asked).refusal is None


def _split(calls: str) -> list[str]:
    return [call.strip() for call in calls.strip().splitlines()]


@pytest.mark.parametrize("name", _EVERYDAY)
def test_everyday_calls_are_allowed(name: str) -> None:
    """What tools and SDKs ask for in a day's work."""
    apis, _ = _grant(name)
    assert [call for call in _split(_EVERYDAY[name]) if not _is_allowed(apis, call)] == []


@pytest.mark.parametrize("name", _EVASIONS)
def test_evasions_are_refused(name: str) -> None:
    """What would last, lead elsewhere, or answer with a secret."""
    apis, _ = _grant(name)
    assert [call for call in _split(_EVASIONS[name]) if _is_allowed(apis, call)] == []


def _ask_graphql(query: str, **variables: object) -> bool:
    apis, _ = _grant("gh")
    head = Head("POST", "/graphql", "", ((b"content-type", b"application/json"),))
    try:
        fields = read_graphql(head, json.dumps({"query": query, "variables": variables}).encode())
    except BadHead:
        return False
    return apis[0].judge(ApiCall(method="POST", path="/graphql", graphql=fields)).refusal is None


@pytest.mark.parametrize(
    "query",
    [
        (
            "fragment repo on Repository{id} query RepositoryInfo($owner:String!,$name:String!)"
            "{repository(owner:$owner,name:$name){...repo parent{...repo}}}"
        ),
        (
            "mutation PullRequestCreate($input:CreatePullRequestInput!)"
            "{createPullRequest(input:$input){pullRequest{id url}}}"
        ),
        "query UserCurrent{viewer{login}}",
        (
            'query PullRequest_fields{PullRequest:__type(name:"PullRequest")'
            "{fields(includeDeprecated:true){name}}}"
        ),
        "query PullRequestStatusChecks($id:ID!){node(id:$id){...on PullRequest{id}}}",
        (
            "query IssueSearch($owner:String!,$repo:String!,$q:String!)"
            "{repository(owner:$owner,name:$repo){id} search(type:ISSUE,query:$q){issueCount}}"
        ),
        "mutation CommentCreate($input:AddCommentInput!){addComment(input:$input){id}}",
        (
            "mutation PullRequestClose($input:ClosePullRequestInput!)"
            "{closePullRequest(input:$input){pullRequest{id}}}"
        ),
    ],
)
def test_queries_of_gh_are_allowed(query: str) -> None:
    """As gh 2.46 sends them for pr create, pr checks, issue list --label, pr comment, pr close."""
    q = "author:me label:bug repo:acme/app state:open type:issue"
    variables = {"owner": "acme", "name": "app", "repo": "app", "id": "PR1", "q": q}
    assert _ask_graphql(query, **variables)


@pytest.mark.parametrize(
    "query",
    [
        'mutation {mergePullRequest(input:{pullRequestId:"x"}){clientMutationId}}',
        "mutation {addComment(input:{}){id} enablePullRequestAutoMerge(input:{}){actor{id}}}",
        "mutation {addComment:updateRef(input:{}){clientMutationId}}",
        "mutation {createCommitOnBranch(input:{}){commit{oid}}}",
        "mutation {addPullRequestReview(input:{event:APPROVE}){clientMutationId}}",
        "query A{viewer{login}} mutation B{deleteRef(input:{}){clientMutationId}}",
        "{viewer{repositories(first:100){nodes{name}}}}",
        '{repository(owner:"acme",name:"secret"){id}}',
        '{repository(owner:"acme",name:"app"){id} b:repository(owner:"x",name:"y"){id}}',
        '{search(type:CODE,query:"password"){codeCount}}',
        r'{search(type:CODE,query:"\"x repo:acme/app y\" password"){codeCount}}',
        '{organization(login:"acme"){repository(name:"secret"){id}}}',
        '{repositoryOwner(login:"acme"){repositories(first:9){nodes{name}}}}',
        # graphql-js ends the first string at the third quotes, so that `viewer` would be hidden.
        r'{rateLimit(a:"""\\""" b:""") viewer{repositories{nodes{name}}} } #""" ) }',
        '{resource(url:"https://github.com/x/y"){url}}',
        "# x\rmutation{deleteRef(input:{}){clientMutationId}}",
    ],
)
def test_queries_for_more_are_refused(query: str) -> None:
    """What moves refs, approves, or begins elsewhere."""
    assert not _ask_graphql(query)


@pytest.mark.parametrize("name", _EVERYDAY)
def test_every_secret_and_variable_is_explained(name: str) -> None:
    """In the module's SECURITY.md."""
    module, security = load_builtin(name), builtin_security(name)
    rules = [rule for api in module.apis for rule in (*api.secret, *api.deny)]
    # What is granted by a list of names stands there as that.
    rules = [rule for rule in rules if "{" not in rule]
    given = [each for client in module.clients.values() for each in client.env]
    if name == "gh":
        rules = []  # They stand there as a sentence.
    assert [word for word in (*rules, *given) if f"`{word}`" not in security] == []


def test_packages_are_installed_without_a_credential() -> None:
    """Tools send it where a profile says that they publish, or that packages are private."""
    apis, client = _grant("npm", "")
    assert (client.env, client.files) == ({}, {})
    assert not _is_allowed(apis, "PUT /tool")
    _, private = _grant("npm", "[npm]\nprivate = true")
    assert list(private.files) == ["~/.npmrc"]
    apis, client = _grant("pypi", "")
    assert (client.env, _is_allowed(apis, "POST //upload.pypi.org/legacy/")) == ({}, False)


def test_a_cluster_grants_no_upgrade_but_to_pods_that_are_named() -> None:
    """And a bare grant none at all."""
    (api,), _ = _grant("kubectl")
    path = "/api/v1/namespaces/web/pods/app-1/exec"
    assert api.judge(ApiCall(method="GET", path=path, upgrade="websocket")).refusal is None
    path = "/api/v1/namespaces/web/pods/app-1/log"
    assert api.judge(ApiCall(method="GET", path=path, upgrade="websocket")).rule == "upgrade"
    (bare,), _ = _grant("kubectl", "")
    assert (bare.upgrade, any("secrets" in rule for rule in bare.allow)) == ((), False)


def test_an_agent_without_repositories_reads_none() -> None:
    """Neither by a path nor by a query."""
    apis, _ = _grant("gh", "")
    assert (apis[0].repositories, _is_allowed(apis, "GET /repos/acme/app")) == ((), False)
