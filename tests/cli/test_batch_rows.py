from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import png

from kling_async import ConfigurationError, Kind, to_dict
from kling_async.api.labels import OUTPUT
from kling_async.api.reprs import show
from kling_async.cli.batch.rows import BatchSource, InvalidBatch, Row, describe, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path("/somewhere")


def read(*rows: Mapping[str, object], base: Path = HERE, **usual: object) -> list[Row]:
    return read_rows("\n".join(map(json.dumps, rows)).encode(), "batch.jsonl", base, usual)


def errors_of(text: str, base: Path = HERE) -> list[str]:
    with pytest.raises(InvalidBatch) as caught:
        read_rows(text.encode(), "batch", base, {})
    return list(describe(caught.value))


def test_a_row_is_a_request_with_a_tag_and_a_name() -> None:
    (row,) = read({"prompt": "a fox", "duration": 10, "tag": "fox", "output": "fox.mp4"})
    assert to_dict(row.request) == {
        "kind": "text-to-video",
        "model": "klingai/v2.1-master-text-to-video",
        "prompt": "a fox",
        "duration": 10,
    }
    assert (row.line, row.submission.tag) == (1, {"output": "fox.mp4", "tag": "fox"})


def test_what_a_row_leaves_out_is_as_usual() -> None:
    rows = read({"prompt": "a"}, {"prompt": "b", "duration": 5, "aspect_ratio": ""}, duration=10, aspect_ratio="1:1")
    assert [to_dict(row.request)["duration"] for row in rows] == [10, 5]
    assert [to_dict(row.request)["aspect_ratio"] for row in rows] == ["1:1", "1:1"]


def test_a_row_that_names_its_kind_is_not_given_the_usual_model() -> None:
    usual = "klingai/v2.5-turbo/pro/text-to-video"
    rows = read(
        {"prompt": "a", "kind": "image-to-video", "image_url": "https://a.example/"}, {"prompt": "b"}, model=usual
    )
    assert [row.request.kind for row in rows] == [Kind.IMAGE_TO_VIDEO, Kind.TEXT_TO_VIDEO]
    assert rows[1].request.model == usual


def test_where_media_do_not_tell_the_kind_it_is_asked_for() -> None:
    (said, _) = errors_of('{"prompt": "a", "image_list": ["https://a.example/"]}')
    assert said.startswith("batch, line 1: kind is missing; allowed: 'text-to-video', ")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    said = errors_of("prompt,duration,tag,image_url,output\n,7,,,\nb,5,,none.jpg,/etc/x\nc,5,,,")
    missing = "allowed: a file that can be read (No such file or directory)"
    assert said == [
        "batch, line 2, column 1: prompt is missing; allowed: text that is not blank",
        "batch, line 2, column 2: duration is 7; allowed: 5 or 10",
        f"batch, line 3, column 5: output is '/etc/x'; allowed: {OUTPUT}",
        f"batch, line 3, column 4: image_url is Path('{HERE / 'none.jpg'}'); {missing}",
        "Nothing was submitted.",
    ]


def test_errors_beyond_what_anybody_reads_are_counted() -> None:
    said = errors_of('{"prompt": ""}\n' * 250)
    assert said[-2:] == ["and 50 further problems", "Nothing was submitted."]
    assert len(said) == 202


@pytest.mark.parametrize("text", ["", "\n \n", "prompt,tag\n", "prompt\n\n"])
def test_a_batch_without_rows_is_none(text: str) -> None:
    assert errors_of(text)[0] == "batch: there are no rows in it"


def test_a_row_has_a_priority_and_a_group() -> None:
    one, other = read({"prompt": "a", "priority": 2, "group": "ann"}, {"prompt": "b", "priority": "-1", "group": 7})
    assert [(row.submission.priority, row.submission.group) for row in (one, other)] == [(2, "ann"), (-1, "7")]
    assert one.key == one.submission.key == read({"prompt": "a"})[0].key


def test_a_priority_or_group_that_cannot_be_used_is_told_with_its_column() -> None:
    assert errors_of(f"prompt,priority,group\na,high,\nb,1.5,\nc,2000,{'x' * 201}") == [
        "batch, line 2, column 2: priority is 'high'; allowed: a whole number from -1000 to 1000",
        "batch, line 3, column 2: priority is '1.5'; allowed: a whole number from -1000 to 1000",
        "batch, line 4, column 2: priority is '2000'; allowed: a whole number from -1000 to 1000",
        f"batch, line 4, column 3: group is {show('x' * 201)}; allowed: None, or a text of 1 to 200 characters",
        "Nothing was submitted.",
    ]


