"""Whether a person or a model judged, by the words in the judge's names."""

from __future__ import annotations

PERSON, MODEL, PROGRAM = "person", "model", "program"
JUDGES = (PERSON, MODEL, PROGRAM)

_PEOPLE = frozenset(
    {"human", "humans", "user", "users", "person", "people", "reviewer", "reviewers", "annotator", "annotators"}
    | {"annotation", "expert", "author", "rater", "labeler", "labeller", "crowdworker", "crowdworkers"}
)
_MODELS = frozenset({"model", "models", "judge", "llm"})
_FAMILIES = ("gpt", "claude", "gemini", "llama", "mistral", "mixtral", "qwen", "deepseek", "palm")


def judge_of(*names: str) -> str:
    """``person`` or ``model``, by the words of a source's and an annotator's name; '' where they say neither."""
    text = " ".join(names).casefold()
    words = {word.rstrip("0123456789") for word in "".join(each if each.isalnum() else " " for each in text).split()}
    if words & _MODELS:
        return MODEL
    if words & _PEOPLE:
        return PERSON
    return MODEL if any(word.startswith(_FAMILIES) for word in words) else ""
