"""Recorded conversations are imported with every branch, once, whatever interrupts it."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter

import pytest
import zstandard

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord, records
from regraft.domain.errors import UsageError
from regraft.flows.capture import importing
from regraft.flows.capture.importing import import_files
from regraft.infra.files.exports import opened, parts
from regraft.infra.postgres.pool import connect
from support.recorded_conversations import each_folder

FOREST = """
WITH step AS (
    SELECT DISTINCT c.projection_id AS id, above.projection_id AS parent
    FROM context c LEFT JOIN context above ON above.context_id = c.parent_id)
SELECT (SELECT count(DISTINCT id) FROM step) AS nodes,
       (SELECT count(*) FROM (
           SELECT parent FROM step WHERE parent IS NOT NULL GROUP BY parent HAVING count(*) > 1) AS b)
           AS branch_points,
       (SELECT count(*) FROM (SELECT id FROM step EXCEPT SELECT parent FROM step) AS l) AS leaves
"""
TABLES = {
    "message": "message_id, role, body::text",
    "context": "context_id, parent_id, message_id, depth, projection_id",
    "session": "session_id, scope, external_id, evidence",
    "pipeline_event_inbox": "event_id, scope, started_at, identity::text, answer_rest::text, context_id, tools_id",
    "session_turn": "turn_id, session_id, context_id, answer_id, node_id, started_at, system_digest, user_digest",
    "session_lineage": "turn_id, session_id, awaited_projection",
    "feedback": "feedback_id, turn_id, session_id, name, value, comment, source, given_at",
    "conversation_branch_nodes": "node_id, session_id, parent_node_id, turn_id, depth, branch_kind, runs",
    "response_branch_records": "turn_id, node_id, context_anchor_turn_id, branch_index, branch_kind",
}


def rows(dsn: str, sql: str) -> list[dict]:
    with connect(dsn) as connection:
        return connection.execute(sql.encode()).fetchall()


def count(dsn: str, sql: str) -> int:
    return next(iter(rows(dsn, sql)[0].values()))


def everything(dsn: str) -> dict[str, list[str]]:
    """What the tables hold, but for the order and the time of arrival."""
    return {table: sorted(map(repr, rows(dsn, f"SELECT {columns} FROM {table}"))) for table, columns in TABLES.items()}


def normalised(corpus, name):
    return sorted((corpus / name).glob("conversations*.jsonl.zst"))


def totals(corpus, name):
    return json.loads((corpus / "totals.json").read_text())["sources"][name]


@each_folder()
def test_every_message_of_every_branch_is_kept_once(truth, corpus, name):
    counts = import_files(truth, normalised(corpus, name))
    counted = totals(corpus, name)
    assert rows(truth, FOREST) == [{key: counted["semantic"][key] for key in ("nodes", "branch_points", "leaves")}]
    assert counts.refused == {}
    assert (counts.conversations, counts.messages) == (counted["conversations"], counted["messages"])
    assert counts.turns == counts.calls == counts.placed
    assert count(truth, "SELECT count(*) FROM lineage_queue") == 0


def test_importing_again_adds_nothing(truth, corpus):
    files = [*normalised(corpus, "mt-bench"), *normalised(corpus, "tau-bench-airline"), corpus / "oasst-trees"]
    first = import_files(truth, files)
    before = everything(truth)
    again = import_files(truth, files)
    assert first.turns > 0
    assert (again.turns, again.judgements, again.placed) == (0, 0, 0)
    assert again.already == again.conversations
    assert everything(truth) == before


class KilledError(Exception):
    """The import is ended from outside."""


def test_an_import_that_was_killed_goes_on_to_the_same_tables(postgres, truth, corpus, monkeypatch):
    total = import_files(None, [*normalised(corpus, "tau-bench-airline"), corpus / "oasst-trees"]).messages
    monkeypatch.setattr(importing, "_BATCH_MESSAGES", min(300, total // 6))
    files = [*normalised(corpus, "tau-bench-airline"), corpus / "oasst-trees" / "trees.jsonl.zst"]
    batches = 0

    def kill(_counts, _done):
        nonlocal batches
        batches += 1
        if batches == 4:
            raise KilledError

    with pytest.raises(KilledError):
        import_files(truth, files, progress=kill)
    half = count(truth, "SELECT count(*) FROM session_turn")
    assert half > 0
    counts = import_files(truth, files)
    assert counts.already > 0
    assert counts.turns == count(truth, "SELECT count(*) FROM session_turn") - half
    resumed = everything(truth)
    with connect(truth, autocommit=True) as connection:
        for tables in (", ".join(TABLES), "conversation_sessions, execution_run_records, lineage_queue, request_part"):
            connection.execute(f"TRUNCATE {tables} CASCADE".encode())
    import_files(truth, files)
    assert everything(truth) == resumed


def test_a_dry_run_says_the_same_and_needs_no_database(truth, corpus):
    files = normalised(corpus, "oasst-trees")
    told, stored = import_files(None, files), import_files(truth, files)
    for name in ("conversations", "messages", "branches", "calls", "unanswered", "judgements", "forms"):
        assert getattr(told, name) == getattr(stored, name), name


def test_trials_of_one_task_are_grouped_and_their_rewards_are_outcomes(truth, corpus):
    import_files(truth, normalised(corpus, "tau-bench-airline"))
    counted = totals(corpus, "tau-bench-airline")
    assert count(truth, "SELECT count(DISTINCT task_key) FROM execution_run_records") == counted["groups"]
    rewarded = "SELECT count(*) FROM turn_outcome WHERE reward = {} AND source = 'tau-bench'"
    assert count(truth, rewarded.format(1)) == counted["outcomes"]["success"]
    assert count(truth, rewarded.format(0)) == counted["outcomes"]["failure"]


def test_message_trees_keep_every_message_branch_and_rank(truth, corpus):
    counts = import_files(truth, [corpus / "oasst-trees" / "trees.jsonl.zst"])
    native = totals(corpus, "oasst-trees")["native_trees"]
    assert (counts.conversations, counts.messages, counts.branches) == (
        native["trees"],
        native["nodes"],
        native["leaves"],
    )
    found = {key: native[key] for key in ("nodes", "branch_points", "leaves")}
    assert rows(truth, FOREST) == [found]
    ranks = "name IN ('rank', 'user_message_rank') AND target_session_id IS NOT NULL"
    assert count(truth, f"SELECT count(*) FROM feedback_target WHERE {ranks}") == native["ranked_messages"]
    assert count(truth, "SELECT count(*) FROM feedback WHERE name = 'rank' AND turn_id IS NULL") == 0


@pytest.mark.corpus
def test_chat_applications_exports_keep_their_branches(truth, recorded_corpus):
    exports = totals(recorded_corpus, "chat-exports")
    counts = import_files(truth, [recorded_corpus / "chat-exports" / "chatgpt-tree.json"])
    chatgpt = exports["chatgpt-tree.json"]
    assert (counts.messages, counts.branches) == (chatgpt["nodes_with_message"], chatgpt["leaves"])
    # Regenerated answers with the same text are one node, which several runs gave.
    said, unfinished = paths(json.loads((recorded_corpus / "chat-exports" / "chatgpt-tree.json").read_text()))
    above = Counter(path[:-1] for path in set(said))
    expected = {
        "nodes": len(set(said)),
        "branch_points": sum(number > 1 for path, number in above.items() if path),
        "leaves": len(set(said) - set(above)),
    }
    assert rows(truth, FOREST) == [expected]
    runs = Counter(path for path in said if path[-1][0] == "assistant")
    assert count(truth, "SELECT max(runs) FROM conversation_branch_nodes") == max(runs.values())
    assert count(truth, "SELECT count(*) FROM session_turn WHERE node_status = 'interrupted'") == unfinished
    counts = import_files(truth, [recorded_corpus / "chat-exports" / "librechat-tree.json"])
    librechat = exports["librechat-tree.json"]
    # The system prompt, which the export holds beside its messages, is one more.
    assert (counts.messages, counts.branches) == (librechat["nodes"] + 1, librechat["leaves"])
    assert count(truth, "SELECT count(*) FROM session") == chatgpt["entries"] + 1


def paths(export):
    """For each message of a ChatGPT export the roles and texts of all that leads to it; how many answers are cut."""
    found, unfinished = [], 0
    for talk in export:
        nodes = talk["mapping"]
        for node in nodes.values():
            if not node.get("message"):
                continue
            said = node["message"]
            unfinished += said["author"]["role"] == "assistant" and said["status"] != "finished_successfully"
            path = []
            while node is not None:
                if message := node.get("message"):
                    path.insert(0, (message["author"]["role"], json.dumps(message["content"], sort_keys=True)))
                node = nodes.get(node["parent"])
            found.append(tuple(path))
    return found, unfinished


def trees(path):
    """Each conversation of a file, with how many messages follow each of its messages."""
    found = raw(path)
    for _, each in conversations(detected(found[0]), found):
        if isinstance(each, RefusedConversation):
            continue
        below = dict.fromkeys(range(len(each.said)), 0)
        for said in each.said:
            if said.parent is not None:
                below[said.parent] += 1
        yield each, below


def raw(path):
    """The records of a file."""
    with opened(parts(path)[0]) as file:
        return [each for each in records(file.pieces) if isinstance(each, JsonRecord)]


def branch_points(node):
    """The messages of a search that several answers follow. Its root is the question; results follow their answer."""

    def answers(above):
        """The nodes below that end an answer: action inputs, and thoughts and actions that nothing follows."""
        for child in above["children"]:
            whole = child["node_type"] == "Action Input" or not child["children"]
            yield from [child] if whole else answers(child)

    found = [*answers(node)]
    return (len(found) > 1) + sum(map(branch_points, found))


@pytest.mark.corpus
def test_search_trees_keep_every_branch(truth, recorded_corpus):
    counted = totals(recorded_corpus, "toolbench")
    search, evaluated = counted["dfs_tree_stats"], counted["cot_result_stats"]
    searched = [*trees(recorded_corpus / "toolbench" / "dfs_trees.jsonl.zst")]
    assert len(searched) == search["trees"]
    assert sum(list(below.values()).count(0) for _, below in searched) == search["leaves"]
    # A thought and an action are one answer: where several follow one of them, the message before it branches.
    natives = [
        each.value["native"]["tree"]["tree"] for each in raw(recorded_corpus / "toolbench" / "dfs_trees.jsonl.zst")
    ]
    assert sum(number > 1 for _, below in searched for number in below.values()) == sum(map(branch_points, natives))
    counts = import_files(truth, [recorded_corpus / "toolbench" / "cot_results.jsonl.zst"])
    assert (counts.conversations, counts.branches) == (evaluated["trees"], evaluated["leaves"])


@pytest.mark.corpus
def test_a_winning_path_of_a_search_is_the_prompt_that_was_recorded(recorded_corpus):
    """But for what the search told the model in order to make a branch differ, which its tree does not hold."""
    natives = [each.value["native"] for each in raw(recorded_corpus / "toolbench" / "dfs_trees.jsonl.zst")]
    compared = 0
    for native, (conversation, _) in zip(
        natives, trees(recorded_corpus / "toolbench" / "dfs_trees.jsonl.zst"), strict=True
    ):
        prompts = native["answer_generation"].get("train_messages")
        if not prompts or any("This is not the first time" in (each.get("content") or "") for each in prompts[-1]):
            continue
        path = [said.message for said in conversation.said][: len(prompts[-1])]
        assert [(m.get("content"), m.get("function_call")) for m in path] == [
            (m.get("content"), m.get("function_call")) for m in prompts[-1]
        ]
        compared += 1
    assert compared > 0


@pytest.mark.corpus
def test_evaluation_logs_give_their_samples_from_json_and_from_a_zip(truth, recorded_corpus, tmp_path):
    counted = totals(recorded_corpus, "inspect-ai-logs")
    logs = recorded_corpus / "inspect-ai-logs"
    counts = import_files(truth, [logs])
    assert (counts.files, counts.conversations, counts.messages) == tuple(
        counted[key] for key in ("json_logs", "samples", "messages")
    )
    assert count(truth, "SELECT sum(tool_calls) FROM session_turn") == counted["tool_calls"]
    assert count(truth, "SELECT count(*) FROM message WHERE body::text LIKE '%attachment://%'") == 0
    log = json.loads(next(logs.glob("*popularity.json")).read_text())
    with zipfile.ZipFile(tmp_path / "same.eval", "w") as archive:
        archive.writestr("header.json", json.dumps({key: value for key, value in log.items() if key != "samples"}))
        for sample in log["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    again = import_files(truth, [tmp_path / "same.eval"])
    assert again.conversations == again.already == len(log["samples"])
    assert again.turns == 0


@pytest.mark.corpus
def test_traces_give_a_call_for_each_generation_or_a_reason(truth, recorded_corpus):
    files = sorted((recorded_corpus / "langfuse-traces").glob("*.trace.json.zst"))
    counts = import_files(truth, files)
    generations = totals(recorded_corpus, "langfuse-traces")["generations"]
    left_out = {reason: number for reason, number in counts.refused.items() if not reason.startswith("a score")}
    assert counts.conversations + sum(left_out.values()) == generations
    observed = [one for path in files for record in raw(path) for one in record.value["observations"]]
    silent = [one for one in observed if one["type"] == "GENERATION" and one["input"] is one["output"] is None]
    assert left_out.pop("neither a history nor an answer", 0) == len(silent)
    assert left_out.keys() <= {
        "a generation that wraps another one, which is kept",
        "messages that were written as Python text",
        "messages that were run together into one text",
    }


TOLD_OTHERWISE = ("agno", "beeai", "google-adk", "koog")  # roles of the framework's own, or calls hidden in texts


@pytest.mark.corpus
def test_histories_of_traces_are_those_that_the_tracing_tool_reads_itself(recorded_corpus):
    compared = 0
    for path in sorted((recorded_corpus / "langfuse-traces").glob("*.trace.json.zst")):
        if path.name.startswith(TOLD_OTHERWISE):
            continue
        with path.with_name(path.name.replace(".trace.", ".chatml.")).open("rb") as file:
            oracle = json.loads(zstandard.ZstdDecompressor().stream_reader(file).read())
        before = compared
        for conversation, _ in trees(path):
            told = oracle[conversation.key]["input"]["data"]
            ours = [said.message["role"] for said in conversation.said if not said.answered]
            assert ours == [message["role"] for message in told], path.name
            compared += 1
        assert compared > before


def test_files_are_read_packed_or_not_and_together(truth, tmp_path):
    line = json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}).encode()
    lines = [line.replace(b'"q"', json.dumps(name).encode()) + b"\n" for name in ("plain", "gz", "zst", "zip")]
    (tmp_path / "a.jsonl").write_bytes(lines[0])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines[1]))
    packed = zstandard.ZstdCompressor().compress(lines[2])
    (tmp_path / "c.jsonl.zst").write_bytes(packed)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("in/side.jsonl", lines[3])
        archive.writestr("readme.txt", "no")
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "e.jsonl.zst").write_bytes(packed[:-5])
    counts = import_files(truth, [tmp_path, tmp_path / "d.zip"])
    assert (counts.conversations, counts.turns, counts.forms) == (4, 4, {"openai": 4})
    assert [names for names in counts.refused_names.values() if names == ["e.jsonl.zst"]]


def _packed_with_zstandard(path, name, content):
    """A zip as writers of evaluation logs make it, which Python 3.11 can neither write nor read."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, zstandard.ZstdCompressor().compress(content))
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.index(mark) + place
        data[at : at + 2] = (93).to_bytes(2, "little")
    path.write_bytes(data)


