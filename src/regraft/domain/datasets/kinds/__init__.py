"""The kinds of datasets, by name. A new kind is a module with a class that satisfies ``Kind``, and an entry here."""

from __future__ import annotations

from collections.abc import Mapping

from regraft.domain.datasets.kinds.dpo import DpoKind
from regraft.domain.datasets.kinds.kind import Kind
from regraft.domain.datasets.kinds.reward import RewardKind
from regraft.domain.datasets.kinds.sft import SftKind
from regraft.domain.datasets.kinds.suppression import SuppressionKind
from regraft.domain.datasets.kinds.unlearning import UnlearningKind

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (SftKind(), DpoKind(), RewardKind(), SuppressionKind(), UnlearningKind())
}
