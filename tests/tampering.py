"""Results edited as someone might who knows what the manifest holds, and what verification finds."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from small_study import SmallStudy

from mstclipiqa.base.files import read_table, sha256, write_json, write_table
from mstclipiqa.cli.checks import controls
from mstclipiqa.provenance.folder import Verdict
from mstclipiqa.provenance.verification import verify_results

RUNS = "agiqa-3k/runs/quality/slow/mst-clipiqa.parquet"
SPLITS, SAMPLES = "agiqa-3k/splits.parquet", "agiqa-3k/samples.parquet"
FINE, PROMPTS = "agiqa-3k/features/fine.safetensors", "agiqa-3k/features/prompts.safetensors"


def edit_table(path: Path, change: Callable[[pd.DataFrame, dict], pd.DataFrame | None]) -> None:
    """Write a table again after `change` of its frame and metadata, which may be in place."""
    frame, metadata = read_table(path)
    changed = change(frame, metadata)
    write_table(path, frame if changed is None else changed, metadata)


def edit_manifest(study: SmallStudy, change: Callable[[dict], object]) -> None:
    path = study.results / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    write_json(path, manifest)


def rehash(study: SmallStudy) -> None:
    """Put the hashes of the files as they are into the manifest."""

    def change(manifest: dict) -> None:
        there = {name: study.results / name for name in manifest["outputs"]}
        manifest["outputs"] = {name: sha256(path) for name, path in there.items() if path.is_file()}

    edit_manifest(study, change)


def verify(study: SmallStudy, **options: object) -> Verdict:
    return verify_results(study.results, **{"config": study.config, "controls": controls(), **options})


def assert_found(verdict: Verdict, *words: str) -> None:
    """Some finding holds all words; each is one line."""
    assert all("\n" not in line and line.count("; ") for line in verdict.findings), verdict.findings
    assert [line for line in verdict.findings if all(word in line for word in words)], verdict.findings
