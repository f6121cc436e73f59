from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest
from child_process import QUICK, interrupt, run, run_child, start
from cyclopts.completion import ShellDetectionError

from kling_async import ConfigurationError, DownloadError, InvalidRequest, __version__
from kling_async.cli import main
from kling_async.cli.commands.sandbox import file_problem
from kling_async.cli.exit_codes import Exit

SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one child process alone")


def test_the_demo_downloads_whole_videos_and_sums_up(tmp_path: Path) -> None:
    done = run("demo", "--jobs", "8", *QUICK, "-o", "here/there", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "here" / "there").glob("*.mp4"))
    assert [file.name[:3] for file in files] == [f"{n:02}-" for n in range(1, 9)]
    assert [file_problem(file, None) for file in files] == [None] * 8
    summary = done.stdout.splitlines()
    assert summary[0].startswith("8 of 8 videos in here")
    assert summary[2:4] == ["jobs              8: 8 completed, 0 failed, 8 bought", "models            8"]
    assert [line[:18].strip() for line in summary[4:]] == [
        "requests per job",
        "noticed late by",
        "refused (429)",
        "other errors",
        "bytes",
        "elapsed",
    ]


@pytest.mark.parametrize("colour", ["NO_COLOR", "TERM", "nothing"])
def test_piped_output_is_plain_lines(tmp_path: Path, colour: str) -> None:
    done = run("demo", "--jobs", "2", *QUICK, "-o", "out", cwd=tmp_path, **{colour: "dumb"})
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout + done.stderr) & {"\x1b", "\r", "\x07", "\b"}
    assert done.stderr.isascii()
    assert done.stderr.splitlines()[0] == "2 videos from a sandbox that is 2000 times as fast as the vendor"
    assert "2 of 2; 2 done; " in done.stderr.splitlines()[-1]


def test_progress_is_no_part_of_the_result(tmp_path: Path) -> None:
    done = run("demo", "--jobs", "1", *QUICK, "-o", "out", cwd=tmp_path)
    assert "1 of 1; " not in done.stdout
    assert "elapsed" not in done.stderr


def test_a_demo_that_lost_a_video_says_which_and_why_and_fails(tmp_path: Path) -> None:
    (tmp_path / "out" / "02-parkour-fox.mp4").mkdir(parents=True)
    done = run("demo", "--jobs", "2", *QUICK, "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("02-")]
    assert said.startswith("02-parkour-fox (klingai/v2.5-turbo/pro/text-to-video): DownloadError: ")
    assert done.stdout.startswith("1 of 2 videos in out\n")


def test_a_folder_that_cannot_be_made_fails_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    done = run("demo", "-o", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("kling-async: the folder out cannot be used: ")


@SIGNALS
def test_ctrl_c_ends_the_demo_cleanly(tmp_path: Path) -> None:
    with start("demo", "--jobs", "24", "--speed", "5", "-o", str(tmp_path)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "24 generating" in line:
                break
        out, err = interrupt(process)
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "interrupted")
    assert "Traceback" not in err


@SIGNALS
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_sandbox_serves_until_ctrl_c_or_its_like(name: str, code: int) -> None:
    with start("sandbox", "--port", "0", "--fault", "server-error=0.5") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().partition("=http://")[2]
        host, _, port = address.strip('"').partition(":")
        with socket.create_connection((host, int(port)), timeout=5):
            pass
        _, err = interrupt(process, getattr(signal, name))
    assert process.returncode == code
    assert err.splitlines()[-2:] == ["0 generations bought, 0 polls, 0 refused (429)", "interrupted"]


def test_a_port_that_is_taken_fails_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "address already in use" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "unasked"],
        ["demo", "--jobs", "0"],
        ["demo", "--speed", "inf"],
        ["demo", "--nonsense"],
        ["sandbox", "--fault", "bad_weather=0.5"],
        ["sandbox", "--fault", "server_error=often"],
        ["sandbox", "--fault", "server_error=2"],
        ["sandbox", "--port", "70000"],
    ],
)
def test_wrong_usage_is_told_and_does_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err
    assert not list(tmp_path.iterdir())


def test_wrong_usage_exits_with_2() -> None:
    assert run("nonsense").returncode == 2


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["demo", "--help"], ["sandbox", "-h"]])
def test_help_is_a_result(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.startswith("Usage: kling-async")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("demo", "--output -o --jobs --speed --seed"),
        ("sandbox", "--host --port --speed --seed --slots --max-concurrent --requests-per-second --credits --fault"),
    ],
)
def test_help_explains_every_option(command: str, options: str) -> None:
    words = run(command, "--help", COLUMNS="200").stdout
    for option in options.split():
        (explained,) = [line for line in words.splitlines() if f"{option} " in line.partition("  ")[0] + " "]
        assert len(explained.strip("\N{BOX DRAWINGS LIGHT VERTICAL} ")) > len(option) + 20


