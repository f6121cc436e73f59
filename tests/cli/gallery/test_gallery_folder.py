from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gallery_samples import film

from kling_async import ConfigurationError
from kling_async.cli.gallery.folder import MANIFEST, Folder, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(path: Path, originals: Iterable[Path], page: str = "<p>") -> dict[Path, str]:
    folder = Folder(path)
    folder.plan(originals)
    folder.write(page)
    return dict(folder.links)


def files_in(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


def test_a_folder_gets_the_page_and_the_media(tmp_path: Path) -> None:
    original = film(tmp_path / "a.mp4")
    links = write(tmp_path / "to" / "out", [original], "<p>é")
    assert links == {original: "media/a.mp4"}
    assert files_in(tmp_path / "to" / "out") == {"index.html", "media/a.mp4", MANIFEST}
    assert (tmp_path / "to" / "out" / "media" / "a.mp4").samefile(original)
    assert (tmp_path / "to" / "out" / "index.html").read_bytes() == "<p>é".encode()


def test_where_nothing_can_be_linked_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(Path, "hardlink_to", cannot)
    original = film(tmp_path / "a.mp4")
    write(tmp_path / "out", [original])
    copy = tmp_path / "out" / "media" / "a.mp4"
    assert copy.read_bytes() == original.read_bytes()
    assert not copy.samefile(original)
    stamp = copy.stat().st_ino
    write(tmp_path / "out", [original])
    assert copy.stat().st_ino == stamp  # what is there already is not copied again


def test_links_are_percent_encoded(tmp_path: Path) -> None:
    inside = film(tmp_path / "out" / "raw clips" / "50% #1?.mp4")
    outside = film(tmp_path / "in" / "cat & 猫.mp4")
    links = write(tmp_path / "out", [inside, outside])
    assert links == {inside: "raw%20clips/50%25%20%231%3F.mp4", outside: "media/cat-%E7%8C%AB.mp4"}
    assert files_in(tmp_path / "out") == {"index.html", MANIFEST, "raw clips/50% #1?.mp4", "media/cat-猫.mp4"}


def test_running_again_brings_the_folder_up_to_date_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    old, kept, new = (film(tmp_path / f"{name}.mp4", name.encode()) for name in ("old", "kept", "new"))
    out = tmp_path / "out"
    write(out, [old, kept])
    (out / "notes.txt").write_text("mine")
    (out / "media" / "mine.mp4").write_text("mine")
    film(kept, b"cut anew")
    write(out, [kept, new], "<p>2")
    assert files_in(out) == {"index.html", "notes.txt", "media/mine.mp4", "media/kept.mp4", "media/new.mp4", MANIFEST}
    assert (out / "media" / "kept.mp4").read_bytes() == kept.read_bytes()
    assert (out / "index.html").read_text() == "<p>2"
    assert old.exists()


def test_a_media_folder_that_is_not_needed_is_not_left_behind(tmp_path: Path) -> None:
    write(tmp_path / "out", [film(tmp_path / "a.mp4")])
    write(tmp_path / "out", [])
    assert not (tmp_path / "out" / "media").exists()


def test_a_page_that_somebody_else_wrote_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"index\.html is there already"):
        write(out, [film(tmp_path / "a.mp4")])
    assert files_in(out) == {"index.html"}
    assert (out / "index.html").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links take rights on Windows")
def test_a_link_that_leads_nowhere_is_somebodys_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError):
        write(out, [])
    assert not (tmp_path / "nowhere").exists()


def test_media_that_somebody_else_put_there_are_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "media").mkdir(parents=True)
    (out / "media" / "a.mp4").write_text("mine")
    original = film(tmp_path / "a.mp4")
    links = write(out, [original])
    assert links[original].startswith("media/a~")
    assert (out / "media" / "a.mp4").read_text() == "mine"


def test_a_write_that_broke_off_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, originals = tmp_path / "out", [film(tmp_path / f"{name}.mp4") for name in "ab"]
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "b.mp4":
            raise OSError("no space left")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="no space left"):
            write(out, originals)
    assert not (out / "index.html").exists()
    write(out, originals)
    assert files_in(out) == {"index.html", "media/a.mp4", "media/b.mp4", MANIFEST}


@pytest.mark.parametrize(
    "files",
    [
        ["../precious.mp4", "/etc/passwd", "media/../../precious.mp4", "media/a/b.mp4", "media/..", ".", "x.txt", 5],
        {"index.html": 1},
        None,
    ],
)
def test_a_manifest_from_elsewhere_is_no_way_out_of_the_folder(tmp_path: Path, files: object) -> None:
    precious = film(tmp_path / "precious.mp4")
    out = tmp_path / "out"
    out.mkdir()
    (out / "x.txt").write_text("mine")
    (out / MANIFEST).write_text(json.dumps({"files": files}))
    write(out, [])
    assert precious.exists()
    assert (out / "x.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="links take rights on Windows")
def test_a_link_in_the_folder_is_no_way_out_of_it(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    for folder in (elsewhere, out):
        folder.mkdir()
    precious = elsewhere / "precious.txt"
    precious.write_text("mine")
    for name in (MANIFEST, f".{MANIFEST}.new", ".index.html.new"):
        (out / name).symlink_to(precious)
    write(out, [])
    (out / "media").symlink_to(elsewhere)
    (out / MANIFEST).write_text(json.dumps({"files": ["index.html", "media/precious.txt"]}))
    with pytest.raises(ConfigurationError, match="leads out of the folder"):
        write(out, [])
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'"files"', b"{}", b"null"])
def test_a_broken_manifest_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    assert read_manifest(tmp_path) == frozenset()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_that_is_no_text_has_a_link_all_the_same(tmp_path: Path) -> None:
    original = film(Path(os.fsdecode(os.fsencode(tmp_path) + b"/out/\xff.mp4")))
    assert write(tmp_path / "out", [original]) == {original: "%FF.mp4"}
