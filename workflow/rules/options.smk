# Options of commands, and the files behind them. None is a function of a job's `input` or `output`: what is, does not
# count as a changed parameter.

import re

#: The model that both train; every variant of the paper is trained from the same files but for its fine stream.
FOLLOWED = MODELS[0]


def encoder_options(name, prefix=""):
    """The options that name an encoder of the configuration, where a command has several with a prefix each."""
    encoder = config["encoders"][name]
    return f"--{prefix}model {encoder['model']} --{prefix}weights {quote(encoder['weights'])}"


def training_files(benchmark, recipe, variant):
    """The files that a model is trained from, by the option of the command."""
    return {option: f"{RESULTS}/{path}" for option, path in study.training_files(benchmark, recipe, variant).items()}


def training_inputs(wildcards):
    files = training_files(wildcards.benchmark, wildcards.recipe, wildcards.get("variant", FOLLOWED))
    return {option.replace("-", "_"): path for option, path in files.items()}


def adapting_options(wildcards):
    """What a recipe that trains the encoders needs beside those: the images, and the encoders to start from."""
    coarse, fine = study.streams(wildcards.recipe, wildcards.variant)
    pair = f"{encoder_options(coarse, 'coarse-')} {encoder_options(fine, 'fine-')}"
    return f"{training_options(wildcards)} --root {quote(str(DATA / wildcards.benchmark))} {pair}"


def adapting_inputs(wildcards):
    weights = [path for name in study.streams(wildcards.recipe, wildcards.variant) for path in weights_file(name)]
    return training_inputs(wildcards) | {"root": f"{DATA / wildcards.benchmark}", "weights": weights}


def training_options(wildcards):
    """What a model is trained from, as options of the command; where no variant is named, those that are taken apart."""
    files = training_files(wildcards.benchmark, wildcards.recipe, wildcards.get("variant", FOLLOWED))
    # of streams beside the pair, the option is given again and again
    return " ".join(f"--{re.sub(r'(?<=further)-[0-9]+', '', option)} {path}" for option, path in files.items())


def protocol_options(wildcards):
    """The protocols of a job, where they are not all of the suite's."""
    asked = protocols_of(config, Job(**wildcards))
    return " ".join(f"--protocol {name}" for name in asked) if asked != config["protocols"] else ""


def encoder_named(name):
    """An encoder of the configuration as MODEL WEIGHTS, for options that take both at once."""
    return f"{config['encoders'][name]['model']} {quote(config['encoders'][name]['weights'])}"


def filling(entry, names, **known):
    """The options that name encoders of the configuration and the store that each fills."""
    encoders = {name: config["encoders"][name] for name in names}
    return " ".join(
        f"--encoder {encoder['model']} {quote(encoder['weights'])} {at(entry, encoder=name, **known)}"
        for name, encoder in encoders.items()
    )


def filling_prompts(benchmark):
    """The option that names the text encoder and the store of a benchmark's prompts."""
    encoder = config["encoders"][config["text_encoder"]]
    return f"--text-encoder {encoder['model']} {quote(encoder['weights'])} {at(layout.PROMPTS, benchmark=benchmark)}"


def translated(benchmark):
    """The options that name the translations of a benchmark's prompts: one, or none."""
    return [f"--translations {quote(study.translations[benchmark])}"] if benchmark in study.translations else []


def statistics_of(benchmark):
    """The statistics of a benchmark's images; none of a pack's, which has no images."""
    return [] if benchmark in study.packed else [at(layout.STATISTICS, benchmark=benchmark)]


def files_of(jobs):
    """All that is trained from, for some (benchmark, recipe)."""
    return [path for job in jobs for path in training_files(*job, FOLLOWED).values()]


def common_options(benchmark):
    """What all curves of a benchmark are drawn from, as options of the command."""
    entries = {"samples": layout.SAMPLES, "splits": layout.SPLITS, "prompts": layout.PROMPTS}
    return " ".join(f"--{name} {at(entry, benchmark=benchmark)}" for name, entry in entries.items())


def case_options(benchmark, recipe):
    """The files of one recipe's curves, as options of the command."""
    files = training_files(benchmark, recipe, FOLLOWED)
    views = f" --views {recipe} {files['coarse-views']} {files['fine-views']}" if "coarse-views" in files else ""
    return f"--case {quote(planned_recipe(recipe))} {files['coarse']} {files['fine']} {files['levels']}{views}"


def source_options(benchmark, recipe):
    """The files of one benchmark to carry over from, as options of the command."""
    files = training_files(benchmark, recipe, FOLLOWED)
    names = ("samples", "splits", "coarse", "fine", "prompts")
    views = (
        f" --views {files['samples']} {files['coarse-views']} {files['fine-views']}" if "coarse-views" in files else ""
    )
    return f"--source {' '.join(files[name] for name in names)}{views}"


# Extraction in shares, where `extraction: shards` asks for some

COUNT = config["extraction"]["shards"]
SHARDS = [f"{number}-of-{COUNT}" for number in range(1, COUNT + 1)] if COUNT > 1 else []


def mark(stores, benchmark="{benchmark}", shard="{shard}"):
    """The mark of one share of some stores."""
    return f"{RESULTS}/{benchmark}/features/{stores}.shards/{shard}"


def marks(stores, benchmark):
    """The marks of all shares of some stores."""
    return [mark(stores, benchmark, shard) for shard in SHARDS]


def share(wildcards):
    """The option of the command that names a share."""
    return f"--shard {wildcards.shard.replace('-of-', ' ')}"


def unpacked(benchmark):
    """The stores of a benchmark that come from its pack."""
    features = [at(layout.FEATURES, benchmark=benchmark, encoder=name) for name in study.encoders(benchmark)]
    return [*features, at(layout.PROMPTS, benchmark=benchmark)]


def unpacked_texts(benchmark):
    """The texts of the suite that come from a benchmark's pack: files of levels/, with the options that fill them."""
    if benchmark != study.texts_packed:
        return {}
    text, fine = (encoder_named(name) for name in (config["text_encoder"], "fine"))
    templates = {name: quote(recipe.template) for name, recipe in study.recipes.items()}
    places = {name: at(layout.LEVELS, recipe=name) for name in templates}
    fine_places = {name: at(layout.FINE_LEVELS, recipe=name) for name in study.with_two_towers}
    zero_shot = at(layout.ZERO_SHOT)
    return {
        **{place: f"--levels {text} {templates[name]} {place}" for name, place in places.items()},
        **{place: f"--levels {fine} {templates[name]} {place}" for name, place in fine_places.items()},
        zero_shot: f"--zero-shot {text} {zero_shot}",
    }


def unpack_options(benchmark):
    """What is asked of a pack, as options of the command."""
    encoders = filling(layout.FEATURES, study.encoders(benchmark), benchmark=benchmark)
    needed = not get_benchmark(benchmark).open_labels and (DATA / benchmark).is_dir()
    labels = f"--labels {quote(str(DATA / benchmark))}" if needed else ""
    return " ".join([encoders, filling_prompts(benchmark), *unpacked_texts(benchmark).values(), labels])
