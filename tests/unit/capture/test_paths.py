"""Paths: which call each spelling means, and which mean none."""

from __future__ import annotations

import pytest

from regraft.domain.capture.paths import hint_for, normal_path, route_of

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/chat/completions", b"/v1/chat/completions/", b"//v1//chat/completions", b"/v1/v1/chat/completions",
        b"/chat/completions", b"/v1/%63hat/completions", b"/v1/chat%2Fcompletions", b"/v1/./chat/x/../completions",
        b"/api/v1/chat/completions", b"/openai/v1/chat/completions", b"/v1beta/openai/chat/completions",
        b"/v1/v1beta/openai/chat/completions", b"/openai/deployments/gpt-4o/chat/completions", b"/V1/Chat/Completions",
        b"/v1/chat/completions;v=1",
    ],
)  # fmt: skip
def test_every_spelling_of_a_known_call_is_that_call(path):
    route = route_of(path)
    assert route is not None
    assert (route.endpoint, route.captured, route.standard) == (CHAT, True, CHAT.encode())


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        (b"/messages/", "/v1/messages"),
        (b"/anthropic/v1/messages", "/v1/messages"),
        (b"/v1/api/chat", "/api/chat"),
        (b"/api/generate/", "/api/generate"),
        (b"/openai/v1/responses", "/v1/responses"),
        (b"/openai/deployments/e/embeddings", "/v1/embeddings"),
    ],
)
def test_other_calls_are_known_by_their_own_names(path, endpoint):
    route = route_of(path)
    assert route is not None
    assert (route.endpoint, route.captured) == (endpoint, True)


def test_a_deployment_is_the_model_that_an_azure_path_names():
    route = route_of(b"/openai/deployments/my%20gpt%2D4o/chat/completions")
    assert route is not None
    assert (route.deployment, route.path) == ("my gpt-4o", b"/openai/deployments/my%20gpt-4o/chat/completions")


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        (b"/v1/messages/count_tokens", "count_tokens"),
        (b"/v1/batches", "batches"),
        (b"/v1/messages/batches/b_1/results", "batches"),
        (b"/v1/models/", "/v1/models"),
        (b"/v1/files/a%2Fb", "other"),
        (b"/files", "other"),
        (b"/v1/batches_of_another_kind", "other"),
        (b"/api/tags", "other"),
    ],
)
def test_what_is_not_captured_has_a_name_to_be_counted_under(path, endpoint):
    route = route_of(path)
    assert route is not None
    assert (route.endpoint, route.captured) == (endpoint, False)


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/../secret", b"/v1/%2e%2e/secret", b"/v1/%2E./secret", b"/v1/..%2fsecret", b"/v1/%252e%252e/secret",
        b"/v1/%25252e%25252e%2fsecret", b"/v1/..;/secret", b"/v1/..%5csecret", b"/v1/..\\secret", b"/v1/a%00b",
        b"/v1/a%0d%0ab", b"/../../etc/passwd", b"http://elsewhere/v1/models", b"*", b"", b"/", b"/v1", b"/secret",
        b"/v2/chat/completions", b"/api/delete", b"/v1beta/models/gemini:generateContent",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_api_or_hides_something_means_nothing(path):
    assert route_of(path) is None


def test_dot_segments_are_removed_before_a_path_is_looked_up():
    assert normal_path(b"/v1/files/../models") == b"/v1/models"
    assert normal_path(b"/v1/%66iles/a%2fb") == b"/v1/files/a%2Fb"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (b"/v2/chat/completions", CHAT),
        (b"/engines/x/completions", "/v1/completions"),
        (b"/x/messages/", "/v1/messages"),
        (b"/nothing", ""),
    ],
)
def test_a_path_like_a_known_call_is_answered_with_it(path, hint):
    assert hint_for(path) == hint


def test_a_long_path_is_read_in_linear_time():
    for piece in (b"/..", b"%2e%2e/", b"/%252e", b"//"):
        assert route_of(b"/v1/" + piece * 20_000) is None
    for piece in (b";", b"/v1"):
        route = route_of(b"/v1/" + piece * 20_000)
        assert route is not None
        assert (route.endpoint, route.captured) == ("other", False)
