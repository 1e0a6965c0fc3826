"""The embedded suite: small stand-ins for the five benchmarks, drawn from a seed in their real file layouts.

None of it is real data. Generators bear the benchmarks' names for them, since file names and label files do,
but each only simulates a way of failing: PROFILES. MOS are simulated ratings of known latent factors, which
ground_truth.csv states for every image. The layouts include the defects that the real label files have.
"""

import os
import shutil
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import alone, sha256, write_text, writing
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.synthetic.labelled import draw_labelled
from mstclipiqa.synthetic.miniature_layouts import MINIATURES
from mstclipiqa.synthetic.studio import GROUND_TRUTH, Studio


def draw_benchmark(name: str, root: Path, seed: int, scale: float = 1.0, labels: Path | None = None) -> None:
    """Draw the miniature of benchmark `name` into the folder `root`, which is replaced whole or not at all. With a
    folder of the benchmark's own label files, draw the images that these name instead (synthetic/labelled).

    `scale` in (0, 1] shrinks a miniature, down to FEWEST_PROMPTS prompts. Equal arguments give equal bytes in every
    file. Of several processes that draw into one folder, one draws at a time. Raises InputError for an unknown
    name, a scale outside (0, 1] or of label files, label files that cannot be read, or a `root` that holds other files.
    """
    if name not in MINIATURES:
        raise InputError(f"no miniature of {name!r}; there are {', '.join(MINIATURES)}")
    if not 0 < scale <= 1:
        raise InputError(f"scale {scale} of the miniature {name}: give a number above 0 and up to 1")
    if labels and scale != 1:
        raise InputError(f"scale {scale} of {name} with label files: they name the images; leave one of the two out")
    root = Path(root)
    with alone(root):
        _draw_alone(name, root, seed, scale, labels)


def _draw_alone(name: str, root: Path, seed: int, scale: float, labels: Path | None) -> None:
    """As `draw_benchmark`, where nobody else draws there."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is no folder; draw the miniature {name} elsewhere")
    if root.exists() and not (root / SYNTHETIC_MARK).exists() and list(root.iterdir()):
        raise InputError(f"{root}: holds files that were not drawn here; draw the miniature {name} elsewhere")
    # Hidden siblings: a drawing that is killed leaves nothing that could be taken for a benchmark.
    draft, old = (root.with_name(f".{root.name}.{what}") for what in ("draft", "old"))
    for folder in (draft, old):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        with writing(root):
            draft.mkdir(parents=True)
            studio = Studio(draft, name, seed, scale)
            if labels:
                draw_labelled(studio, labels)
            else:
                MINIATURES[name](studio)
            notice = LABELLED_NOTICE if labels else NOTICE
            write_text(draft / SYNTHETIC_MARK, notice.format(name=name, seed=seed, scale=scale))
            if root.exists() and _contents(root) == _contents(draft):
                return  # whoever reads it is not disturbed
            if root.exists():
                os.replace(root, old)
            os.replace(draft, root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


NOTICE = f"""# Synthetic: not {{name}}

Everything in this folder was drawn by mstclipiqa (seed {{seed}}, scale {{scale}}) to exercise a workflow.
It has the file layout of the benchmark {{name}} and nothing else of it.

* The images are drawn scenes. The generators named in the files are labels of simulated ways to fail; no
  image here was made by those models, and nothing here says anything about them.
* The MOS are simulated: raters with a bias, a slope and noise of their own rate known latent factors
  (aigiqa-20k: 0.6 quality + 0.4 correspondence).
* {GROUND_TRUTH} states for each image what was really drawn, which faults the drawing has, the strength
  (0..1) of each artefact, and the latent quality, authenticity and correspondence (0..1).
* Defects of the real label files are reproduced on purpose.
"""

LABELLED_NOTICE = f"""# Synthetic: not the images of {{name}}

The label files are those of {{name}}. The images were drawn by mstclipiqa (seed {{seed}}) under the names in them, to
rehearse a workflow at its true size: no generator made them, and neither prompts nor MOS are theirs.
{GROUND_TRUTH} states for each image what was really drawn.
"""
