from __future__ import annotations

from pathlib import Path

import pytest

from kling_async.cli.paths import unusable_files, with_paths

BASE = Path("/batch/here") if Path("/").drive == "" else Path("C:/batch/here")


@pytest.mark.parametrize(
    "value",
    ["https://a.example/b.jpg", "data:image/png;base64,AAAA", "s3://bucket/b.jpg", "file:///b.jpg", "", "  ", None, 7],
)
def test_what_is_no_path_stays_as_it_is(value: object) -> None:
    assert with_paths({"image_url": value}, BASE) == ({"image_url": value}, [])


def test_a_prompt_is_no_path_whatever_it_looks_like() -> None:
    assert with_paths({"prompt": "a.jpg"}, BASE) == ({"prompt": "a.jpg"}, [])


@pytest.mark.parametrize("value", ["a b.jpg", " a b.jpg ", "file:a%20b.jpg", "x/../a b.jpg"])
def test_a_path_is_relative_to_the_folder(value: str) -> None:
    cells, paths = with_paths({"image_url": value}, BASE)
    assert paths == [("image_url", BASE / "a b.jpg")]
    assert cells == {"image_url": (BASE / "a b.jpg").as_uri()}


def test_paths_are_found_in_lists_and_objects_and_in_cells_that_hold_those() -> None:
    elements = (
        '[{"name": "a.jpg", "frontal_image_url": "b.jpg", "reference_image_urls": ["c.jpg", "https://d.example/"]}]'
    )
    cells, paths = with_paths({"image_list": ["a.jpg"], "elements": elements}, BASE)
    assert [(name, path.name) for name, path in paths] == [
        ("image_list.0", "a.jpg"),
        ("elements.0.frontal_image_url", "b.jpg"),
        ("elements.0.reference_image_urls.0", "c.jpg"),
    ]
    assert cells["elements"][0]["name"] == "a.jpg"


@pytest.mark.parametrize("text", ["[1", "[" * 100_000])
def test_what_only_looks_like_json_is_left_to_the_request_to_judge(text: str) -> None:
    cells, _ = with_paths({"elements": text}, BASE)
    assert cells == {"elements": text}


def test_files_that_cannot_be_sent_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "good.jpg").write_bytes(b"x")
    paths = [("a", tmp_path / "none.jpg"), ("b", tmp_path / "empty.jpg"), ("c", tmp_path), ("d", tmp_path / "good.jpg")]
    assert list(unusable_files(paths)) == [
        ("a", f"{tmp_path / 'none.jpg'}: there is no such file"),
        ("b", f"{tmp_path / 'empty.jpg'}: it is empty"),
        ("c", f"{tmp_path}: it is a folder"),
    ]


def test_a_name_that_no_file_can_have_is_told_too() -> None:
    ((name, said),) = unusable_files([("a", BASE / ("x" * 300))])
    assert name == "a"
    assert said.startswith(str(BASE))
