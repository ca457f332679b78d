"""The names of targets that commands show are those that there are."""

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.targets import TARGETS


def test_every_target_is_named_and_there():
    assert tuple(FORMATS) == TARGETS
