"""Any number of records: no row is lost and none stands twice, whatever kills the work and however many share it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from encoding import CPU, make_samples, truncate
from shards import png, write_shard

from mstclipiqa.base.errors import InputError
from mstclipiqa.cli.main import main
from mstclipiqa.encoders.extraction import extract_features
from mstclipiqa.encoders.stores import load_features, read_store
from mstclipiqa.encoders.streaming import SETTINGS, stream


class Names:
    """Work that writes the names of the records as JSON; dies at `fatal` records."""

    ending = ".json"

    def __init__(self, *folders: Path, fatal: int = 10**9, kind: str = "names"):
        self.folders = {folder: {"kind": kind} for folder in folders}
        self.fatal, self.prepared, self.finished, self.most_ahead = fatal, 0, 0, 0

    def prepare(self, record):
        self.prepared += 1
        self.most_ahead = max(self.most_ahead, self.prepared - self.finished)
        record.read_image()

    def finish(self, batch):
        self.finished += len(batch)
        if self.finished > self.fatal:
            raise KeyboardInterrupt
        return [[record.name, str(found) if isinstance(found, InputError) else None] for record, found in batch]

    def write(self, name, batches, digest):
        rows = [row for batch in batches for row in batch]
        failed = sum(reason is not None for _, reason in rows)
        for folder in self.folders:
            (folder / f"{name}.json").write_text(json.dumps({"digest": digest, "failed": failed, "rows": rows}))
        return failed

    def read_description(self, path):
        return json.loads(path.read_text())


def run(work, *paths, part_size=7, batch_size=3, shard=(1, 1)):
    return stream(work, paths, part_size, batch_size, shard, "try")


def rows(folder):
    parts = [path for path in sorted(folder.iterdir()) if path.name != SETTINGS]
    return [row for path in parts for row in json.loads(path.read_text())["rows"]]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """51 records in three shards; two of them cannot be read."""
    for shard in range(3):
        files = {f"{number:03d}.png": png(number) for number in range(17)}
        if shard == 1:
            files |= {"005.png": None, "008.png": None}
        write_shard(tmp_path / "shards" / f"{shard}.tar", files)
    return tmp_path / "shards"


def expected(shards: Path) -> list[str]:
    return [f"{shards}/{shard}.tar/{number:03d}.png" for shard in range(3) for number in range(17)]


@pytest.mark.parametrize("fatal", [1, 8, 20, 33, 51])
def test_a_killed_work_goes_on_with_no_row_lost_or_doubled(shards, tmp_path, fatal):
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(Names(out, fatal=fatal - 1), shards)
            raise KeyboardInterrupt  # the second call may find less to do
    last = Names(out)
    counts = run(last, shards)
    assert [name for name, _ in rows(out)] == expected(shards)
    assert [name[-11:] for name, reason in rows(out) if reason] == ["tar/005.png", "tar/008.png"]
    assert (counts.records, counts.failed, counts.parts) == (51, 2, 9)
    assert last.finished == 51 - counts.before


def test_machines_share_the_parts(shards, tmp_path):
    out, own = tmp_path / "out", []
    for number in (3, 1, 2):
        work = Names(out)
        assert run(work, shards, shard=(number, 3)).before == 0
        own.append(work.finished)
    assert sum(own) == 51 and min(own) > 7
    assert [name for name, _ in rows(out)] == expected(shards)
    assert run(Names(out), shards).before == 51


def test_a_kill_between_two_folders_costs_only_the_part(shards, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    run(Names(a, b), shards)
    next(b.glob("0*")).unlink()
    work = Names(a, b)
    run(work, shards)
    assert work.finished == 7 and rows(a) == rows(b)


def test_few_records_are_in_memory(shards, tmp_path):
    work = Names(tmp_path / "out")
    run(work, shards, part_size=51, batch_size=2)
    assert work.most_ahead <= 3 * 2 + 1


def test_parts_of_something_else_are_refused(shards, tmp_path):
    out = tmp_path / "out"
    run(Names(out), shards)
    for changes, words in (({"part_size": 8}, "other part_size"), ({}, "other kind"), ({"shard": (4, 3)}, "no 4 of 3")):
        with pytest.raises(InputError, match=words):
            run(Names(out, kind="names" if changes else "other"), shards, **changes)
    write_shard(shards / "1.tar", {f"{number:03d}.jpg": png(number) for number in range(17)})
    with pytest.raises(InputError, match=r"000001-000000.json: is of other records: the source changed"):
        run(Names(out), shards)
    with pytest.raises(InputError, match="is not empty"):
        run(Names(shards), shards)


def test_a_source_that_changes_meanwhile_is_refused(shards, tmp_path):
    class Changing(Names):
        def finish(self, batch):
            write_shard(shards / "2.tar", {"new.png": png()})
            return super().finish(batch)

    with pytest.raises(InputError, match=r"2.tar: changed while it was read"):
        run(Changing(tmp_path / "out"), shards)


def test_a_precision_that_only_gpus_have_is_refused_on_a_cpu(tmp_path):
    make_samples(tmp_path / "root", 1)
    words = ["encode-images", tmp_path / "root", "--encoder", "mst-small-32", "random:32", tmp_path / "out"]
    done = CliRunner().invoke(main, [*map(str, words), "--precision", "tf32", "--device", "cpu"])
    assert done.exit_code == 1 and "precision tf32: only a GPU has it" in done.output
    assert not (tmp_path / "out").exists()


def test_the_features_are_those_of_extraction(tmp_path, encoder):
    samples, store, out = make_samples(tmp_path / "root", 12), tmp_path / "a.safetensors", tmp_path / "out"
    extract_features({store: encoder}, samples, tmp_path / "root", batch_size=4)
    truncate(tmp_path / "root" / "images" / "005.jpg")
    words = ["encode-images", tmp_path / "root", "--encoder", "mst-small-32", "random:32", out, "--part-size", 5]
    done = CliRunner().invoke(main, [str(word) for word in [*words, "--batch-size", 4]])
    assert done.exit_code == 1 and "11 of 12 images encoded in 3 parts\n" in done.output
    assert done.output.endswith("Error: 1 images could not be encoded; their rows in the parts say why\n")
    parts = [read_store(path) for path in sorted(out.glob("0*"))]
    images = [Path(name).name for _, metadata in parts for name in metadata["images"]]
    known = load_features(store)
    keep = [known.images.index(name) for name in images]
    assert len(keep) == 11
    features = np.concatenate([tensors["features"] for tensors, _ in parts])
    np.testing.assert_allclose(features, known.features[keep], rtol=0, atol=1e-4)
    ((name, reason),) = [error for _, metadata in parts for error in metadata["errors"]]
    assert name.endswith("005.jpg") and reason.startswith(name) and "does not decode" in reason
    assert encoder.device == CPU
