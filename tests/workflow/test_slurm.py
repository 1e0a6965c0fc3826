"""The Slurm profile. With MSTCLIPIQA_SLURM=1 it is run, as root on Debian, on a real Slurm that slurm.sh installs."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from checkout import REPOSITORY, SMALL, Checkout, edit, read_manifest

PROFILE = yaml.safe_load((REPOSITORY / "profiles" / "slurm" / "config.yaml").read_text())
RULES = "\n".join(path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk"))

#: As on a cluster; but the loopback keeps no accounts, and shows files at once.
SNAKEMAKE = (sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm")
SNAKEMAKE += ("--slurm-status-command", "squeue", "--slurm-no-account")
SNAKEMAKE += ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


def minutes(rule: str) -> int:
    """What the profile asks for one job of a rule."""
    return PROFILE["set-resources"].get(rule, PROFILE["default-resources"])["runtime"]


def test_profile_names_rules_that_exist():
    known = set(re.findall(r"^\s*(?:rule|use rule \w+ as) (\w+)", RULES, re.M))
    assert set(PROFILE["groups"]) | set(PROFILE["set-resources"]) <= known
    assert set(PROFILE["group-components"]) <= set(PROFILE["groups"].values())


def test_a_groups_memory_is_that_of_one_job():
    """Else Snakemake asks for the cores and the time of several side by side, which the executor runs one by one."""
    asked = [PROFILE["default-resources"], *PROFILE["set-resources"].values()]
    assert {resources["mem_mb"] for resources in asked if "mem_mb" in resources} == {PROFILE["resources"]["mem_mb"]}


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[None]:
    """A Slurm on the loopback, gone after the test."""
    if os.environ.get("MSTCLIPIQA_SLURM") != "1":
        pytest.skip("installs and starts a Slurm on this machine; set MSTCLIPIQA_SLURM=1, as root on Debian")
    script, folder = Path(__file__).with_name("slurm.sh"), tmp_path / "slurm"
    try:
        subprocess.run(["bash", script, "start", folder], check=True)
        yield
    finally:
        subprocess.run(["bash", script, "stop", folder], check=True)


def submitted() -> list[tuple[str, int, str, str]]:
    """State, time limit in minutes, memory and GPUs of every job that Slurm had."""
    table = "--Format=State:20,TimeLimit:20,MinMemory:20,tres-per-job:20"
    lines = subprocess.check_output(["squeue", "--states=all", "--noheader", table], text=True).splitlines()
    jobs = []
    for state, limit, memory, gpus in map(str.split, lines):
        seconds = sum(int(part) * 60**power for power, part in enumerate(reversed(limit.split(":"))))
        jobs.append((state, seconds // 60, memory, gpus))
    return jobs


def test_cluster_computes_the_bytes_of_a_local_run(slurm: None, checkout: Checkout, request: pytest.FixtureRequest):
    edit(checkout.folder / "config/reduced.yaml", "shards: 1", "shards: 2")
    done = subprocess.run(
        [*SNAKEMAKE, "reproduce", *SMALL],
        cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    whole = request.getfixturevalue("finished")
    local, cluster = whole.results(), checkout.results()
    assert sorted(cluster) == sorted(local)
    manifests = read_manifest(whole), read_manifest(checkout)
    assert [manifest["config"]["extraction"].pop("shards") for manifest in manifests] == [1, 2]
    assert manifests[0] == manifests[1]
    local = {name: kept for name, kept in local.items() if Path(name).name != "manifest.json"}
    assert [name for name in local if cluster[name] != local[name]] == []

    # what Slurm was asked for: with one benchmark, one submission for each group, with the time of all its jobs
    counts = checkout.planned("reproduce", "--forceall", *SMALL)
    grouped = Counter()
    for rule, group in PROFILE["groups"].items():
        grouped[group] += counts.get(rule, 0) * minutes(rule)
    alone = {rule: count for rule, count in counts.items() if rule not in PROFILE["groups"]}
    limits = Counter(grouped.values()) + sum((Counter({minutes(rule): n}) for rule, n in alone.items()), Counter())
    states, times, memory, gpus = map(Counter, zip(*submitted(), strict=True))
    assert times == limits
    assert states.keys() == {"COMPLETED"}
    assert memory.keys() == {f"{PROFILE['resources']['mem_mb']}M"}
    plan = checkout.snakemake("reproduce", "--dry-run", "--forceall", *SMALL)
    assert gpus["gres:gpu:1"] == len(re.findall(r"resources: .*\bgpu=1\b", plan.stdout + plan.stderr)) > 0
