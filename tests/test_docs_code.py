"""The code that pages show is run, on the small study."""

import json
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from checkout import copy_checkout
from small_study import SmallStudy, run

REPOSITORY = Path(__file__).parents[1]
NOTEBOOK = REPOSITORY / "docs" / "verify-a-claim.ipynb"


def code_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (REPOSITORY / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)


def test_a_claim_is_verified_as_the_page_says(small_study: SmallStudy, capsys):
    """Of drawn images too, which no claim is held against: every measured number is found again."""
    recompute, check = (
        code.replace("results/default/", f"{small_study.results}/") for code in code_of("verify-a-claim.md")
    )
    names: dict = {}
    exec(recompute, names)
    lines = capsys.readouterr().out.splitlines()
    claims = [line for line in lines if "drawn stand-in" in line]
    numbers = [line.split() for line in lines if line not in claims]
    assert claims and len(numbers) == 2 * (2 + 3)  # by recipe, two selections of one protocol, three of the other
    assert all(float(measured) == pytest.approx(float(again), abs=1e-12) for *_, measured, again in numbers)
    exec(check, names)
    said = capsys.readouterr().out
    assert said.startswith("True {") and "data.csv" in said


def test_images_are_scored_as_the_page_says(small_study: SmallStudy, tmp_path: Path, monkeypatch):
    recipe = small_study.config / "recipes" / "slow.yaml"
    for target in ("quality", "correspondence"):
        run(
            "train-head", "agiqa-3k", "--results", small_study.results, "--recipe", recipe, "--target", target,
            "--protocol", "grouped1", "--out", tmp_path / f"{target}.safetensors",
        )  # fmt: skip
    (tmp_path / "head.safetensors").write_bytes((tmp_path / "quality.safetensors").read_bytes())
    image = next((small_study.data / "agiqa-3k").rglob("*.jpg"))
    (tmp_path / "my-images").mkdir()
    (tmp_path / "my-images" / "a.jpg").write_bytes(image.read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in code_of("score.md"):
        exec(code, names)
    table = names["table"]
    assert list(table) == ["image", "quality", "correspondence", "synthetic", "unlike_training", "error"]
    assert table.notna().all(axis=0).tolist() == [True] * 5 + [False]


def test_the_heads_that_the_page_names_are_planned(tmp_path: Path):
    """Without data: of drawn images."""
    page = " ".join((REPOSITORY / "docs" / "score.md").read_text(encoding="utf-8").split())
    assert "`snakemake --cores all heads` keeps the heads of the default suite in `results/default/heads/`" in page
    planned = copy_checkout(tmp_path / "checkout").planned("heads")
    assert planned["draw"] == 4 and any("head" in rule for rule in planned)


@pytest.fixture(scope="module")
def cells(small_study: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The notebook's code cells, run in order by this interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS", str(small_study.results))
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter")))
        kernels = Path(sys.prefix) / "share" / "jupyter"
        patch.setenv("JUPYTER_PATH", str(kernels))
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        nbclient.NotebookClient(notebook, timeout=300).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_verifies_a_claim(cells: list[dict]):
    shown = ["".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs) for cell in cells]
    assert "drawn stand-in" in shown[1] and "verdict" in shown[1]
    assert "again" in shown[2] and "validation" in shown[2]
    assert any("image/png" in output.get("data", {}) for output in cells[3].outputs)
    assert "prompt in training" in shown[4]


def test_the_notebook_is_stored_without_outputs():
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
