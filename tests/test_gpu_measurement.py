"""speed/gpu.py on a machine with little: nothing of the project installed, no open_clip, no jsonschema, no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

#: What Python runs first: it hides packages, but for what stands in for them.
HIDE = """
import importlib.machinery, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("open_clip", "jsonschema"):
            folders = [folder for folder in sys.path if "stand-ins-" in folder]
            found = importlib.machinery.PathFinder.find_spec(name, folders)
            if found is None:
                raise ImportError(name)
            return found
sys.meta_path.insert(0, Hidden())
"""


def test_each_stage_says_what_it_found_and_one_that_cannot_run_says_so(tmp_path: Path):
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "hide"), "CUDA_VISIBLE_DEVICES": ""}

    def run(*stages: str) -> list[dict]:
        script = [sys.executable, REPOSITORY / "speed" / "gpu.py", "--out", tmp_path / "out"]
        options = [word for stage in stages for word in ("--stage", stage)]
        done = subprocess.run([*script, *options], env=environment, cwd=tmp_path, capture_output=True, text=True)
        rows = json.loads((tmp_path / "out" / "gpu.json").read_text())["rows"]
        assert done.returncode == any(row["held"] is False for row in rows), done.stdout + done.stderr
        return rows

    rows = run("machine")
    assert {row["stage"] for row in rows} == {"machine"} and all(row["value"] > 0 for row in rows)
    rows = run("extraction")
    assert [row["stage"] for row in rows].count("machine") == 3, "the rows of other stages are kept"
    assert rows[-1]["held"] is False and "open_clip is not here" in rows[-1]["what"]
    table = (tmp_path / "out" / "gpu.md").read_text(encoding="utf-8")
    assert "* GPU: no GPU; driver " in table and "| NOT HELD |" in table
