"""Batches of calls: a file of requests, and files of answers and of errors that name each request by its id.

The lines are those of OpenAI's batches (and of servers like it), of Anthropic's and of Gemini's. An answer makes a call
only together with its request: ``joined`` makes one line of both, as ``logged_calls`` reads it.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.values import mapping, name, text
from regraft.domain.ids import digest_json

WITHOUT_REQUEST = (
    "an answer of a batch without its request: import the batch's input file with it, or name it with --requests"
)
SEVERAL_REQUESTS = "an answer of a batch whose id several requests have: name the right input file with --requests"
UNANSWERED = "a request of a batch that has no answer in these files"
NO_CONVERSATION = "a request of a batch that is not a conversation"
SEVERAL, MISSING = "several requests", "no answer"  # marks in the head of a record
_ASKED = ("body", "params", "request")
_ANSWERED = ("response", "result", "error")
_CONVERSING = ("/chat/completions", "/completions", "/responses", "/messages")
_SUCCEEDED = "succeeded"
_LONGEST_CODE = 60  # characters of an error's code in a reason


def request_id(line: Any) -> str | None:
    """The id of a batch's request; None: the line is not a request."""
    found = mapping(line)
    if not _id(found) or any(found.get(each) is not None for each in _ANSWERED):
        return None
    if "custom_id" not in found and not mapping(found.get("request")).get("contents"):
        return None
    return _id(found) if any(isinstance(found.get(each), dict) for each in _ASKED) else None


def answer_id(line: Any) -> str | None:
    """The id of the request that a line of a batch's output answers; None: the line is none, or holds the request."""
    found = mapping(line)
    if any(each in found for each in _ASKED) or not any(each in found for each in _ANSWERED):
        return None
    if "custom_id" not in found and not isinstance(found.get("response", found.get("error")), dict):
        return None
    return _id(found) or None


def is_no_conversation(line: Any) -> bool:
    """Whether the request in a line is for another API than those that converse: embeddings, moderations, images."""
    found = mapping(line)
    url = text(found.get("url")).partition("?")[0].rstrip("/") if found.get("custom_id") is not None else ""
    if not url or url.endswith(_CONVERSING):
        return False
    body: dict[str, Any] = next((found[each] for each in _ASKED if isinstance(found.get(each), dict)), {})
    return not body.get("messages") and not body.get("contents")


def joined(answer: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """A call in one line: the request, and its answer or error."""
    asked = next(each for each in _ASKED if isinstance(request.get(each), dict))
    digest = digest_json(request[asked]).hex()[:16]
    line = {**{key: value for key, value in request.items() if key != "id"}, **answer}
    line["id"] = name(answer.get("id")) or f"{_id(answer)}:{digest}"  # ids of requests are counted again in each batch
    response = mapping(answer.get("response"))
    if (status := response.get("status_code")) is not None:
        line["response_status"] = status
    body = mapping(response.get("body"))
    begun = body.get("created", body.get("created_at"))
    if begun is not None:
        line.setdefault("created", begun)
    failure = _failure(answer)
    if failure is not None:
        line = {key: value for key, value in line.items() if key not in ("response", "result")}
        line["error"] = failure
    return line


def failed_with(line: dict[str, Any]) -> str | None:
    """Why a line of a batch has no answer, as a reason that many lines can share; None if the line gives no reason."""
    error = line.get("error")
    if not _id(line) or not error:
        return None
    found = mapping(error)
    inner = mapping(found.get("error")) or found
    code = next((name(inner[each]) for each in ("code", "type", "status") if name(inner.get(each))), "")
    shown = "".join(each for each in code if each.isprintable())[:_LONGEST_CODE]
    return f"a request of a batch that failed: {shown}" if shown else "a request of a batch that failed"


def _failure(answer: dict[str, Any]) -> Any:
    """The error in place of an answer, with all its details; None if there is an answer."""
    if answer.get("error"):
        return answer["error"]
    result = mapping(answer.get("result"))
    if result and result.get("type") not in (None, _SUCCEEDED):
        return result
    response = mapping(answer.get("response"))
    body = mapping(response.get("body")) or response
    if body.get("error") and not {"choices", "output", "content", "candidates"} & body.keys():
        return body
    if not response and not result:
        return {"code": "no_answer"}
    return None


def _id(line: dict[str, Any]) -> str:
    return name(line.get("custom_id")) or ("" if "custom_id" in line else name(line.get("key")))
