"""The weights that ship with the package: their place and their file format.

A file has a CLIP model's state dict in float16. Of the token embeddings it keeps the rows of the words that
pretraining showed, named by `tokens`, and one row for all other words; the full table is forty times as large.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mstclipiqa.base.files import atomic

#: The name by which a configuration asks for these weights.
EMBEDDED = "embedded"
FOLDER = Path(__file__).parent / "weights"

#: A token that no text gives. Its embedding stands for every word that pretraining did not show.
UNKNOWN = 49405


def embedded_file(model: str) -> Path | None:
    """The shipped weights of an open_clip model; None where there are none."""
    path = FOLDER / f"{model}.safetensors"
    return path if path.is_file() else None


def is_compact(path: Path) -> bool:
    """Whether a weights file is in this format, and not a plain state dict."""
    if path.suffix != ".safetensors":
        return False
    with safe_open(path, framework="pt") as store:
        return "tokens" in store.keys()  # noqa: SIM118


def write_weights(path: Path, model: nn.Module, shown: Tensor) -> None:
    """Write the state of `model`; `shown` are the tokens that pretraining showed."""
    state = {name: tensor.detach().cpu().half() for name, tensor in model.state_dict().items()}
    rows = torch.unique(torch.cat([shown.flatten(), torch.tensor([UNKNOWN])]))
    state["token_embedding.weight"] = state["token_embedding.weight"][rows]
    with atomic(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()} | {"tokens": rows.int()}, temporary)


def read_weights(path: Path, vocabulary: int) -> dict[str, Tensor]:
    """The state dict in float32, with a row for each of the `vocabulary` tokens."""
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    rows, known = state.pop("tokens").long(), state["token_embedding.weight"]
    table = known[rows == UNKNOWN].repeat(vocabulary, 1)
    state["token_embedding.weight"] = table.index_copy(0, rows, known)
    return state
