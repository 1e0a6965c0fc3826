"""What a model's name says of it, without torch: a study is read with every job."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mstclipiqa.base.errors import InputError

#: Prefix of a backbone of timm, which has no text tower.
TIMM = "timm:"

#: Prefix of a model that a folder describes, as open_clip saves it.
FOLDER = "local-dir:"

#: The architectures that this project adds to open_clip's.
OWN = Path(__file__).parent / "model_configs"


def portable_name(model: str) -> str:
    """A model's name as its features say it: without the place of its folder on this machine."""
    return f"{FOLDER}{Path(model).name}" if model.startswith(FOLDER) else model


def is_at_hand(model: str) -> bool:
    """Whether the description of a model is on this machine: that of a folder may be elsewhere."""
    return not model.startswith(FOLDER) or Path(model.partition("@")[0].removeprefix(FOLDER)).is_dir()


def has_text_tower(model: str) -> bool:
    """Whether a model reads texts."""
    return not model.startswith(TIMM)


@cache
def embedding_size(model: str) -> int | None:
    """The numbers that a model gives an image; None where its name alone does not say it, as of timm's.

    Raises InputError for a folder that describes no model. Of an unknown name nothing is said here.
    """
    name = model.partition("@")[0]
    if name.startswith(TIMM):
        return None
    if name.startswith(FOLDER):
        files = [Path(name.removeprefix(FOLDER)) / "open_clip_config.json"]
    else:
        package = find_spec("open_clip")
        places = package.submodule_search_locations if package else None
        folders = [OWN, *(Path(place) / "model_configs" for place in places or [])]
        files = [folder / f"{name}.json" for folder in folders if (folder / f"{name}.json").is_file()]
    if not files:
        return None
    try:
        described = json.loads(files[0].read_text(encoding="utf-8"))
        return int(described.get("model_cfg", described)["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"encoder {name}: no model is described by {files[0]}; export it with open_clip") from None