COMMANDS = [
    *("generate", "batch", "resume"),
    *("status", "fetch", "download", "gallery"),
    *("models", "balance", "cost", "logs"),
    *("demo", "sandbox"),
]


_EVERY_HELP = """
import sys
from kling_async.cli import main
for command in sys.argv[1:]:
    print(f"# {command}")
    assert main([command, "--help"]) == 0
"""


def test_every_option_and_argument_of_every_command_is_explained() -> None:
    shown = run_child([sys.executable, "-c", _EVERY_HELP, *COMMANDS], COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    named: dict[str, list[str]] = {}
    for line in shown.stdout.splitlines():
        cell = line.strip("\N{BOX DRAWINGS LIGHT VERTICAL} ")
        if cell.startswith("# "):
            explained = named[cell[2:]] = list[str]()
        elif cell.startswith(("--", "* ")):
            explained.append(cell.lstrip("* "))
    assert list(named) == COMMANDS
    for command, cells in named.items():
        assert cells, command
        assert [cell for cell in cells if len(cell.split("  ", 1)) < 2] == [], command


def test_the_list_of_commands_says_what_each_does_and_what_exit_codes_mean() -> None:
    out = run(COLUMNS="200").stdout  # in a process of its own: what was shown before keeps its width
    lines = [line.strip("\N{BOX DRAWINGS LIGHT VERTICAL} ") for line in out.splitlines()]
    for command in COMMANDS:
        (line,) = [line for line in lines if line.split(" ")[0] == command]
        assert line.endswith(".")
    _, _, codes = out.partition("Exit codes: ")
    assert [str(int(code)) in codes for code in Exit] == [True] * len(Exit)


@pytest.mark.parametrize("error", [ConfigurationError("no"), InvalidRequest("no")])
def test_what_cannot_be_asked_for_is_wrong_usage(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("kling_async.cli.commands.sandbox.run_demo", refusing)
    assert main(["demo"]) == 2
    assert capsys.readouterr() == ("", "kling-async: no\n")


def test_the_version_is_the_packages() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


@pytest.mark.parametrize("missing", ["rich", "cyclopts"])  # jinja2 is of the same extra
def test_without_the_extra_it_says_how_to_get_it(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from kling_async.cli import main; sys.exit(main(['demo']))"
    done = run_child([sys.executable, "-c", program])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'kling-async needs its extra: python -m pip install "kling_async[cli]"\n'


def test_the_library_alone_loads_neither_the_command_nor_its_extra() -> None:
    loaded = "sorted({'rich', 'cyclopts', 'kling_async.cli'} & sys.modules.keys())"
    program = f"import sys; from kling_async import *; print({loaded})"
    assert run_child([sys.executable, "-c", program]).stdout.strip() == "[]"


def test_the_command_catches_ctrl_c_before_it_loads_what_takes_time() -> None:
    program = "import sys, kling_async.cli; print(sorted({'aiohttp', 'asyncio', 'attrs', 'rich'} & sys.modules.keys()))"
    assert run_child([sys.executable, "-c", program]).stdout.strip() == "[]"


def test_another_module_that_is_missing_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kling_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        main([])


def test_ctrl_c_while_it_loads_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def find_spec(self, *_: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "kling_async.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted()])
    assert main([]) == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_of_the_library_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise DownloadError("the file is gone")

    monkeypatch.setattr("kling_async.cli.commands.sandbox.run_demo", failing)
    assert main(["demo"]) == 1
    assert capsys.readouterr() == ("", "kling-async: the file is gone\n")


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    with start("demo", "--jobs", "1", *QUICK, "-o", str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["models", "--json"]])
def test_a_reader_that_has_enough_is_no_error(arguments: list[str]) -> None:
    with start(*arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_batch_whose_reader_goes_away_makes_its_videos_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("prompt\n" + "a\n" * 9)
    with start(
        *("batch", str(tmp_path / "b.csv"), "--sandbox", *QUICK, "--json", "-o", str(tmp_path / "out"))
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err.count("nobody reads the results any more; the videos are made all the same") == 1
    assert "Traceback" not in err
    assert len(list((tmp_path / "out").iterdir())) == 9


def test_the_shell_can_complete_commands_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert main(["--install-completion", "bash"]) == 0
    written = Path(capsys.readouterr().out.partition(" is written")[0])
    assert written.is_relative_to(tmp_path)
    script = written.read_text("utf-8")
    assert all(word in script for word in ("gallery", "--serve", "--max-spend"))
    assert str(written) in (tmp_path / ".bashrc").read_text("utf-8")


def test_which_shell_is_asked_where_it_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown() -> str:
        raise ShellDetectionError

    monkeypatch.setattr("cyclopts.completion.detect.detect_shell", unknown)
    assert main(["--install-completion"]) == 2
    assert "--install-completion bash" in capsys.readouterr().err
