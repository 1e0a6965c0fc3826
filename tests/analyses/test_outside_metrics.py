"""Metrics of IQA-PyTorch: their scores as a file, PIQE, which has no weights, and MUSIQ with drawn ones."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from encoding import make_samples
from PIL import Image
from scipy.io import savemat

from mstclipiqa.analyses import outside_metrics
from mstclipiqa.analyses.outside_metrics import WORST, load_metric, run_metric, score_images
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.layout import SAMPLES
from mstclipiqa.cli.main import main

CPU = torch.device("cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def samples(root: Path) -> pd.DataFrame:
    return make_samples(root, 4)


class Mean:
    """A metric with a pyiqa metric's face: the mean of the pixels, of which less is better."""

    metric_name, lower_better = "mean", True

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.max() <= 1
        return pixels.mean(dim=(1, 2, 3))


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float) / 255


def test_an_image_is_scored_at_its_own_size_and_more_is_better(samples: pd.DataFrame, root: Path):
    scores, lacking = score_images(Mean(), samples, root)
    assert lacking == 0
    np.testing.assert_allclose(scores, [-pixels_of(root / path).mean() for path in samples["path"]], atol=1e-6)
    turned = Mean()
    turned.lower_better = False
    np.testing.assert_allclose(score_images(turned, samples, root)[0], -scores)


def test_a_score_that_is_none_is_refused_by_its_image(samples: pd.DataFrame, root: Path):
    class Broken(Mean):
        def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.tensor([torch.nan])

    said = r"images/000.png: mean gives no finite score; leave this metric out, or .* \(--undefined worst\)"
    with pytest.raises(InputError, match=said):
        score_images(Broken(), samples, root)
    with pytest.raises(InputError, match="mean gives no image a finite score"):
        score_images(Broken(), samples, root, WORST)


@pytest.mark.parametrize("fails", [torch.nan, AssertionError("Expected image with\nnon zero variance")])
def test_images_without_a_score_get_the_worst_of_the_others(fails, samples: pd.DataFrame, root: Path):
    class Partial(Mean):
        calls = 0

        def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls != 2:
                return super().__call__(pixels)
            if isinstance(fails, Exception):
                raise fails
            return torch.tensor([fails])

    own = score_images(Mean(), samples, root)[0]
    others = np.delete(own, 1)
    scores, lacking = score_images(Partial(), samples, root, WORST)
    assert lacking == 1 and scores[1] == others.min()
    np.testing.assert_array_equal(np.delete(scores, 1), others)
    with pytest.raises(InputError, match="images/001.jpg: mean gives no finite score") as refused:
        score_images(Partial(), samples, root)
    assert "\n" not in str(refused.value)


def test_a_changed_image_is_refused(samples: pd.DataFrame, root: Path):
    Image.new("RGB", (20, 20)).save(root / samples["path"].iloc[2])
    with pytest.raises(InputError, match="changed since the samples table was written"):
        score_images(Mean(), samples, root)


def test_the_file_has_each_image_once_and_the_line_says_the_sign(samples, root, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(outside_metrics, "load_metric", lambda name, weights: Mean())
    monkeypatch.setattr(SAMPLES.__class__, "read", lambda entry, path: (samples, {}))
    said = run_metric(tmp_path / "scores.csv", "mean", tmp_path / "samples.parquet", root)
    assert said.endswith("mean (published) of 4 images, multiplied by -1, since less of it is better")
    table = pd.read_csv(tmp_path / "scores.csv", dtype={"image": str})
    assert list(table) == ["image", "prediction"] and list(table["image"]) == list(samples["image"])
    np.testing.assert_allclose(table["prediction"], score_images(Mean(), samples, root)[0], rtol=1e-8)


def test_without_pyiqa_it_says_what_to_install(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    (tmp_path / "samples.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"IQA-PyTorch is not installed; pip install 'mstclipiqa\[metrics\]'"):
        load_metric("piqe")
    help_page = CliRunner().invoke(main, ["run-metric", "--help"])
    assert help_page.exit_code == 0 and "IQA-PyTorch" in help_page.output


# With pyiqa


@pytest.fixture
def pyiqa():
    return pytest.importorskip("pyiqa", reason="an extra: pip install 'mstclipiqa[metrics]'")


def test_piqe_needs_no_weights_and_is_pyiqas_own(pyiqa, samples: pd.DataFrame, root: Path):
    own = pyiqa.create_metric("piqe", device=CPU)
    chosen = samples[[min(Image.open(root / path).size) > 32 for path in samples["path"]]]
    expected = [
        -float(own(torch.from_numpy(pixels_of(root / path)).float().permute(2, 0, 1)[None])) for path in chosen["path"]
    ]
    np.testing.assert_allclose(score_images(load_metric("piqe", device=CPU), chosen, root)[0], expected, rtol=1e-4)


def test_drawn_weights_are_the_seeds(pyiqa):
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    scores = [float(load_metric("musiq", f"random:{seed}", CPU)(pixels)) for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_parameters_of_niqe_in_a_file_decide_its_scores(pyiqa, tmp_path: Path):
    """A distance from the parameters' mean: nearer to it, less."""
    own = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    scores = []
    for mean in (0.5, 3.0):
        savemat(tmp_path / "niqe.mat", {"mu_prisparam": np.full((1, 36), mean), "cov_prisparam": np.eye(36)})
        scores.append(float(load_metric("niqe", str(tmp_path / "niqe.mat"), CPU)(own)))
    assert 0 < scores[0] < scores[1]


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("niqee", "published", "'niqee' is none of IQA-PyTorch's"),
        ("ssim", "published", "'ssim' compares with a reference image"),
        ("musiq", "random:x", "metric musiq: weights 'random:x': the seed after random: is a whole number"),
        ("musiq", "mine.pt", "weights 'mine.pt'; give published, a file or random:SEED"),
    ],
)
def test_what_cannot_be_run_is_one_line(pyiqa, name: str, weights: str, said: str):
    with pytest.raises(InputError, match=said) as error:
        load_metric(name, weights, CPU)
    assert "\n" not in str(error.value)
