"""What MST-CLIPIQA* attends to: the weight of each token of the prompt, for every test image of one run of the suite.

The run is trained once more, as the suite trains it, and taken at the epoch that its protocol reports.
"""

from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from mstclipiqa.base.errors import FailedRunError, InputError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.layout import ATTENTION, PROMPTS, SAMPLES
from mstclipiqa.base.names import MODELS
from mstclipiqa.data.protocols import describe_protocol
from mstclipiqa.encoders.stores import TextFeatures, load_texts
from mstclipiqa.encoders.text_towers import Tokenizer
from mstclipiqa.evaluation.metrics import srcc
from mstclipiqa.model.build import MSTCLIPIQA
from mstclipiqa.model.heads import PromptHead
from mstclipiqa.model.recipes import Recipe
from mstclipiqa.model.variants import get_variant
from mstclipiqa.scoring.explanation import explain
from mstclipiqa.scoring.trained_head import read_trainer
from mstclipiqa.training.dataset import first_split, roles_of
from mstclipiqa.training.process import prepare_process
from mstclipiqa.training.run import EVALUATION_BATCH, Run

#: The model that reads the prompt.
VARIANT = MODELS[1]


def token_letters(prompts: TextFeatures) -> list[list[str]]:
    """The tokens of each text of a store, from start to end token, in letters. Numbers stand for those of a tokenizer
    that is not at hand, which features from a pack do without."""
    encoder, texts = prompts.metadata["encoder"], prompts.metadata["texts"]
    lengths = (prompts.offsets[1:] - prompts.offsets[:-1]).tolist()
    tokenizer = Tokenizer(encoder["model"].partition("@")[0], encoder["architecture"])
    try:
        letters = tokenizer.letters(texts)
    except InputError:
        letters = [[]] * len(texts)
    if [len(own) for own in letters] != lengths:
        return [[f"token {number}" for number in range(1, length + 1)] for length in lengths]
    return letters


def _norm(model: MSTCLIPIQA) -> float:
    """The Frobenius norm of the weights that make queries and keys. Where it is 0, every token has the same weight."""
    assert isinstance(model.head, PromptHead), "VARIANT reads the prompt"
    return torch.cat([part.detach().flatten() for part in model.head.projections[:2]]).norm().item()


def attend(
    output: Path, results: Path, benchmark: str, target: str, recipe: Recipe, seed: int, split_seed: int
) -> None:
    """Train the run of the first protocol's first split, and write ATTENTION to `output`. Its seed is `split_seed`
    where the protocol has several splits.

    Raises InputError where the results lack what is trained from, and FailedRunError, which names the run, where the
    training fails.
    """
    prepare_process()
    trainer, splits, metadata = read_trainer(results, benchmark, VARIANT, recipe, target)
    data, prompts = trainer.data, load_texts(PROMPTS.at(results, benchmark=benchmark))
    protocol, split = first_split(splits)
    several = splits.loc[splits["protocol"] == protocol, "split"].nunique() > 1
    run = Run(protocol, split, split_seed if several else seed, roles_of(data, splits, protocol, split))
    selection = describe_protocol(protocol)["selection"]
    try:
        model, predictions = trainer.train_selected(run, selection)
    except FailedRunError as error:
        raise FailedRunError(f"attention of {benchmark} {target} {recipe.name} {VARIANT}, {run}: {error}") from None
    letters = dict(zip(prompts.metadata["texts"], token_letters(prompts), strict=True))
    said = SAMPLES.read(SAMPLES.at(results, benchmark=benchmark))[0].set_index("image")["prompt"]
    places = {image: row for row, image in enumerate(data.images)}
    found: list[tuple[str, int, str, float]] = []
    with torch.inference_mode():
        for images in torch.arange(len(predictions)).split(EVALUATION_BATCH):
            named = predictions["image"].iloc[images.tolist()].tolist()
            rows = torch.tensor([places[image] for image in named])
            words = [letters[said[image]] for image in named]
            for image, own in zip(
                named, explain(model, [*data.streams(rows), *data.prompts(rows)], words), strict=True
            ):
                found += [(image, position, *pair) for position, pair in enumerate(own["attention"])]
    assert isinstance(model.head, PromptHead), "VARIANT reads the prompt"
    facts = {
        **{name: metadata[name] for name in ("benchmark", "synthetic", "target", "encoders", "text_encoder")},
        **{"recipe": recipe.name, "variant": VARIANT, "protocol": protocol, "split": split, "seed": run.seed},
        "selection": selection,
        "epoch": int(predictions["epoch"].iloc[0]),
        "srcc": srcc(predictions["prediction"].to_numpy(), predictions["mos"].to_numpy()),
        "alpha": model.head.alpha.item(),
        "norms": {"initial": _norm(trainer.build(run.seed)), "trained": _norm(model)},
        "code": fingerprint(__name__, *get_variant(VARIANT).modules),
        "versions": {package: version(package) for package in ("torch", "numpy", "scipy")},
    }
    ATTENTION.write(output, pd.DataFrame(found, columns=list(ATTENTION.columns)), facts)
