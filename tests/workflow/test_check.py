"""`snakemake check`: red without a reference, green on what was blessed, red on what moved since."""

import yaml
from checkout import REPOSITORY, SMALL, Checkout

REFERENCE = "config/reference/reduced.csv"


def test_no_reference_is_one_line_before_anything_runs_and_other_targets_need_none(checkout: Checkout):
    (checkout.folder / REFERENCE).unlink(missing_ok=True)
    check, planned = ["check", "--cores", "1", *SMALL], ["--dry-run"]
    other = ["reproduce", "--cores", "1", *SMALL, *planned]
    *refused, (code, _) = checkout.calls((None, words) for words in (check, [*check, *planned], other))
    assert code == 0
    for code, said in refused:
        assert code == 1
        lines = [line for line in said.splitlines() if "Error" in line]
        assert len(lines) == 1 and REFERENCE in lines[0] and "mstclipiqa bless" in lines[0]
        assert "Traceback" not in said
    assert not (checkout.folder / "results").exists()


def test_github_runs_what_the_readme_says():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "check.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    readme = (REPOSITORY / "README.md").read_text()
    install, _, _, test, compare = commands[:5]  # the others: style and types (tests/test_habits.py), entries
    assert f"{install} && {test}" in readme
    assert compare == "snakemake --cores all check --configfile config/reduced.yaml"
