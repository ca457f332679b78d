"""Each file that a user writes has a JSON Schema, and each key in it a description."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from regraft.domain.errors import NotFoundError
from regraft.infra.files.schemas import MODELS, json_schema


def properties(schema):
    tables = [schema, *schema.get("$defs", {}).values()]
    return {(id(table), name): each for table in tables for name, each in table.get("properties", {}).items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_schema_refuses_unknown_keys_and_describes_the_known_ones(name):
    schema = json_schema(name)
    for table in schema.get("$defs", {}).values():
        if table.get("type") == "object":
            assert table["additionalProperties"] is False
    nameless = [
        key for (_, key), each in properties(schema).items() if "description" not in each and "$ref" not in each
    ]
    assert nameless == []


def test_an_experiment_takes_one_value_or_a_list():
    grid = json_schema("experiment")["$defs"]["GridSection"]["properties"]
    assert [each["type"] for each in grid["temperature"]["anyOf"]] == ["number", "array"]


@pytest.mark.parametrize(("name", "file"), [("clients", "clients.toml"), ("side_calls", "side_calls.toml")])
def test_the_built_in_tables_hold_known_keys_only(name, file):
    (section,) = [each for each in json_schema(name)["$defs"].values() if each["title"] != "NameSourceSection"]
    table = tomllib.loads(files("regraft.domain.capture").joinpath(file).read_text("utf-8"))
    assert {key for each in table.values() for key in each} <= section["properties"].keys()


def test_an_unknown_schema_is_answered_with_the_known_ones():
    with pytest.raises(NotFoundError, match="experiment"):
        json_schema("experimet")
