from __future__ import annotations

import re
from importlib.metadata import entry_points, metadata
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

import kling_async

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel made of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(path) as archive:
        return set(archive.namelist())


def test_what_is_visible_is_exactly_what_is_promised() -> None:
    visible = {
        name
        for name in dir(kling_async)
        if not name.startswith("_") and not isinstance(getattr(kling_async, name), ModuleType)
    }

    assert visible == set(kling_async.__all__)


def test_a_name_is_promised_once() -> None:
    assert len(kling_async.__all__) == len(set(kling_async.__all__))


@pytest.mark.parametrize("name", kling_async.__all__)
def test_type_checkers_are_shown_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "tests" / "typing_api.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", kling_async.__all__)
def test_every_public_class_and_function_says_what_it_promises(name: str) -> None:
    value = getattr(kling_async, name)

    assert isinstance(value, str) or (value.__doc__ or "").strip()


def kinds_of(kind: type) -> set[str]:
    """The names of a class of this library and of all that are made from it."""
    ours = {kind.__name__} if kind.__module__.startswith("kling_async.") else set[str]()
    return ours.union(*map(kinds_of, kind.__subclasses__()))


@pytest.mark.parametrize("root", [kling_async.KlingError, kling_async.Event, kling_async.Request])
def test_whatever_is_a_kind_of_a_public_class_is_public(root: type) -> None:
    assert kinds_of(root) <= set(kling_async.__all__)


def test_the_installed_version_is_the_packages_own() -> None:
    assert metadata("kling_async")["Version"] == kling_async.__version__


def test_the_command_and_the_pytest_plugin_are_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="kling-async")
    (plugin,) = entry_points(group="pytest11", name="kling_async")

    assert callable(command.load())
    assert hasattr(plugin.load(), "kling_sandbox")


def test_the_wheel_says_that_it_is_typed(wheel: set[str]) -> None:
    assert "kling_async/py.typed" in wheel


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: set[str]) -> None:
    package = ROOT / "kling_async"
    files = {file.relative_to(ROOT).as_posix() for file in package.rglob("*") if file.is_file()}

    assert {name for name in wheel if ".dist-info/" not in name} == {
        name for name in files if "__pycache__" not in name
    }
