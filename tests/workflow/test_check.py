"""`snakemake check`: red without a reference, green on what was blessed, red on what moved since."""

import pytest
import yaml
from checkout import REPOSITORY, SMALL, Checkout

REFERENCE = "config/reference/reduced.csv"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_no_reference_is_one_line_before_anything_runs(checkout: Checkout, options: tuple[str, ...]):
    (checkout.folder / REFERENCE).unlink(missing_ok=True)
    done = checkout.snakemake("check", *SMALL, *options)
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
    assert len(lines) == 1 and REFERENCE in lines[0] and "mstclipiqa bless" in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not (checkout.folder / "results").exists()


def test_other_targets_need_no_reference(checkout: Checkout):
    (checkout.folder / REFERENCE).unlink(missing_ok=True)
    assert checkout.snakemake("reproduce", "--dry-run", *SMALL).returncode == 0


def test_github_runs_what_the_readme_says():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "check.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    readme = (REPOSITORY / "README.md").read_text()
    install, _, _, test, compare = commands[:5]  # the others: style and types (tests/test_habits.py), entries
    assert f"{install} && {test}" in readme
    assert compare == "snakemake --cores all check --configfile config/reduced.yaml"
