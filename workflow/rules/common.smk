# What every stage needs: the checked configuration and each step's code fingerprint.

import json
import os
import sys
from pathlib import Path

from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.base.errors import InputError
from mstclipiqa.study.study import Study, describe_folder
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.model.variants import TWO_TOWERS, get_variant

RECIPES = Path("config/recipes")

# Jobs run this interpreter's `python`, also where its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

try:
    study = Study(config, RECIPES, ", ".join(os.path.relpath(path) for path in workflow.configfiles))
except InputError as error:
    sys.exit(f"Error: {error}")

DATA = study.data_root
RESULTS = f"results/{study.suite}"
REPORTS = f"reports/{study.suite}"


#: The encoders that every benchmark needs. One job encodes with both, one with each {encoder} other than these.
PAIR = ["coarse", "fine"]


wildcard_constraints:
    benchmark="|".join(study.benchmarks),
    encoder="|".join(name for name in config["encoders"] if name not in PAIR),
    recipe="|".join(study.recipes),
    variant="|".join(study.variants),


#: How all encoders of images run, as options of the command.
EXTRACTION = "--batch-size {batch_size} --gpu-batch-size {gpu_batch_size} --precision {precision}".format_map(
    config["extraction"]
)

#: The jobs that share an extraction, where `extraction: shards` asks for some: each leaves its batches where the job
#: that writes the stores finds them, and a mark, gone with it, that it is done.
COUNT = config["extraction"]["shards"]
SHARDS = [f"{number}-of-{COUNT}" for number in range(1, COUNT + 1)] if COUNT > 1 else []


def mark(name, benchmark="{benchmark}", shard="{shard}"):
    """The mark of one shard of the stores `name`."""
    return f"{RESULTS}/{benchmark}/features/{name}.shards/{shard}"


def marks(name, benchmark="{benchmark}"):
    """The marks of all shards of the stores `name`."""
    return [mark(name, benchmark, shard) for shard in SHARDS]


def share(shard):
    """The option of the command that names a shard; nothing for the job that is not one."""
    return shard and f"--shard {shard.replace('-of-', ' ')}"


#: What decides features: the code, and the architectures and weights that this project brings along.
FEATURES_CODE = fingerprint("mstclipiqa.encoders.extraction", data=["encoders/model_configs", "encoders/weights"])


def weights_file(name):
    """The weights of an encoder where they are a file, so that other bytes in it extract anew."""
    weights = config["encoders"][name]["weights"]
    return [weights] if Path(weights).is_file() else []


def encoder_spec(name, prefix=""):
    """The options that name an encoder of the configuration, where a command has several with a prefix each."""
    encoder = config["encoders"][name]
    return f"--{prefix}model {encoder['model']} --{prefix}weights {encoder['weights']}"


def encoders_into(stores, names, benchmark):
    """The options that name encoders of the configuration and, by the pattern `stores`, the file that each fills.

    It is no function of a job's `output`: what is, does not count as a changed parameter.
    """
    encoders = {name: config["encoders"][name] for name in names}
    return " ".join(
        f"--encoder {encoder['model']} {encoder['weights']} {stores.format(benchmark=benchmark, encoder=name)}"
        for name, encoder in encoders.items()
    )


def prompts_into(stores, benchmark):
    """The option that names the text encoder and the file of a benchmark's prompts, as `encoders_into` does."""
    encoder = config["encoders"][config["text_encoder"]]
    return f"--text-encoder {encoder['model']} {encoder['weights']} {stores.format(benchmark=benchmark, encoder='prompts')}"


def reader_code(wildcards):
    """The code that reads one benchmark: editing one reader leaves the other benchmarks alone."""
    return fingerprint("mstclipiqa.data.samples", get_benchmark(wildcards.benchmark).read.__module__)


def folder_state(wildcards):
    """Moves when any file of a user's benchmark folder does; a drawn folder is its own rule's output."""
    return None if study.drawn else describe_folder(DATA / wildcards.benchmark)


def reference(wildcards):
    """The suite's committed measurements. Asked for by `check` alone, and before anything is run."""
    path = Path(f"config/reference/{study.suite}.csv")
    if not path.is_file():
        sys.exit(
            f"Error: {path}: no such reference; write one from a run that you trust: "
            f"mstclipiqa bless --results {RESULTS} --reference {path} --by NAME --reason WHY"
        )
    return str(path)


def fine_features(wildcards):
    """The store that f_c is fused with: which one depends on recipe and variant."""
    return f"{RESULTS}/{wildcards.benchmark}/features/{study.fine_encoder(wildcards.recipe, wildcards.variant)}.safetensors"


def optional_stores(wildcards):
    """By option of the command: what only some recipes and variants need."""
    stores = {}
    if study.recipes[wildcards.recipe].views:
        features = f"{RESULTS}/{wildcards.benchmark}/features"
        fine = study.fine_encoder(wildcards.recipe, wildcards.variant)
        stores["coarse-views"] = f"{features}/coarse-{wildcards.recipe}.safetensors"
        stores["fine-views"] = f"{features}/{fine}-{wildcards.recipe}.safetensors"
    if get_variant(wildcards.variant).head == TWO_TOWERS:
        stores["fine-levels"] = f"{RESULTS}/levels/{wildcards.recipe}-fine.safetensors"
    return stores


#: The model of the curves.
FOLLOWED = "mst-clipiqa"


def training_files(benchmark, recipe):
    """Every file that the paper's own models are trained from."""
    fine = study.fine_encoder(recipe, FOLLOWED)
    views = [f"{encoder}-{recipe}" for encoder in ("coarse", fine)] if study.recipes[recipe].views else []
    tables = [f"{RESULTS}/{benchmark}/{name}.parquet" for name in ("samples", "splits")]
    stores = [f"{RESULTS}/{benchmark}/features/{name}.safetensors" for name in ("coarse", fine, "prompts", *views)]
    return [*tables, *stores, f"{RESULTS}/levels/{recipe}.safetensors"]
