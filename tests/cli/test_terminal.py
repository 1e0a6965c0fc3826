"""What the command prints, whatever others have written into names and files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mstclipiqa.cli
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.progress import progress, say
from mstclipiqa.cli import checks, scores
from mstclipiqa.cli.main import main
from mstclipiqa.cli.terminal import echo, echo_json
from mstclipiqa.provenance.folder import Verdict

EVIL = "a\x1b[2J\udcff\u202eb"
SHOWN = "a\\x1b[2J\\udcff\\u202eb"


def test_all_that_verbs_say_goes_through_one_function():
    modules = [path for path in Path(mstclipiqa.cli.__file__).parent.glob("*.py") if path.name != "terminal.py"]
    assert [path.name for path in modules if "click.echo" in path.read_text() or "print(" in path.read_text()] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError(f"{EVIL}: wrong\nmore"), f"Error: {SHOWN}: wrong\\nmore\n"),
        (PermissionError(13, "Permission denied", EVIL), f"Error: {SHOWN}: Permission denied; make room or give "),
    ],
)
def test_an_error_is_one_line_that_a_terminal_only_shows(error, said, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(scores.score, "callback", fail)
    done = CliRunner().invoke(main, ["score", "x"])
    assert done.exit_code == 1 and done.output.startswith(said) and done.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["score", "x", "--head", EVIL], ["plan", "--config", EVIL], [EVIL], ["score", EVIL]]
)
def test_arguments_are_shown_too(arguments):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code and "\x1b" not in done.output and "\u202e" not in done.output


def test_progress_is_shown_too(capsys):
    say(EVIL)
    list(progress([1], 1, EVIL, "steps"))
    said = capsys.readouterr().err
    assert SHOWN in said and "\x1b" not in said


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    """What `verify` finds of any folder."""
    verdict = Verdict()
    verdict.counts["splits"] = 2
    monkeypatch.setattr("mstclipiqa.provenance.verification.verify_results", lambda *arguments, **options: verdict)
    monkeypatch.setattr(checks, "controls", lambda: None)
    return verdict


@pytest.mark.parametrize("findings", [[], ["metrics.parquet: its SHA-256 is another"]])
def test_verify_prints_one_json_document(findings: list[str], verdict: Verdict, tmp_path: Path):
    verdict.findings += findings
    verdict.notes.append("images: none at hand")
    done = CliRunner().invoke(main, ["verify", str(tmp_path), "--json"])
    assert done.exit_code == bool(findings)
    assert json.loads(done.stdout) == {
        "results": str(tmp_path),
        "holds": not findings,
        "findings": findings,
        "counts": {"splits": 2},
        "notes": ["images: none at hand"],
        "signed_by": "",
    }
    assert done.stderr.startswith("Error: ") == bool(findings)


def test_doctor_prints_its_findings_as_json():
    done = CliRunner().invoke(main, ["doctor", "--config", "config/reduced.yaml", "--offline", "--json"])
    assert done.exit_code == 0, done.output
    findings = json.loads(done.stdout)["findings"]
    assert {finding["subject"] for finding in findings} >= {"agiqa-3k", "versions", "device"}
    assert all(set(finding) == {"part", "subject", "status", "text", "how"} for finding in findings)


def test_json_has_null_for_what_it_lacks(capsys: pytest.CaptureFixture[str]):
    echo_json({"a": math.nan, "b": [np.float32(0.5), np.int64(2), math.inf], "c": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [0.5, 2, None], "c": "x"}


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_a_terminal_shows_colours_unless_it_is_asked_not_to(
    variables: dict[str, str], coloured: bool, verdict: Verdict, tmp_path: Path
):
    runner = CliRunner(env={"NO_COLOR": None, **variables})
    said = runner.invoke(main, ["verify", str(tmp_path)], color=True).stdout
    assert ("\x1b[32m" in said) == coloured
    assert "\x1b" not in runner.invoke(main, ["verify", str(tmp_path)]).stdout


def test_the_first_word_says_how_something_stands_and_has_its_colour(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr("click.echo", lambda text, **options: said.append(text))
    monkeypatch.delenv("NO_COLOR", raising=False)
    echo("  MISSING  agiqa-1k: no folder\nFAILURE is another word\n")
    assert said == ["\x1b[31m  MISSING\x1b[0m  agiqa-1k: no folder\nFAILURE is another word\n"]