def test_members_of_a_zip_may_be_packed_with_zstandard(truth, tmp_path):
    line = json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}).encode()
    _packed_with_zstandard(tmp_path / "a.zip", "a.jsonl", b"\n".join(line.replace(b"q", b"%d" % at) for at in range(9)))
    assert import_files(truth, [tmp_path / "a.zip"]).turns == 9


def test_a_member_that_cannot_be_unpacked_is_refused_by_name_and_stops_no_other(truth, tmp_path):
    line = json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})
    (tmp_path / "b.jsonl").write_text(line)
    _packed_with_zstandard(tmp_path / "a.zip", "a.jsonl", line.encode())
    data = (tmp_path / "a.zip").read_bytes().replace((93).to_bytes(2, "little"), (98).to_bytes(2, "little"))
    (tmp_path / "a.zip").write_bytes(data)  # 98: a method that no one here knows
    counts = import_files(truth, [tmp_path / "a.zip", tmp_path / "b.jsonl"])
    assert counts.turns == 1
    assert any("packed in a way that cannot be read" in reason for reason in counts.refused)


@pytest.mark.parametrize("packed", [False, True])
def test_votes_beside_a_chatgpt_export_judge_its_answers(truth, tmp_path, packed):
    def node(key, parent, role, said):
        content = {"content_type": "text", "parts": [said]}
        message = {"id": f"m-{key}", "author": {"role": role}, "content": content}
        return {"id": key, "message": message, "parent": parent, "children": []}

    talk = {
        "conversation_id": "c",
        "mapping": {"u": node("u", None, "user", "q"), "a": node("a", "u", "assistant", "b")},
    }
    votes = [
        {"id": "m-a", "conversation_id": "c", "rating": "thumbs_down", "content": "no"},
        {"id": "gone", "conversation_id": "c", "rating": "thumbs_up"},
    ]
    files = {"conversations.json": json.dumps([talk]), "message_feedback.json": json.dumps(votes)}
    source = tmp_path / ("export.zip" if packed else "export")
    if packed:
        with zipfile.ZipFile(source, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    else:
        source.mkdir()
        for name, text in files.items():
            (source / name).write_text(text)
    counts = import_files(truth, [source])
    assert (counts.turns, counts.judgements, counts.refused) == (1, 1, {})
    assert rows(truth, "SELECT name, value, source, comment FROM feedback") == [
        {"name": "vote", "value": -1.0, "source": "chatgpt user", "comment": "no"}
    ]


def test_theme_tenant_and_task_arrive_in_the_log(truth, tmp_path):
    line = {"group": "g", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    import_files(truth, [tmp_path / "a.jsonl"], theme="support", scope="tenant")
    found = rows(
        truth,
        "SELECT r.task_key, t.name, s.scope, r.purpose FROM execution_run_records r "
        "JOIN seed_themes t USING (theme_id) JOIN session s USING (session_id)",
    )
    assert found == [{"task_key": "g", "name": "support", "scope": "tenant", "purpose": "import"}]
    assert import_files(truth, [tmp_path / "a.jsonl"], scope="other").turns == 1


def test_a_judgement_given_since_the_last_import_is_added(truth, tmp_path):
    line = {"id": "x", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    import_files(truth, [tmp_path / "a.jsonl"])
    (tmp_path / "a.jsonl").write_text(json.dumps({**line, "outcome": {"reward": 1}}))
    counts = import_files(truth, [tmp_path / "a.jsonl"])
    assert (counts.turns, counts.judgements) == (0, 1)
    assert count(truth, "SELECT reward FROM turn_outcome") == 1


def test_the_same_line_twice_in_one_file_is_one_conversation(truth, tmp_path):
    line = json.dumps(
        {"id": "x", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    )
    (tmp_path / "a.jsonl").write_text(f"{line}\n{line}\nnot json\n")
    counts = import_files(truth, [tmp_path / "a.jsonl"])
    assert (counts.conversations, counts.already, counts.turns) == (2, 1, 1)
    assert list(counts.refused_names.values()) == [["line 3"]]


def test_a_text_with_nul_and_lone_surrogates_is_stored_unharmed(truth, tmp_path):
    line = '{"messages": [{"role": "user", "content": "\\u0000\\ud800"}, {"role": "assistant", "content": "1e-999"}]}'
    (tmp_path / "a.jsonl").write_text(line)
    assert import_files(truth, [tmp_path / "a.jsonl"]).turns == 1
    bodies = [row["body"] for row in rows(truth, "SELECT body::text AS body FROM message WHERE role = 'user'")]
    assert [json.loads(body)["content"] for body in bodies] == ["\x00\ud800"]


def test_a_file_of_no_known_format_is_refused_by_name(truth, tmp_path):
    odd = tmp_path / "odd.json"
    odd.write_text('{"nothing": "known"}')
    with pytest.raises(UsageError, match=r"odd\.json"):
        import_files(truth, [odd])


@pytest.mark.corpus
def test_trajectories_hold_the_conversations_that_were_cut_from_them(recorded_corpus):
    told = {record.value["id"]: record.value["messages"] for record in raw(normalised(recorded_corpus, "swe-agent")[0])}
    found = {talk.key: talk for talk, _ in trees(recorded_corpus / "swe-agent" / "trajectories.jsonl.zst")}
    assert found.keys() == told.keys()
    for key, messages in told.items():
        names = ("role", "content", "tool_calls", "tool_call_id")
        ours = [{name: said.message[name] for name in names if said.message.get(name)} for said in found[key].said]
        assert ours == [{name: message[name] for name in names if message.get(name)} for message in messages]


def test_transcripts_of_preferences_hold_the_conversations_that_were_cut_from_them(corpus):
    told = {}
    for record in raw(normalised(corpus, "hh-rlhf-harmless")[0]):
        said = [(message["role"], message["content"]) for message in record.value["messages"]]
        told[record.value["group"], record.value["outcome"]["preferred"]] = said
    compared = 0
    for talk, below in trees(corpus / "hh-rlhf-harmless" / "pairs.jsonl.zst"):
        for end in (at for at, number in below.items() if not number):
            path, at = [], end
            while at is not None:
                path.insert(0, (talk.said[at].message["role"], talk.said[at].message["content"]))
                at = talk.said[at].parent
            assert path in told.values()
            compared += 1
    assert compared > 0
