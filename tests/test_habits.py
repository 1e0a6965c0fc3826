"""What helps whoever carries this on: hooks that run what CI runs, a changelog, the catalog's entry."""

import re
from pathlib import Path

from mstclipiqa import __version__
from mstclipiqa.base.documents import read_yaml

REPOSITORY = Path(__file__).parents[1]
CHECKS = read_yaml(REPOSITORY / ".github" / "workflows" / "check.yml")["jobs"]["check"]["steps"]


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def hooks() -> list[dict]:
    return [hook for repo in read_yaml(REPOSITORY / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]


def test_hooks_are_local_and_whole():
    """No code from elsewhere, and the whole checkout each time, as CI looks at it."""
    assert [repo["repo"] for repo in read_yaml(REPOSITORY / ".pre-commit-config.yaml")["repos"]] == ["local"]
    for hook in hooks():
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


def test_hooks_run_what_ci_checks():
    step = next(step for step in CHECKS if step.get("name") == "Check style, imports and types")
    assert [hook["entry"] for hook in hooks()] == step["run"].strip().splitlines()


def test_contributors_are_told_every_check():
    shown = text_of("CONTRIBUTING.md").partition("## Check as")[2].partition("\n## ")[0]
    for command in (*(hook["entry"] for hook in hooks()), "pytest", "snakemake --cores all check"):
        assert command in shown, command


def test_the_changelog_has_the_version():
    titles = re.findall(r"^## (.+)$", text_of("CHANGELOG.md"), re.M)
    assert titles[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} - \d{{4}}-\d\d-\d\d", titles[1])


# The entry for the Snakemake workflow catalog


def test_the_catalog_is_told_what_is_true():
    usage = read_yaml(REPOSITORY / ".snakemake-workflow-catalog.yml")["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["mandatory-flags"]["flags"] == []
    # The README says that neither a conda environment nor a container's image was made.
    assert usage["software-stack-deployment"] == {"conda": False, "apptainer": False, "apptainer+conda": False}
    assert "conda environments and the container's image were not made" in " ".join(text_of("README.md").split())
    rules = (REPOSITORY / "workflow" / "rules").glob("*.smk")
    assert usage["report"] is any("report(" in path.read_text(encoding="utf-8") for path in rules)
    assert (REPOSITORY / "config" / "README.md").is_file()
