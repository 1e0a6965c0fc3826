# What every stage needs: the checked configuration, the places of files, and options of commands made from both.

import json
import os
import sys
from pathlib import Path
from shlex import quote

from snakemake.utils import update_config

from mstclipiqa.base import layout
from mstclipiqa.base.documents import read_yaml
from mstclipiqa.base.errors import InputError
from mstclipiqa.base.fingerprint import fingerprint
from mstclipiqa.base.names import DISSECTED, ENTERED, MODELS
from mstclipiqa.base.text import printable

# Jobs run this interpreter's `python`, also where its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

try:
    # What people add is read when it is imported: benchmarks and fusions.
    from mstclipiqa.data.benchmarks import get_benchmark
    from mstclipiqa.data.pack_sources import pack_file
    from mstclipiqa.encoders.architectures import FOLDER
    from mstclipiqa.model.variants import PAIR, get_variant
    from mstclipiqa.study.jobs import Job, protocols_of
    from mstclipiqa.study.overrides import read_typed
    from mstclipiqa.study.refusals import refuse_drawing
    from mstclipiqa.study.study import Study, describe_folder

    if {*"{}"} & {*str(CONFIG.resolve())}:
        raise InputError(
            f"{CONFIG.resolve().parent}: Snakemake takes braces in a path for names to fill in; move the checkout"
        )
    if not workflow.modifier.skip_configfile:  # a module's configuration is not the command line's
        update_config(config, read_typed(workflow.config_settings.config))
    files = [os.path.relpath(path) for path in workflow.configfiles]
    for file in files:
        read_yaml(file)  # Snakemake keeps the last of two equal keys without a word
    study = Study(config, RECIPES, ", ".join(files) or "config")
    refuse_drawing(study)
except InputError as error:
    sys.exit(f"Error: {printable(str(error))}")

DATA = study.data_root
RESULTS = f"results/{study.suite}"
REPORTS = f"reports/{study.suite}"

#: What the encoders run on. A job that may use a GPU asks for one (`gpu=1`), and for MB of its memory: guesses, of
#: batches of 256 images and of 128 stacked runs. The profile says how many GPUs and MB there are.
ENCODES_ON = config["extraction"].get("device", "auto")
ENCODING_MB, TRAINING_MB = 8000, 24000

#: Priorities: what training waits for goes first, then training, and what waits for that; what only the page shows fills
#: the other cores meanwhile. Of equal ones the largest inputs go first.
SOON, AT_ONCE = 1, 2


wildcard_constraints:
    benchmark="|".join(study.benchmarks),
    encoder="|".join(config["encoders"]),
    recipe="|".join(study.recipes),
    variant="|".join(study.variants),


def at(entry, **names):
    """The place of a file of the layout in this suite's results; what is not named stays a wildcard."""
    path = entry.path
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    return f"{RESULTS}/{path}"


def of_benchmarks(*entries):
    """The files of the layout of every benchmark that takes part."""
    return [at(entry, benchmark=name) for name in study.benchmarks for entry in entries]


def here(paths):
    """Paths of the layout in this suite's results."""
    return [f"{RESULTS}/{path}" for path in paths]


def planned_recipe(name):
    """A recipe's file, and the digest of its completed values, which a job holds the file to. A comment reruns nothing, and
    a released value reruns another recipe only where that one is silent."""
    return f"{RECIPES / name}.yaml#{study.recipes[name].digest}"


def planned_views(name):
    """The same for augmented views, which depend on nothing else of the recipe."""
    return f"{RECIPES / name}.yaml#{study.recipes[name].views_digest}"


def weights_file(name):
    """The weights of an encoder where they are a file, and the files of a folder that describes one, so that other bytes in
    them extract anew."""
    encoder = config["encoders"][name]
    folder = encoder["model"].removeprefix(FOLDER)
    described = [path for path in Path(folder).glob("*") if path.is_file()] if folder != encoder["model"] else []
    weights = [encoder["weights"]] if Path(encoder["weights"]).is_file() else []
    return list(dict.fromkeys([*weights, *sorted(map(str, described))]))


def entered(wildcards):
    """The path of entered scores below the results folder, which names their entry."""
    return layout.RUNS.path.format(recipe=ENTERED, variant=wildcards.entry, **dict(wildcards.items()))


def code_of_variant(module, variant):
    """The fingerprint of what trains a variant: a step's module and the variant's fusion."""
    return fingerprint(module, *get_variant(variant).modules)


def folder_state(wildcards):
    """Moves when any file of a user's benchmark folder does; a drawn folder is its own rule's output."""
    return None if study.drawn else describe_folder(DATA / wildcards.benchmark)


def pack_input(benchmark):
    """A benchmark's pack where it is a file, so that other bytes in it unpack anew."""
    file = pack_file(benchmark, study.packs[benchmark])
    return [os.path.relpath(file)] if file else []


def reader_code(wildcards):
    """The code that reads one benchmark: editing one reader leaves the other benchmarks alone."""
    return fingerprint("mstclipiqa.data.samples", get_benchmark(wildcards.benchmark).read.__module__)


def reference(wildcards):
    """The suite's committed measurements. Asked for by `check` alone, and before anything is run."""
    path = CONFIG / "reference" / f"{study.suite}.csv"
    if not path.is_file():
        sys.exit(
            f"Error: {path}: no such reference; write one from a run that you trust: "
            f"mstclipiqa bless --results {RESULTS} --reference {path} --by NAME --reason WHY"
        )
    return str(path)
