"""What a configuration may not ask of its encoders: parts that they cannot play, and steps that need others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import DISSECTED
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK
from mstclipiqa.encoders.architectures import has_text_tower
from mstclipiqa.model.variants import PAIR, PARTS

if TYPE_CHECKING:
    from mstclipiqa.study.study import Study


def refuse_streams(config: Mapping) -> None:
    """Raises InputError for encoders of a configuration that have no part, and for streams that are none."""
    named, encoders = config.get("streams", PAIR), config["encoders"]
    if named[0] != PAIR[0]:
        raise InputError(f"streams: begins with {named[0]}; put coarse first, whose size the fused feature has")
    if strange := [name for name in named if name not in encoders]:
        raise InputError(f"streams: {strange[0]} is none of the encoders ({', '.join(encoders)}); describe it")
    if strange := [name for name in encoders if name not in (*PARTS, *named)]:
        raise InputError(f"encoders: {strange[0]} is looked at by nothing; name it under streams, or leave it out")


def refuse_encoders(study: "Study") -> None:
    """Raises InputError where an encoder cannot play its part, or rules out a variant that is asked for."""
    models = {role: encoder["model"] for role, encoder in study.config["encoders"].items()}
    text = study.config["text_encoder"]
    if not has_text_tower(models[text]):
        raise InputError(
            f"text_encoder: {text} is {models[text]}, which has no text tower; describe an encoder `text` "
            "with one, and name that"
        )
    sizes = study.sizes
    for role in study.paired:
        if None not in (sizes["coarse"], sizes[role]) and sizes["coarse"] != sizes[role]:
            raise InputError(
                f"encoders: coarse ({models['coarse']}) gives {sizes['coarse']} numbers an image and {role} "
                f"({models[role]}) {sizes[role]}; choose encoders of one embedding size"
            )
    if out := [name for name in study.variants if name in study.ruled_out]:
        raise InputError(
            f"variants: {', '.join(out)}: {study.ruled_out[out[0]]}; leave them out "
            "(star-no-prompt and mst-clipiqa-star compare with no level texts)"
        )


def refuse_adaptations(study: "Study") -> None:
    """Raises InputError for a recipe that trains the encoders, in the main grid and where it cannot train them."""
    if strange := [name for name in study.config["recipes"] if name in study.adapted]:
        raise InputError(
            f"recipes: {strange[0]} trains the encoders; name it in a grid under also, since transfer, the probe "
            "and kept heads of the main grid train on cached features"
        )
    for job in (job for job in study.jobs if job.recipe in study.adapted):
        for role in study.streams(job.recipe, job.variant):
            model = study.config["encoders"][role]["model"]
            if not has_text_tower(model):
                raise InputError(
                    f"encoders: {role} is {model}, and {job.recipe} trains vision transformers of CLIP's alone; "
                    "leave that recipe out, or choose another encoder"
                )
        if len(streams := study.streams(job.recipe, job.variant)) > len(PAIR):
            raise InputError(
                f"variants: {job.variant} looks at {', '.join(streams)}, and {job.recipe} trains two encoders; leave "
                "one of the two out"
            )


def refuse_dissection(study: "Study") -> None:
    """Raises InputError for a recipe that no model can be taken apart under, without a protocol by prompt, and
    where the encoders rule out a model that is taken apart."""
    for name in study.config.get("dissect", []):
        if name not in study.recipes:
            raise InputError(f"dissect: recipe {name!r} is none of the suite's; add it to its recipes")
        if study.recipes[name].fine_stream != "fine" or study.recipes[name].needs_images:
            raise InputError(f"dissect: {name} trains on other features than those of the pair; leave it out")
        if not any(protocol.startswith("grouped") for protocol in study.config["protocols"]):
            raise InputError("dissect: needs a protocol groupedN; add one to the protocols")
        if out := [variant for variant in DISSECTED if variant in study.ruled_out]:
            raise InputError(f"dissect: {', '.join(out)}: {study.ruled_out[out[0]]}; leave dissect out")


def refuse_drawing(study: "Study") -> None:
    """Raises InputError where the workflow would draw into a folder that holds files of others: Snakemake empties it
    before a forced run, and for --delete-all-output."""
    for folder in (study.data_root / name for name in study.drawn_benchmarks):
        if folder.is_dir() and not (folder / SYNTHETIC_MARK).exists() and any(folder.iterdir()):
            raise InputError(
                f"data_root: {folder} holds files that were not drawn here, and drawing would replace them; set draw: "
                "null (--config draw=null) to read them, or draw elsewhere"
            )
