"""Whatever a client sends in whatever dialect, the same request can be sent again from its chat form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.domain.capture.dialects import COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, dialect_of
from regraft.domain.errors import CorruptEventError
from regraft.domain.ids import canonical_json, parse_json

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.0]) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
TEXT = st.sampled_from(["", "hi", "a\0b", "😀", "{}"])
IDS = st.sampled_from(["a", "b", None])


def thing(kind, /, **fields):
    """An object of a type, mostly as documented: any field may be absent or odd, and others may be there."""
    required = {"type": st.just(kind)} if kind else {}
    odd = {name: values | ANYTHING for name, values in fields.items()}
    extra = st.dictionaries(st.sampled_from(["cache_control", "status", "native", "item", "x"]), ANYTHING, max_size=1)
    whole = st.fixed_dictionaries({**required, **fields})
    partial = st.fixed_dictionaries(required, optional=odd)
    return st.builds(lambda one, more: {**more, **one}, whole | whole | partial, extra | st.just({}))


def whole_request(required, optional):
    return st.fixed_dictionaries(required, optional={**optional, "stream": st.booleans(), "user": TEXT, "x": ANYTHING})


MODEL = st.just("m") | st.just("m") | ANYTHING
SOURCE = thing("base64", media_type=st.just("image/png"), data=st.just("QQ==")) | thing("url", url=st.just("http://x"))
BLOCK = (
    thing("text", text=TEXT)
    | thing("image", source=SOURCE)
    | thing("tool_use", id=IDS, name=TEXT, input=ANYTHING)
    | thing("tool_result", tool_use_id=IDS, content=TEXT | st.lists(thing("text", text=TEXT), max_size=2))
    | thing("thinking", thinking=TEXT, signature=TEXT)
    | thing("server_tool_use", id=IDS, name=TEXT, input=ANYTHING)
    | thing("image_url", image_url=st.just({"url": "data:image/png;base64,QQ=="}))
    | ANYTHING
)
ROLE = st.sampled_from(["user", "assistant", "user", "assistant", "system", "tool", "developer", None])
MESSAGE = thing(None, role=ROLE, content=TEXT | st.lists(BLOCK, max_size=4)) | ANYTHING
ANTHROPIC = whole_request(
    {"messages": st.lists(MESSAGE, min_size=1, max_size=5), "model": MODEL},
    {
        "system": TEXT | st.lists(thing("text", text=TEXT), max_size=2) | ANYTHING,
        "tools": st.lists(
            thing(None, name=TEXT, input_schema=st.just({})) | thing("custom", name=TEXT) | ANYTHING, max_size=2
        ),
        "tool_choice": thing("auto") | thing("tool", name=TEXT) | thing("any") | ANYTHING,
        "stop_sequences": st.lists(TEXT, max_size=2) | ANYTHING,
        "stop": ANYTHING,
        "parallel_tool_calls": ANYTHING,
        "max_tokens": st.just(9),
        "native": ANYTHING,
    },
)
PART = (
    thing("input_text", text=TEXT)
    | thing("output_text", text=TEXT, annotations=st.just([]))
    | thing("text", text=TEXT)
    | thing("input_image", image_url=st.just("http://x"), detail=st.just("low"))
    | thing("refusal", refusal=TEXT)
    | ANYTHING
)
ITEM = (
    thing(None, role=ROLE, content=TEXT | st.lists(PART, max_size=3))
    | thing("message", role=ROLE, content=TEXT | st.lists(PART, max_size=3), id=IDS, status=st.just("completed"))
    | thing("function_call", call_id=IDS, name=TEXT, arguments=TEXT, id=IDS)
    | thing("custom_tool_call", call_id=IDS, name=TEXT, input=TEXT)
    | thing("function_call_output", call_id=IDS, output=TEXT | st.lists(PART, max_size=2))
    | thing("custom_tool_call_output", call_id=IDS, output=TEXT)
    | thing("tool_search_output", call_id=IDS, execution=st.sampled_from(["client", "server"]), tools=st.just([]))
    | thing("reasoning", summary=st.lists(thing("summary_text", text=TEXT), max_size=2), encrypted_content=TEXT)
    | thing("web_search_call", id=IDS)
    | thing("additional_tools", role=st.just("developer"), tools=st.just([]))
    | thing("item_reference", id=IDS)
    | ANYTHING
)
OPENAI = whole_request(
    {"input": TEXT | st.lists(ITEM, max_size=6), "model": MODEL},
    {
        "instructions": TEXT | ANYTHING,
        "tools": st.lists(
            thing("function", name=TEXT, parameters=st.just({}), strict=st.booleans())
            | thing("function", function=st.just({"name": "f"}))
            | thing("web_search"),
            max_size=2,
        ),
        "tool_choice": st.sampled_from(["auto", "required"]) | thing("function", name=TEXT) | ANYTHING,
        "max_output_tokens": st.just(9),
        "max_tokens": ANYTHING,
        "previous_response_id": st.just("resp_1") | ANYTHING,
        "conversation": st.just("conv_1") | ANYTHING,
        "store": st.booleans(),
        "native": ANYTHING,
    },
)
LEGACY = whole_request(
    {"prompt": TEXT | st.lists(TEXT | st.integers(0, 9), max_size=3) | st.just([[1, 2]]) | ANYTHING, "model": MODEL},
    {"suffix": TEXT, "n": st.just(2), "echo": st.booleans(), "messages": ANYTHING},
)
EMBEDDED = whole_request({"input": TEXT | st.lists(TEXT, max_size=3) | ANYTHING}, {"model": MODEL})


def again(endpoint, document):
    sent = json.dumps(document).encode()
    dialect = dialect_of(endpoint)
    return parse_json(dialect.body(dialect.read_request(sent))), parse_json(sent)


@given(ANTHROPIC)
@settings(max_examples=100)
def test_every_request_for_a_message_of_anthropics_comes_back(document):
    got, sent = again(MESSAGES, document)
    assert got == sent


@given(OPENAI)
@settings(max_examples=100)
def test_every_request_for_a_response_comes_back(document):
    try:
        got, sent = again(RESPONSES, document)
    except CorruptEventError:
        assert not document["input"]
        assert "instructions" not in document
        return
    assert got == sent


@given(LEGACY)
def test_every_legacy_request_comes_back(document):
    got, sent = again(COMPLETIONS, document)
    assert got == sent


@given(EMBEDDED)
def test_every_request_for_embeddings_comes_back(document):
    got, sent = again(EMBEDDINGS, document)
    assert got == sent


@given(st.sampled_from([MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS]), st.binary(max_size=30))
def test_what_is_no_request_is_refused_with_a_reason(endpoint, body):
    with pytest.raises(CorruptEventError, match="the request"):
        dialect_of(endpoint).read_request(body)


@given(st.sampled_from([MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS]), st.binary(max_size=60), st.booleans())
def test_any_bytes_are_an_answer_of_some_kind(endpoint, body, streamed):
    kind = "text/event-stream" if streamed else "application/json"
    assert dialect_of(endpoint).read_answer(body, kind) is not None


KEYS = (
    "type index delta content_block message item response part output_index content_index choices usage error item_id "
    "annotation"
)
KINDS = (
    "content_block_delta content_block_start message_start message_delta error response.output_text.delta "
    "response.output_item.added response.function_call_arguments.done response.content_part.added response.completed "
    "response.reasoning_summary_text.delta"
)
INNER = dict.fromkeys(("type", "text", "content", "output", "partial_json", "summary"), ANYTHING)
VALUE = ANYTHING | st.sampled_from(KINDS.split()) | st.fixed_dictionaries({}, optional=INNER)
CHUNKS = st.lists(st.dictionaries(st.sampled_from(KEYS.split()), VALUE, max_size=5), max_size=6)


@given(st.sampled_from([MESSAGES, RESPONSES, COMPLETIONS]), CHUNKS)
@settings(max_examples=100)
def test_no_stream_of_objects_is_an_exception(endpoint, chunks):
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()
    for choice in dialect_of(endpoint).read_answer(stream, "text/event-stream").choices:
        assert canonical_json(choice.message)
