"""Recipes over the web API: listed, checked by line, and saved without ever writing over another file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regraft.flows.datasets.service import DatasetSetup
from regraft.infra.files.recipes import built_in, recipe_text
from regraft.presentation.web.app import make_app
from support.dataset_client import DatasetClient
from support.web_grants import NamedGrants

SFT = 'name = "good"\nkind = "sft"\n[source]\nlabels = ["human", "signals"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recipes"


@pytest.fixture
def client(truth: str, tmp_path: Path, folder: Path) -> Iterator[TestClient]:
    setup = DatasetSetup(warehouse=str(tmp_path / "warehouse"), recipes=folder)
    made = make_app(truth, access=NamedGrants(), workbench=tmp_path / "workbench.duckdb", datasets=setup)
    with TestClient(made, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def admin(client: TestClient) -> DatasetClient:
    return DatasetClient(client, "admin")


def test_a_recipe_is_saved_once_and_replaced_only_on_demand(admin: DatasetClient, folder: Path) -> None:
    saved = admin.send("/api/recipes/mine", {"text": SFT}, 200, "PUT")
    assert (saved["origin"], saved["name"], saved["kind"]) == ("saved", "good", "sft")
    assert (folder / "mine.toml").read_text("utf-8") == SFT
    admin.send("/api/recipes/mine", {"text": SFT + "# more\n"}, 409, "PUT")
    assert (folder / "mine.toml").read_text("utf-8") == SFT
    admin.send("/api/recipes/mine", {"text": SFT + "# more\n", "replace": True}, 200, "PUT")
    assert admin.get("/api/recipes/mine")["text"] == SFT + "# more\n"
    assert [each.name for each in folder.iterdir()] == ["mine.toml"]
    listed = {one["name"]: one["origin"] for one in admin.get("/api/recipes")["recipes"]}
    assert listed == {"mine": "saved", **dict.fromkeys(built_in(), "built_in")}
    assert recipe_text("mine", folder) == SFT + "# more\n"


@pytest.mark.parametrize(
    "name", ["..", "..%2fup", "%2fetc%2fcron", "Mine", ".hidden", "a.toml", "a%00", "%E2%80%AEx", "x" * 64, "a b"]
)
def test_a_name_leads_to_no_other_place(admin: DatasetClient, folder: Path, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if path.suffix == ".toml"}
    reply = admin._client.put(f"/api/recipes/{name}", headers=admin._headers, json={"text": SFT})
    assert reply.status_code in (400, 404, 405)
    assert {path for path in tmp_path.rglob("*") if path.suffix == ".toml"} == before
    assert admin._client.get(f"/api/recipes/{name}", headers=admin._headers).status_code in (200, 404)


def test_no_link_is_written_through(admin: DatasetClient, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    outside = tmp_path / "outside.toml"
    outside.write_text("mine")
    (folder / "linked.toml").symlink_to(outside)
    admin.send("/api/recipes/linked", {"text": SFT}, 409, "PUT")
    admin.send("/api/recipes/linked", {"text": SFT, "replace": True}, 200, "PUT")
    assert outside.read_text() == "mine"


def test_built_in_names_and_texts_that_are_no_recipe_are_refused(admin: DatasetClient, folder: Path) -> None:
    admin.send(f"/api/recipes/{next(iter(built_in()))}", {"text": SFT, "replace": True}, 409, "PUT")
    failed = admin.send("/api/recipes/mine", {"text": 'name = "x"\nkind = "none"\n'}, 400, "PUT")
    assert failed["error"]["message"].startswith("line 2: kind must be")
    assert not (folder / "mine.toml").exists()


def test_mistakes_are_named_by_line(admin: DatasetClient) -> None:
    text = 'name = "x"\nkind = "sft"\n[source]\nmin_score = 3.0\nlable = 1\n'
    found = admin.send("/api/recipes/check", {"text": text}, 200)
    assert [(one["line"], one["key"]) for one in found["mistakes"]] == [(4, "source.min_score"), (5, "source.lable")]
    assert found["name"] is None
    assert admin.send("/api/recipes/check", {"text": SFT}, 200)["mistakes"] == []


def test_a_file_that_is_no_recipe_is_listed_with_its_problem(admin: DatasetClient, folder: Path) -> None:
    folder.mkdir()
    (folder / "broken.toml").write_text("=")
    (folder / "bytes.toml").write_bytes(b"\xff\xfe")
    (folder / "Not A Name.toml").write_text(SFT)
    found = {one["name"]: one["problem"] for one in admin.get("/api/recipes")["recipes"] if one["origin"] == "saved"}
    assert set(found) == {"broken", "bytes"}
    assert all(found.values())
    assert admin.get("/api/recipes/broken")["mistakes"][0]["line"] == 1
    admin.get("/api/recipes/bytes", 400)


def test_a_recipe_names_no_file_outside_the_folder(admin: DatasetClient, folder: Path) -> None:
    folder.mkdir()
    (folder / "prompts.txt").write_text("what is asked in the exam of the year")
    inside = SFT + f'[filters]\ndecontaminate = ["{folder}/prompts.txt"]\n'
    assert admin.send("/api/recipes/check", {"text": inside}, 200)["mistakes"] == []
    for outside in ("/etc/passwd", f"{folder}/../x", "relative.txt"):
        text = SFT + f'[filters]\ndecontaminate = ["{outside}"]\n'
        (found,) = admin.send("/api/recipes/check", {"text": text}, 200)["mistakes"]
        assert "folder of recipes" in found["message"]
    (found,) = admin.send("/api/recipes/check", {"text": SFT + '[filters]\ntokenizer = "/etc/passwd"\n'}, 200)[
        "mistakes"
    ]
    assert "folder of recipes" in found["message"]


def test_the_schema_describes_every_section(admin: DatasetClient) -> None:
    schema = admin.get("/api/recipes/schema")
    assert {"name", "kind", "source", "select", "filters", "splits"} <= set(schema["properties"])
