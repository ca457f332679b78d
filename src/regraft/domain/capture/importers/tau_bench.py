"""tau-bench runs: an array of ``{task_id, trial, reward, info, traj: [chat messages]}``.

Trials of one task are a task group; the reward is an outcome of the trial's last answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, role_of
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, name, rest
from regraft.domain.ids import digest_json

FORM = "tau_bench"
_KNOWN = frozenset({"traj", "task_id", "trial", "reward"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a trial."""
    value = mapping(record.value)
    return isinstance(value.get("traj"), list) and "reward" in value


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a trial."""
    trial = mapping(record.value)
    messages = trial.get("traj")
    if not isinstance(messages, list):
        raise UnreadableConversationError("no trajectory")
    reward = figure(trial.get("reward"))
    answers = [at for at, each in enumerate(messages) if role_of(each) == "assistant"]
    judged = () if reward is None else (Judgement(name="reward", value=reward, source="tau-bench"),)
    said = [
        ImportedMessage(
            message=message,
            parent=at - 1 if at else None,
            answered=message["role"] == "assistant",
            judgements=judged if answers and at == answers[-1] else (),
        )
        for at, message in enumerate(messages)
    ]
    task = digest_json(mapping(trial.get("info")).get("task")).hex()[:12]  # airline and retail count from 0 both
    yield checked(
        Conversation(
            key=f"{name(trial.get('task_id'))}/{task}/{name(trial.get('trial'))}",
            said=said,
            task=f"tau-bench/{name(trial.get('task_id'))}/{task}",
            rest=rest(trial, _KNOWN),
        )
    )
