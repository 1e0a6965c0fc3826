"""Measures of the gates, by hand."""

import numpy as np
import pytest
import torch
from probing import DIM, noise

from mstclipiqa.analyses.gates import gate_shifts, variance_shares
from mstclipiqa.synthetic.artefacts import ARTEFACTS


def gate_grid(scene=0.0, artefact=0.0, strength=0.0, size=6) -> tuple[torch.Tensor, torch.Tensor]:
    """Gates (size, 11, DIM) that are a sum of known parts, and strengths (size, 11)."""
    strengths = torch.cat([torch.zeros(size, 1), torch.linspace(0.1, 1, size)[:, None].repeat(1, len(ARTEFACTS))], 1)
    gates = scene * noise(size, 1, DIM) + artefact * noise(1, 1 + len(ARTEFACTS), DIM, seed=1)
    return gates + strength * strengths[..., None] * noise(1, 1 + len(ARTEFACTS), DIM, seed=2), strengths.double()


def test_shifts_by_hand():
    gates, strengths = gate_grid(scene=1)
    blur, jpeg = 1 + list(ARTEFACTS).index("blur"), 1 + list(ARTEFACTS).index("jpeg")
    gates[:, 1:] += noise(6, len(ARTEFACTS), DIM, seed=5) / 1000
    gates[:, blur] = gates[:, 0] + strengths[:, blur, None]
    gates[:, jpeg] = gates[:, 0] - strengths[:, jpeg, None] * torch.tensor([1.0, -1.0, 1, 1, 1, -1, 1, 1])
    table = gate_shifts(gates, strengths).set_index("artefact")
    assert list(table.index) == ["none", *ARTEFACTS]
    assert table.loc["blur", "shift"] == pytest.approx(0.55) == table.loc["blur", "movement"]
    assert table.loc["blur", "shift_sd"] == pytest.approx(np.linspace(0.1, 1, 6).std(ddof=1))
    assert table.loc["blur", "shift_srcc"] == pytest.approx(1)
    assert table.loc["jpeg", "shift"] == pytest.approx(-0.55 * 4 / 8)
    assert table.loc["jpeg", "movement"] == pytest.approx(0.55)
    assert (table.loc["jpeg", "shift_srcc"], table.loc["jpeg", "movement_srcc"]) == pytest.approx((-1, 1))
    assert table.loc["none", "shift"] == pytest.approx(0, abs=1e-12)
    assert table.loc["none", "movement"] == pytest.approx((gates[:, 0] - gates[:, 0].roll(1, 0)).abs().mean().item())
    assert np.isnan(table.loc["none", "shift_srcc"])


@pytest.mark.parametrize("part", ["scene", "artefact"])
def test_a_single_cause_explains_all_variance(part: str):
    shares = variance_shares(*gate_grid(**{part: 1}))
    assert shares == pytest.approx({"scene": 0, "artefact": 0, "strength": 0, "rest": 0} | {part: 1}, abs=1e-9)


def test_shares_are_the_gains_of_nested_least_squares():
    gates, _ = gate_grid(scene=1, artefact=0.7)
    gates += 0.3 * noise(*gates.shape, seed=7)
    strengths = torch.from_numpy(np.random.default_rng(8).uniform(0.1, 1, gates.shape[:2]))
    strengths[:, 0] = 0
    gates += strengths[..., None] * noise(1, 11, DIM, seed=9)
    scene, rendering = np.indices(gates.shape[:2]).reshape(2, -1)
    design, y = np.ones((len(scene), 1)), gates.flatten(0, 1).numpy()
    left = [((y - y.mean(0)) ** 2).sum()]
    dummies = np.eye(11)[rendering]
    for columns in (np.eye(6)[scene], dummies, dummies * strengths.flatten().numpy()[:, None]):
        design = np.column_stack([design, columns])
        left.append(((y - design @ np.linalg.lstsq(design, y)[0]) ** 2).sum())
    expected = [*(-np.diff(left) / left[0]), left[-1] / left[0]]
    np.testing.assert_allclose(list(variance_shares(gates, strengths).values()), expected, atol=1e-9)
