"""Files that are whole or absent, tables with metadata, parts of long jobs."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors import SafetensorError

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import (
    MACHINE,
    Parts,
    atomic,
    digest,
    list_files,
    read_description,
    read_table,
    sha256,
    write_json,
    write_table,
    write_text,
)

METADATA = {"benchmark": "agiqa-3k", "ranges": {"quality": [0, 5]}, "title": "AGIQA-3K – “ünïcode”", "none": None}


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "image": ["a.png", "b, c.png", "ü.png"],
            "split": [0, 1, 2],
            "quality": [1.5, np.nan, 0.1 + 0.2],
            "seen": [True, False, True],
            "prompt": ['a "quoted" cat', "", "two\nlines"],
        }
    )


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


# Whole or absent


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("written", [True, False])
def test_a_failed_write_leaves_nothing_behind(tmp_path, error, written):
    with pytest.raises(error), atomic(tmp_path / "deep" / "file.txt") as temporary:
        if written:
            temporary.write_text("half")
        raise error
    assert files(tmp_path) == ["deep"]


def test_a_failed_write_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(ValueError, match="stop"), atomic(path) as temporary:
        temporary.write_text("half of the new")
        raise ValueError("stop")
    assert path.read_text() == "old"
    assert files(tmp_path) == ["file.txt"]


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic(str(path)) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent  # a move within a file system
    assert path.read_text() == "whole"
    assert files(path.parent) == ["file.txt"]


def test_an_old_file_is_replaced_and_not_overwritten(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "a long old text")
    with path.open() as reader:  # who has the old file open goes on reading the old file
        write_text(path, "short")
        assert reader.read() == "a long old text"
    assert path.read_text() == "short"


# Text and JSON


def test_text_is_utf8_and_json_is_the_same_whatever_the_order_of_its_keys(tmp_path):
    write_json(tmp_path / "one.json", {"b": [1, 2], "a": "größe"})
    write_json(tmp_path / "two.json", {"a": "größe", "b": [1, 2]})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "größe" in (tmp_path / "one.json").read_bytes().decode("utf-8")
    assert json.loads((tmp_path / "one.json").read_text("utf-8")) == {"a": "größe", "b": [1, 2]}


def test_sha256_is_of_the_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_digest_tells_documents_apart_and_not_the_order_of_their_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    different = [{"a": 1}, {"a": "1"}, {"a": 1.5}, {"a": None}, [1, 2], [2, 1], "a", []]
    assert len({digest(document) for document in different}) == len(different)


# Tables


def test_a_table_comes_back_with_its_metadata(tmp_path, frame):
    write_table(tmp_path / "table.parquet", frame, METADATA)
    found, metadata = read_table(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(found, frame)
    assert metadata == METADATA


def test_a_table_is_what_pandas_reads(tmp_path, frame):
    """Texts, some of them missing or all, are decoded as dictionaries, and in parts."""
    frame = pd.concat([frame] * 30_000, ignore_index=True)
    frame["some"] = frame["image"].where(frame["split"] > 0)
    frame["none"] = None
    write_table(tmp_path / "table.parquet", frame, METADATA)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "table.parquet")[0], pd.read_parquet(tmp_path / "table.parquet")
    )


def test_a_description_is_read_without_the_table(tmp_path, frame):
    path = tmp_path / "table.parquet"
    with pytest.raises(InputError, match="no such file"):
        read_description(path)
    write_table(path, frame, METADATA)
    assert read_description(path) == METADATA
    frame.to_parquet(path)
    with pytest.raises(InputError, match="not a table of this project"):
        read_description(path)


def test_the_index_is_no_part_of_a_table(tmp_path, frame):
    write_table(tmp_path / "one.parquet", frame.iloc[[2, 0, 1]], {})
    write_table(tmp_path / "two.parquet", frame.iloc[[2, 0, 1]].reset_index(drop=True), {})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert read_table(tmp_path / "one.parquet")[0]["image"].tolist() == ["ü.png", "a.png", "b, c.png"]


def test_equal_tables_are_equal_bytes_and_others_are_not(tmp_path, frame):
    def written(frame, metadata):
        write_table(tmp_path / "table.parquet", frame, metadata)
        return sha256(tmp_path / "table.parquet")

    first = written(frame, METADATA)
    assert written(frame.copy(), dict(reversed(METADATA.items()))) == first
    assert written(frame, METADATA | {"none": 0}) != first
    assert written(frame.assign(split=[0, 1, 3]), METADATA) != first


def refused(path):
    with pytest.raises(InputError) as error:
        read_table(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


def test_a_missing_table_is_named(tmp_path):
    assert "no such file" in refused(tmp_path / "table.parquet")


def test_what_is_no_table_of_this_project_is_refused(tmp_path, frame):
    path = tmp_path / "table.parquet"
    for content in (b"", b"PAR1", b"image,quality\na.png,3\n"):
        path.write_bytes(content)
        assert "not a table of this project" in refused(path)
    frame.to_parquet(path)  # a table, but without this project's metadata
    assert "not a table of this project" in refused(path)


def test_a_table_cut_short_anywhere_is_refused(tmp_path, frame):
    path = tmp_path / "table.parquet"
    write_table(path, frame, METADATA)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        refused(path)


def test_a_table_whose_column_names_are_damaged_is_refused(tmp_path, frame):
    path = tmp_path / "table.parquet"
    write_table(path, frame, METADATA)
    path.write_bytes(path.read_bytes().replace(b"split", b"spli\xff"))
    refused(path)


# Parts


def test_parts_of_another_key_are_never_picked_up(tmp_path):
    output = tmp_path / "runs.parquet"
    write_text(Parts(output, {"lr": 1, "seeds": [0]}).path("part"), "finished")
    assert Parts(output, {"seeds": [0], "lr": 1}).path("part").read_text() == "finished"
    for key in ({"lr": 2, "seeds": [0]}, {"lr": 1, "seeds": [1]}, {"lr": 1}):
        assert not Parts(output, key).path("part").exists()
    assert not Parts(tmp_path / "other.parquet", {"lr": 1, "seeds": [0]}).path("part").exists()


def test_clearing_removes_the_parts_of_every_key_and_nothing_else(tmp_path):
    output = tmp_path / "runs.parquet"
    write_text(output, "whole")
    for key in (1, 2):
        write_text(Parts(output, key).path("part"), "finished")
    Parts(output, 2).clear()
    Parts(output, 2).clear()  # nothing there is nothing to do
    assert files(tmp_path) == ["runs.parquet"]


def test_files_have_the_permissions_that_the_users_umask_gives(tmp_path):
    """Also where the writer itself, as safetensors does, gives them to the user alone."""
    (tmp_path / "plain").write_text("")
    with atomic(tmp_path / "ours") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_a_killed_process_left_is_removed_when_its_file_is_written(tmp_path):
    """Not what it left of other files, nor what a process that lives is writing."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = f"{MACHINE}-{dead.pid}"
    left = [f".a.csv.{here}.tmp", f".b.csv.{here}.tmp", f".a.csv.{MACHINE}-{os.getppid()}.tmp", ".a.csv.mine.tmp"]
    left.append(f".a.csv.0123abcd-{dead.pid}.tmp")  # on another machine the number may be that of a process that lives
    for name in left:
        (tmp_path / name).write_text("half")
    write_text(tmp_path / "a.csv", "whole")
    assert files(tmp_path) == sorted(["a.csv", *left[1:]])


