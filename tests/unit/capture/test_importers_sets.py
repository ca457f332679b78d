"""Data sets: lists of turns, questions with answers, preferences, battles and rated answers."""

from __future__ import annotations

import json

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.ids import parse_json
from support.imported_conversation import judged, path


def found(form, value):
    record = JsonRecord(0, parse_json(json.dumps(value)))
    importer = detected(record)
    assert importer is not None
    assert importer.form == form
    ((_, each),) = conversations(importer, [record])
    return each


def turn(role, words, **more):
    return {"role": role, "content": words, **more}


QUESTION, ANSWER = turn("user", "q"), turn("assistant", "a")


@pytest.mark.parametrize("key", ["conversations", "conversation", "dialogue", "turns", "chat"])
def test_turns_with_role_and_content_are_read_under_any_usual_key(key):
    talk = found("turns", {key: [QUESTION, ANSWER]})
    assert path(talk) == [("user", "q"), ("assistant", "a")]
    assert talk.said[1].answered


def test_wildchat_rows_keep_what_they_say_of_each_turn():
    talk = found(
        "turns",
        {
            "conversation_hash": "h1",
            "model": "gpt-4",
            "timestamp": "2023-04-09T00:02:53+00:00",
            "conversation": [turn("user", "q", turn_identifier=7, toxic=False), turn("assistant", "a", redacted=True)],
            "openai_moderation": [{"flagged": False}],
        },
    )
    assert (talk.key, talk.model, talk.started_ns) == ("h1", "gpt-4", 1_680_998_573_000_000_000)
    assert talk.said[0].key == "7"
    assert talk.said[1].rest == {"redacted": True}
    assert talk.rest["openai_moderation"] == [{"flagged": False}]


def test_turns_of_other_names_and_written_as_text_are_read():
    turns = [{"speaker": "human", "text": "q"}, {"speaker": "bot", "text": "a"}]
    talk = found("turns", {"dialog": json.dumps(turns), "system_prompt": "be kind", "reward": 0.5})
    assert path(talk) == [("system", "be kind"), ("user", "q"), ("assistant", "a")]
    assert judged(talk) == {"reward": (0.5, "turns")}


def test_a_turn_that_is_not_to_be_learnt_from_keeps_its_mask():
    talk = found("turns", {"conversations": [QUESTION, turn("assistant", "a", weight=0)]})
    assert talk.said[1].message["weight"] == 0


def test_a_turn_of_nobody_known_is_refused_by_its_role():
    each = found("turns", {"conversations": [QUESTION, turn("narrator", "n")]})
    assert each.reason == "a message with the role 'narrator'"


@pytest.mark.parametrize(
    ("line", "history"),
    [
        ({"prompt": [QUESTION], "completion": [ANSWER]}, [("user", "q"), ("assistant", "a")]),
        ({"prompt": "q", "completion": "a"}, [("user", "q"), ("assistant", "a")]),
        ({"prompt": [QUESTION], "completion": "a"}, [("user", "q"), ("assistant", "a")]),
        ({"question": "q", "answer": "a"}, [("user", "q"), ("assistant", "a")]),
        ({"instruction": "q", "input": "", "output": "a"}, [("user", "q"), ("assistant", "a")]),
        ({"instruction": "q", "input": "i", "output": "a"}, [("user", "q\ni"), ("assistant", "a")]),
        ({"instruction": "q", "context": "i", "response": "a"}, [("user", "q\ni"), ("assistant", "a")]),
        (
            {"instruction": "q", "output": "a", "system": "s", "history": [["p", "o"]]},
            [("system", "s"), ("user", "p"), ("assistant", "o"), ("user", "q"), ("assistant", "a")],
        ),
        ({"prompt": "q"}, [("user", "q")]),
        ({"prompt": [turn("system", "s"), QUESTION]}, [("system", "s"), ("user", "q")]),
    ],
)
def test_questions_and_answers_are_read_as_texts_and_as_messages(line, history):
    assert path(found("pairs", line)) == history


def test_a_label_and_ratings_judge_the_answer():
    assert judged(found("pairs", {"prompt": "q", "completion": "a", "label": False})) == {"preferred": (0.0, "pairs")}
    talk = found("pairs", {"prompt": "q", "response": "a", "helpfulness": 3, "correctness": 4, "source": "hs"})
    assert judged(talk) == {"score:helpfulness": (3.0, "hs"), "score:correctness": (4.0, "hs")}


def branches(talk):
    return {talk.said[at].message["content"]: judged(talk, at) for at, each in enumerate(talk.said) if each.judgements}


def test_preferences_of_texts_are_two_branches_of_one_question():
    talk = found("preferences", {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 8, "chosen_model": "m"})
    assert [each.parent for each in talk.said] == [None, 0, 0]
    assert branches(talk) == {
        "a": {"preferred": (1.0, "preferences"), "score": (8.0, "preferences")},
        "b": {"preferred": (0.0, "preferences")},
    }
    assert talk.said[1].model == "m"


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "q", "chosen": [QUESTION, ANSWER], "rejected": [QUESTION, turn("assistant", "b")]},
        {"prompt": "q", "chosen": [ANSWER], "rejected": [turn("assistant", "b")]},
        {"prompt": [QUESTION], "chosen": "a", "rejected": "b"},
        {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"},
        {"prompt": "\n\nHuman: q\n\nAssistant:", "chosen": " a", "rejected": " b"},
    ],
)
def test_preferences_share_their_question_however_it_is_written(line):
    talk = found("preferences", line)
    assert [(each.message["content"].strip(), each.parent) for each in talk.said] == [("q", None), ("a", 0), ("b", 0)]


