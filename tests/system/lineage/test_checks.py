"""The checks of the log and the graph report only real faults."""

from __future__ import annotations

import json

from regraft.flows import pipeline
from regraft.flows.capture.importing import import_files
from regraft.flows.lineage.build import build


def test_an_import_that_names_no_model_is_no_fault(truth, tmp_path):
    path = tmp_path / "talks.jsonl"
    talk = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
    path.write_text(json.dumps({"messages": talk}) + "\n")
    import_files(truth, [path])
    build(truth)
    ((_, found),) = pipeline.checks(truth, ["runs_are_complete"])
    assert (found.bad, found.total) == (0, 1)