def test_a_header_that_there_is_not_is_told_once_where_it_stands() -> None:
    assert errors_of("\nprompt,promt,Notizen\na,x,y\nb,z,\nc,,") == [
        "batch, line 2, column 2: there is no column promt (did you mean prompt?)",
        "batch, line 2, column 3: there is no column Notizen; `kling-async models` lists what each model takes",
        "Nothing was submitted.",
    ]


@pytest.mark.parametrize("header", ["Prompt", "PROMPT", "promt"])
def test_what_a_misspelt_header_leaves_out_is_not_told_row_by_row(header: str) -> None:
    assert errors_of(f"{header},duration\na,5\nb,7\n") == [
        f"batch, line 1, column 1: there is no column {header} (did you mean prompt?)",
        "batch, line 3, column 2: duration is 7; allowed: 5 or 10",
        "Nothing was submitted.",
    ]


def test_a_header_that_only_another_model_takes_is_told_for_each_row() -> None:
    said = errors_of("prompt,effect_scene,kind\na,hug,text-to-video\nb,hug,text-to-video\n")
    assert [line[:30] for line in said[:-1]] == ["batch, line 2, column 2: effec", "batch, line 3, column 2: effec"]


def test_what_is_wrong_with_an_option_is_told_once(tmp_path: Path) -> None:
    rows = b'{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "c", "duration": 10}'
    with pytest.raises(InvalidBatch) as caught:
        read_rows(rows, "batch", tmp_path, {"duration": 7})
    assert list(describe(caught.value)) == [
        "batch: in the options, duration is 7; allowed: 5 or 10",
        "Nothing was submitted.",
    ]


def test_beside_a_batch_where_nothing_can_be_written_there_is_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BatchSource(str(tmp_path / "prompts.csv"))
    assert source.journal(sandbox=False, is_written=True) == tmp_path / "prompts.db"
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ConfigurationError, match=f"cannot be in {tmp_path}.*use --journal"):
        source.journal(sandbox=False, is_written=True)
    assert source.journal(sandbox=False, is_written=False) == tmp_path / "prompts.db"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_is_like_standard_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "63")
    assert BatchSource(str(tmp_path / "63")).journal(sandbox=False, is_written=False) == Path("kling-batch.db")


def test_a_key_is_what_is_asked_for_and_which_of_the_equal_rows_it_is() -> None:
    first, second, other = (row.key for row in read({"prompt": "a"}, {"prompt": "a", "tag": "t"}, {"prompt": "b"}))
    digest, _, number = first.partition("-")
    assert (number, second) == ("1", f"{digest}-2")
    assert not other.startswith(digest)


def test_a_key_is_the_same_however_it_is_written() -> None:
    (one,) = read({"prompt": "a", "duration": "5"})
    (two,) = read({"duration": 5, "prompt": "a", "model": "klingai/v2.1-master-text-to-video"})
    (three,) = read_rows(b"duration;prompt\n5;a\n", "batch.csv", HERE, {})
    assert one.key == two.key == three.key


def test_a_key_stays_when_the_folder_moves_and_the_file_is_found_there(tmp_path: Path) -> None:
    keys = set[str]()
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        (folder / "a.png").write_bytes(png())
        (row,) = read({"image_url": "a.png", "prompt": "a"}, base=folder)
        keys.add(row.key)
        assert to_dict(row.request)["image_url"] == (folder / "a.png").as_uri()
    assert len(keys) == 1


@given(st.lists(st.sampled_from("abc"), min_size=1), st.data())
def test_keys_are_distinct_and_do_not_depend_on_the_order_of_different_rows(
    prompts: list[str], data: st.DataObject
) -> None:
    keys = [row.key for row in read(*({"prompt": prompt} for prompt in prompts))]
    shuffled = data.draw(st.permutations(prompts))
    assert len(set(keys)) == len(prompts)
    assert {row.key for row in read(*({"prompt": prompt} for prompt in shuffled))} == set(keys)