def test_a_transcript_keeps_all_its_turns():
    start = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three\n\nAssistant:"
    talk = found("preferences", {"chosen": f"{start} a", "rejected": f"{start} b"})
    assert path(talk, 3)[:3] == [("user", "one"), ("assistant", "two"), ("user", "three")]
    assert [each.parent for each in talk.said] == [None, 0, 1, 2, 2]


def test_preferences_of_texts_without_a_prompt_are_refused():
    each = found("preferences", {"chosen": "The sky is blue.", "rejected": "The sky is green."})
    assert isinstance(each, RefusedConversation)
    assert "without a prompt" in each.reason


BATTLE = {
    "question_id": "q1", "model_a": "alpha", "model_b": "beta", "judge": "u1", "turn": 1,
    "conversation_a": [QUESTION, ANSWER], "conversation_b": [QUESTION, turn("assistant", "b")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("winner", "votes"),
    [("model_a", (1.0, 0.0)), ("model_b", (0.0, 1.0)), ("tie", (0.5, 0.5)), ("tie (bothbad)", (0.0, 0.0))],
)
def test_a_battle_is_one_question_with_two_judged_answers(winner, votes):
    talk = found("arena", {**BATTLE, "winner": winner})
    assert [each.parent for each in talk.said] == [None, 0, 0]
    assert [each.model for each in talk.said] == [None, "alpha", "beta"]
    assert [judged(talk, at)["preferred"] for at in (1, 2)] == [(vote, "arena") for vote in votes]
    assert {each.annotator for at in (1, 2) for each in talk.said[at].judgements} == {"u1"}
    assert talk.task == "q1"


def test_a_vote_of_the_first_turn_is_said_of_its_answer():
    more = [turn("user", "more"), turn("assistant", "c")]
    battle = {**BATTLE, "winner": "model_a", "conversation_a": [QUESTION, ANSWER, *more]}
    talk = found("arena", {**battle, "conversation_b": [QUESTION, turn("assistant", "b"), *more]})
    assert set(branches(talk)) == {"a", "b"}


def test_battles_with_texts_in_place_of_conversations_are_read():
    talk = found(
        "arena",
        {
            "id": 3, "model_a": "x", "model_b": "y", "prompt": '["q", "r"]', "response_a": '["a", "c"]',
            "response_b": '["b", "d"]', "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0,
        },
    )  # fmt: skip
    assert path(talk, 3) == [("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", "c")]
    assert {words: each["preferred"][0] for words, each in branches(talk).items()} == {"c": 0.0, "d": 1.0}


def test_equal_answers_of_two_models_stay_two():
    talk = found("arena", {**BATTLE, "winner": "tie", "conversation_b": [QUESTION, ANSWER]})
    assert [each.parent for each in talk.said] == [None, 0, 0]


def test_ultrafeedback_keeps_every_rating_with_its_reason():
    def completion(model, words, rating, **more):
        annotations = {"helpfulness": {"Rating": rating, "Rationale": "because it is"}}
        return {"model": model, "response": words, "annotations": annotations, "overall_score": 7.5, **more}

    talk = found(
        "rated_answers",
        {
            "source": "evol", "instruction": "q", "models": ["x", "y"],
            "completions": [completion("x", "a", "5"), completion("y", "b", "N/A")],
        },
    )  # fmt: skip
    assert [(each.message["content"], each.parent, each.model) for each in talk.said] == [
        ("q", None, None), ("a", 0, "x"), ("b", 0, "y"),
    ]  # fmt: skip
    source = "rated_answers evol"
    assert judged(talk, 1) == {"score:helpfulness": (5.0, source), "score:overall_score": (7.5, source)}
    assert judged(talk, 2) == {"score:overall_score": (7.5, source)}
    assert "because it is" in [each.comment for each in talk.said[1].judgements]


def test_an_answer_under_a_system_prompt_of_its_own_has_it_in_its_history():
    completions = [{"response": "a", "custom_system_prompt": "be brief"}, {"response": "b"}]
    talk = found("rated_answers", {"instruction": "q", "completions": completions})
    assert path(talk, 2) == [("system", "be brief"), ("user", "q"), ("assistant", "a")]
    assert path(talk) == [("user", "q"), ("assistant", "b")]


def test_lists_of_answers_beside_their_models_ratings_and_ranks_are_read():
    talk = found(
        "rated_answers", {"instruction": "q", "generations": ["a", "b"], "model_names": ["x", "y"], "ratings": [4, 2]}
    )
    assert [each.model for each in talk.said] == [None, "x", "y"]
    assert judged(talk, 1) == {"score:rating": (4.0, "rated_answers")}
    talk = found(
        "rated_answers",
        {"prompt": "\n\nHuman: q\n\nAssistant: ", "answers": [{"answer": "a", "model": "x", "rank": 1}]},
    )
    assert path(talk) == [("user", "q"), ("assistant", "a")]
    assert judged(talk) == {"rank": (0.0, "rated_answers")}


def test_steps_with_labels_are_refused_by_name():
    each = found("rated_answers", {"prompt": "q", "completions": ["one", "two"], "labels": [True, False]})
    assert "steps" in each.reason


def test_long_dialogues_and_many_answers_take_time_in_proportion():
    turns = [turn("user" if at % 2 == 0 else "assistant", f"w{at}") for at in range(5_001)]
    sides = {side: [*turns, turn("assistant", side)] for side in ("chosen", "rejected")}
    talk = found("preferences", {"prompt": "w0", **sides})
    assert len(talk.said) == 5_003
    answers = [{"response": f"a{at}"} for at in range(2_000)]
    talk = found("rated_answers", {"prompt": turns, "completions": answers})
    assert len(talk.said) == 7_001
