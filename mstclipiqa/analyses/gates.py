"""What moves the gates: shifts by each artefact, and shares of their variance."""

import pandas as pd
import torch
from torch import Tensor

from mstclipiqa.analyses.probe_images import CLEAN
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.synthetic.artefacts import ARTEFACTS

# Gates


def gate_shifts(gates: Tensor, strengths: Tensor) -> pd.DataFrame:
    """How each artefact of strengths (S, R) moves the gates (scenes S, renderings R, D) from those of the clean scene.

    `shift` is the mean over scenes and dimensions, positive towards the coarse stream; `movement` that of the absolute
    change. Each has its SD over scenes and its SRCC with the artefact's strength. The first row, of no artefact, is the
    step from one clean scene to the next: semantics at fixed distortion.
    """
    clean = gates[:, 0]
    rows = []
    for number, artefact in enumerate([CLEAN, *ARTEFACTS]):
        change = clean.roll(1, 0) - clean if artefact == CLEAN else gates[:, number] - clean
        row: dict[str, str | float | None] = {"artefact": artefact}
        for name, by_scene in (("shift", change.mean(1)), ("movement", change.abs().mean(1))):
            row |= {name: by_scene.mean().item(), f"{name}_sd": by_scene.std().item()}
            row[f"{name}_srcc"] = None if artefact == CLEAN else srcc(by_scene, strengths[:, number])
        rows.append(row)
    return pd.DataFrame(rows).astype({"shift_srcc": float, "movement_srcc": float})


def variance_shares(gates: Tensor, strengths: Tensor) -> dict[str, float]:
    """Shares of the gates' variance (scenes S, renderings R, D), summed over dimensions, in this order: what the scene
    explains, what the artefact does, what its strength (S, R) adds linearly, and the rest."""

    def interaction(x: Tensor) -> Tensor:
        return (x - x.mean(0, keepdim=True) - x.mean(1, keepdim=True) + x.mean((0, 1))).flatten(0, 1)

    centred = gates - gates.mean((0, 1))
    total = centred.square().sum()
    # One slope per artefact; a column that is 0 everywhere, the clean one's, has none.
    slopes, left = interaction(torch.diag_embed(strengths)[..., 1:]), interaction(gates)
    basis, _ = torch.linalg.qr(slopes)  # lstsq's last bits differ from call to call
    fitted = basis @ (basis.T @ left)
    parts = {
        "scene": gates.shape[1] * centred.mean(1).square().sum() / total,
        "artefact": gates.shape[0] * centred.mean(0).square().sum() / total,
        "strength": fitted.square().sum() / total,
        "rest": (left - fitted).square().sum() / total,
    }
    return {name: share.item() for name, share in parts.items()}
