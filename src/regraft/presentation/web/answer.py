"""An answer of the API: a model, encoded as JSON with stored JSON copied byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema
from starlette.responses import Response

_M = TypeVar("_M", bound="Model")


class Model(BaseModel):
    """A part of an answer. Built from a row; columns without a field are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    @classmethod
    def from_rows(cls: type[_M], rows: list[dict[str, Any]]) -> list[_M]:
        """One model per row."""
        return [cls.model_validate(row) for row in rows]

    @classmethod
    def from_record(cls: type[_M], record: object) -> _M:
        """The model of a record."""
        return cls.model_validate(record, from_attributes=True)


def fields_of(record: type, *, without: Collection[str] = ()) -> Callable[[type[_M]], type[_M]]:
    """Give a model the fields of a record, a dataclass, in the record's order: ``from_record`` builds it from one.

    A field that the class declares has that type, and its others come last. A new field of the record is a new field of
    the answer, unless it is named in ``without``.
    """
    hints = get_type_hints(record, include_extras=True)
    taken: dict[str, Any] = {each.name: (hints[each.name], ...) for each in fields(record) if each.name not in without}

    def derive(model: type[_M]) -> type[_M]:
        taken.update({name: (field.annotation, field) for name, field in model.model_fields.items()})
        derived: Any = create_model(
            model.__name__, __base__=model.__bases__, __module__=model.__module__, __doc__=model.__doc__, **taken
        )
        return cast(type[_M], derived)

    return derive


class _Stored:
    """Text that PostgreSQL holds as JSON. It is not parsed: any number, NUL or lone surrogate is sent as captured."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.any_schema(),
            python_schema=core_schema.no_info_plain_validator_function(_fragment),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )


def _fragment(value: Any) -> Any:
    return orjson.Fragment(value) if isinstance(value, str | bytes) else value


StoredJson = Annotated[Any, _Stored]
"""Any JSON value, exactly as it was captured."""


class JsonReply(Response):
    """A model as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes to send."""
        return encode(content)


def encode(content: BaseModel) -> bytes:
    """A model as JSON."""
    return orjson.dumps(content.model_dump())


def hexadecimal(value: Any) -> Any:
    """A binary column as hexadecimal digits, for a field of type ``str``."""
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else value


class Failure(Model):
    """Why a request failed."""

    code: str
    message: str


class FailedReply(Model):
    """The answer to a request that failed."""

    error: Failure
