from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kling_async import ConfigurationError, KlingSession
from kling_async.cli.batch.rows import BatchSource, VideoOptions
from kling_async.cli.options import Connection, Running, has_key, read_key
from kling_async.cli.text import command, reason

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIMLAPI_API_KEY", "AIML_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_options_can_be_typed_again() -> None:
    assert Running(max_in_flight=5, rate=2.5, max_spend=10.0, allow_unpriced=True, resubmit=True).arguments() == [
        *("--max-in-flight", "5", "--rate", "2.5", "--max-spend", "10", "--allow-unpriced", "--resubmit")
    ]
    assert Connection(base_url="http://a", key_file=Path("k")).arguments() == [
        *("--base-url", "http://a", "--key-file", "k")
    ]
    network = Connection(
        proxy="http://p:1",
        ca_file=Path("ca.pem"),
        header=("A: b", "C: d"),
        user_agent="me",
        allow_http=True,
        no_trust_env=True,
    )
    assert network.arguments() == [
        *("--proxy", "http://p:1", "--ca-file", "ca.pem", "--header", "A: b", "--header", "C: d", "--user-agent", "me"),
        *("--allow-http", "--no-trust-env"),
    ]
    assert Running().arguments() == Connection().arguments() == []


def test_the_way_to_the_vendor_is_a_sessions_to_judge() -> None:
    network = Connection(
        proxy="http://p:1", ca_file=Path("ca.pem"), header=("A: b:c", "D:e"), no_trust_env=True
    ).network()
    assert network == {
        "proxy": "http://p:1",
        "ssl": Path("ca.pem"),
        "headers": {"A": "b:c", "D": "e"},
        "user_agent": None,
        "allow_http": False,
        "trust_env": False,
    }
    assert Connection().network()["trust_env"]
    assert not Connection(sandbox=True).network()["trust_env"]
    with pytest.raises(ConfigurationError, match="--header takes"):
        Connection(header=("A",)).network()


def test_a_proxys_password_is_no_option() -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        Connection(proxy="http://ann:s3cret@p:1").check()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("connection", "speed"), [(Connection(sandbox=True), 60), (Connection(sandbox=True, speed=5), 5)]
)
def test_a_sandbox_is_quick_unless_told_otherwise(connection: Connection, speed: float) -> None:
    connection.check()
    assert connection.effective_speed == speed


def test_another_sandbox_says_its_speed_itself() -> None:
    with pytest.raises(ConfigurationError, match="--speed is that of --sandbox"):
        Connection(base_url="http://127.0.0.1:8642", speed=5).check()


@pytest.mark.parametrize("other", [{"base_url": "http://a"}, {"key_file": Path("k")}, {"proxy": "http://p"}])
def test_a_sandbox_has_an_address_and_a_key_of_its_own(other: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Connection(sandbox=True, **other).check()  # type: ignore[arg-type]


def test_the_key_is_the_environments_or_a_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf from-a-file \r\n")
    monkeypatch.setenv("AIML_API_KEY", "second")
    assert read_key(None) == "second"
    monkeypatch.setenv("AIMLAPI_API_KEY", "first")
    assert read_key(None) == "first"
    assert read_key(tmp_path / "key") == "from-a-file"


NO_KEYS = {
    "'k3y'": "is in quotes",
    '"k3y"': "is in quotes",
    "AIMLAPI_API_KEY=k3y": "is a setting, NAME=value",
    "k3y#mine": "holds a comment",
    "k3y\nand more": "holds 3 words",
    "# mine\nk3y": "holds 3 words",
    "export AIMLAPI_API_KEY=k3y": "holds 2 words",
    "Bearer k3y": "holds 2 words",
    "k3yé": "a character that no key has",
}


@pytest.mark.parametrize(("text", "told"), NO_KEYS.items())
def test_a_file_that_holds_more_than_a_key_is_noticed_and_not_shown(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_key(path)
    assert str(path) in str(caught.value)
    assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text", ["k3y", "k3y\r\n"])
def test_a_key_in_utf_16_is_noticed(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding=encoding, newline="")
    with pytest.raises(ConfigurationError, match="UTF-16"):
        read_key(path)


@pytest.mark.parametrize("key", ["'k3y'", "AIMLAPI_API_KEY=k3y", "k3y # mine", "\ufeffk3y", "k3y\n"])
def test_a_key_in_the_environment_is_judged_too(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIMLAPI_API_KEY", key)
    for ask in (lambda: read_key(None), KlingSession):
        with pytest.raises(ConfigurationError, match="the API key") as caught:
            ask()
        assert "k3y" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b" \n"])
def test_without_a_key_it_is_said_what_to_do(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="key"):
        read_key(path)
    with pytest.raises(ConfigurationError, match="--sandbox"):
        read_key(None)


def test_whether_there_is_a_key_is_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_key(Connection())
    assert has_key(Connection(sandbox=True))
    assert has_key(Connection(key_file=Path("k")))
    monkeypatch.setenv("AIMLAPI_API_KEY", "k")
    assert has_key(Connection())


def test_video_options_go_by_the_names_of_fields() -> None:
    options = VideoOptions(image=("a.jpg",), duration=5, set=("generate_audio=true", "shot_type = x=y"))
    assert options.fields() == {
        "image_url": "a.jpg",
        "duration": 5,
        "generate_audio": "true",
        "shot_type": " x=y",
    }
    assert VideoOptions(image=("https://a.example/", "https://b.example/")).fields() == {
        "image_list": ["https://a.example/", "https://b.example/"]
    }
    assert VideoOptions().fields() == {}


@pytest.mark.parametrize("options", [VideoOptions(set=("x",)), VideoOptions(set=("=x",))])
def test_an_option_that_cannot_be_meant_is_refused(options: VideoOptions) -> None:
    with pytest.raises(ConfigurationError):
        options.fields()


@pytest.mark.parametrize(
    ("name", "sandbox", "journal"),
    [
        ("here/batch.jsonl", False, "here/batch.db"),
        ("batch.csv", True, "batch.sandbox.db"),
        ("a.b.csv", False, "a.b.db"),
        ("-", False, "kling-batch.db"),
    ],
)
def test_a_batchs_journal_lies_beside_it(name: str, sandbox: bool, journal: str) -> None:  # noqa: FBT001 - a case
    assert BatchSource(name).journal(sandbox=sandbox, is_written=False) == Path(journal)


@pytest.mark.parametrize(
    ("windows", "typed"), [(False, "kling-async resume 'my batch.db'"), (True, 'kling-async resume "my batch.db"')]
)
def test_a_command_can_be_pasted(windows: bool, typed: str) -> None:  # noqa: FBT001 - a case
    assert command("resume", Path("my batch.db"), windows=windows) == typed


def test_a_reason_is_a_line() -> None:
    assert reason(ConfigurationError("a\nb")) == "ConfigurationError: a b"


@pytest.mark.parametrize("command_", ["batch", "balance", "cost", "fetch", "generate", "download", "logs", "resume"])
def test_the_key_is_no_option_of_any_command(command_: str, kling: Callable[..., object]) -> None:
    shown = str(kling(command_, "--help"))
    assert "--sandbox" in shown
    assert "--key-file" in shown
    assert "--api-key" not in shown
