"""What the values of the labels of metrics may be. Each label has few of them: none is a name that a client can invent
without end, an id, or a path as it was asked for."""

from __future__ import annotations

from collections.abc import Mapping

_LABELS: Mapping[str, str] = {
    "branch_kind": "a kind of branch",
    "by": "`client`, `upstream`: who ended the answer",
    "caller": "`client`, or the name of an orchestrator or worker in the settings",
    "client": "a known client, or one of the settings; empty for others",
    "endpoint": "a captured path (`/v1/chat/completions`), `/v1/models`, `/v1/feedback`, `count_tokens`, `batches`, "
    "`other`",
    "error_type": "empty for a whole answer; an HTTP status, `cut_client`, `cut_upstream` or `failed`",
    "gen_ai_operation_name": "`chat`, `text_completion`, `embeddings`",
    "gen_ai_provider_name": "the name of an upstream in the settings, or of an importer",
    "gen_ai_request_model": "the first 100 models that were seen, then `other`",
    "gen_ai_token_type": "`input`, `output`",
    "judge": "the name of a judge's file",
    "limit": "`upstream`: of the settings' max_concurrency, `key`: of virtual keys",
    "orchestrator": "the name of an orchestrator in the settings",
    "part": "`postgres`, `stream`",
    "purpose": "a purpose of calls",
    "reason": "`unreadable`, `refused`, `waiting`",
    "route": "a route of the API as [Web API](api.md) writes it, `none` for all other paths",
    "source": "`person`, `judge`, `rule`, `learned`, `import`, `feedback`: who gave it",
    "state": "`refused`, `waiting`",
    "status": "a state of jobs",
    "step": "`plan`, `work`, `answer`",
    "store": "`postgres`, `nats`",
    "upstream": "the name of an upstream in the settings; empty or `all` where none or all were asked",
    "version": "the version that runs",
    "worker": "the name of a worker in the settings",
}
_OF_ROOM: Mapping[tuple[str, str], str] = {
    ("datasets", "format"): "a trainer's format",
    ("datasets", "kind"): "a kind of dataset",
    ("datasets", "result"): "`held`, `broken`",
    ("evaluation", "kind"): "`rating`, `preference`",
    ("evaluation", "result"): "`valid`, `unreadable`, `failed`",
    ("capture", "format"): "a format of imports",
    ("orchestration", "result"): "`done`, `failed`, `cancelled`",
    ("replay", "status"): "`done`, `failed`",
    ("store", "kind"): "a kind of dataset",
}
_OF_ONE: Mapping[tuple[str, str], str] = {
    ("regraft_gateway_calls", "status"): "`2xx`, `3xx`, `4xx`, `5xx`, `cut`",
    ("regraft_gateway_refusals", "reason"): "`http_STATUS`, `unknown_url`, `concurrency`, or the code of the refusal",
    ("regraft_web_requests", "status"): "an HTTP status",
}


def label_values(metric: str, label: str) -> str:
    """What the values of a metric's label are. Raises KeyError for a label that is not described."""
    room = metric.removeprefix("regraft_").partition("_")[0]
    return _OF_ONE.get((metric, label)) or _OF_ROOM.get((room, label)) or _LABELS[label]
