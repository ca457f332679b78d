"""Judges: TOML files in the folder that the settings name, beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from regraft.domain.errors import ConfigError, NotFoundError
from regraft.domain.evaluation.judge import Judge, JudgedCategory
from regraft.infra.config.document import parse_document
from regraft.infra.config.judge import JudgeFile
from regraft.infra.files.taxonomies import read_taxonomy, taxonomy_of
from regraft.infra.files.text import read_text
from regraft.infra.settings import Settings

LOCAL_CHARACTERS = 6_000  # that the local model is shown: it reads 4,096 tokens


@dataclass(frozen=True, slots=True)
class ListedJudge:
    """A judge's file; ``built_in`` ones come with Regraft."""

    file: JudgeFile
    folder: Path | None

    @property
    def built_in(self) -> bool:
        """Whether no file of the user's describes it."""
        return self.folder is None


def listed_judges(settings: Settings) -> dict[str, ListedJudge]:
    """The judges by name; a file of the user's takes the place of a built-in one of its name.

    Raises ConfigError for a file that is not a judge, or for two of one name.
    """
    found = {one.file.name: one for one in _built_in()}
    own: dict[str, Path] = {}
    for path in sorted(settings.judges.glob("*.toml")) if settings.judges.is_dir() else ():
        read = parse_document(read_text(path), str(path), JudgeFile)
        if read.name in own:
            raise ConfigError(f"{path} and {own[read.name]} both describe a judge {read.name}.")
        own[read.name] = path
        found[read.name] = ListedJudge(read, path.parent)
    return found


def judge_of(settings: Settings, name: str, *, model: str = "", local_model: str = "") -> Judge:
    """A judge by name. ``model`` is asked instead of the one in its file; ``local_model`` where neither names one.

    Raises NotFoundError that lists the judges, ConfigError, and UsageError when no model is named at all.
    """
    judges = listed_judges(settings)
    if name not in judges:
        raise NotFoundError(f"There is no judge {name}. The judges are: {', '.join(sorted(judges))}.")
    return as_judge(settings, judges[name], model=model, local_model=local_model)


def as_judge(settings: Settings, listed: ListedJudge, *, model: str = "", local_model: str = "") -> Judge:
    """The judge that a file describes; see ``judge_of``."""
    read = listed.file
    rubric = read.rubric
    if read.rubric_file:
        rubric = read_text((listed.folder or Path()) / read.rubric_file)
    asked = model or read.model
    most = min(read.max_characters, LOCAL_CHARACTERS) if not asked else read.max_characters
    return Judge(
        name=read.name,
        model=asked or local_model,
        task=read.task,
        rubric=rubric,
        categories=_categories(settings, listed) if read.task == "categories" else (),
        votes=read.votes,
        both_orders=read.both_orders,
        max_characters=most,
        sampling=read.sampling,
    )


def _categories(settings: Settings, listed: ListedJudge) -> tuple[JudgedCategory, ...]:
    read = listed.file
    if read.categories:
        return tuple(
            JudgedCategory(
                name=category,
                definition=each.definition,
                examples=tuple(each.examples),
                counter_examples=tuple(each.counter_examples),
            )
            for category, each in read.categories.items()
        )
    named = read_taxonomy((listed.folder or Path()) / read.taxonomy) if read.taxonomy else taxonomy_of(settings)
    return tuple(
        JudgedCategory(
            name=each.name,
            definition=each.definition,
            examples=each.examples,
            counter_examples=each.counter_examples,
        )
        for each in named.categories
    )


def judge_example(name: str, task: str, model: str = "") -> str:
    """The text of a judge's file, made from the built-in judge of its task."""
    for text in _texts():
        read = parse_document(text, "a built-in judge", JudgeFile)
        if read.task == task:
            made = text.replace(f'name = "{read.name}"', f'name = "{name}"', 1)
            made = made.replace('model = "" ', f'model = "{model}" ', 1)
            parse_document(made, f"the judge {name}", JudgeFile)
            return made
    raise NotFoundError(f"There is no task {task}. The tasks are: categories, preference, rating.")


def _texts() -> Iterator[str]:
    for file in files("regraft").joinpath("judges").iterdir():
        if file.name.endswith(".toml"):
            yield file.read_text("utf-8")


def _built_in() -> list[ListedJudge]:
    return [ListedJudge(parse_document(text, "a built-in judge", JudgeFile), None) for text in _texts()]