def test_two_processes_write_one_after_the_other(tmp_path):
    """The second waits, says so, and finds what the first has written; a killed one holds nothing up."""
    script = "\n".join(
        [
            "import sys, time",
            "from mstclipiqa.base.files import alone",
            "with alone(sys.argv[1]):",
            "    print('in', flush=True)",
            "    time.sleep(float(sys.argv[2]))",
            "    print('out', flush=True)",
        ]
    )

    def start(seconds):
        command = [sys.executable, "-c", script, str(tmp_path / "a.csv"), str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = start(60)
    assert first.stdout.readline() == "in\n"
    second = start(0)
    assert "a.csv: waiting for another process that writes it" in second.stderr.readline()
    first.kill()
    assert second.communicate(timeout=60)[0] == "in\nout\n"
    first.communicate()
    assert files(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_full_disk_is_one_line_whoever_writes(error, tmp_path):
    refused = pytest.raises(InputError, match=r"a.csv: cannot be written \(No space left on device\); make room")
    with refused, atomic(tmp_path / "a.csv") as temporary:
        temporary.write_text("half")
        raise error
    assert files(tmp_path) == []


def test_links_are_followed_once_and_hidden_files_skipped(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    root = tmp_path / "root"
    (root / ".cache").mkdir(parents=True)
    elsewhere.mkdir()
    for path in (
        root / "b.csv",
        root / ".a.csv",
        root / ".cache" / "c.csv",
        elsewhere / "d.csv",
        root / "e.txt",
    ):
        path.touch()
    (root / "link").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(root)
    (root / "broken.csv").symlink_to(tmp_path / "gone")
    assert list_files(root, "*.csv") == [root / "b.csv", root / "link" / "d.csv"]
    assert list_files(root / "absent") == []
