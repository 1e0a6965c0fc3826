# A feature pack takes the place of a benchmark's images and of what is encoded of them -> samples.parquet, features/;
# where every benchmark has one, no encoder is needed for levels/ either. And packs of what was encoded -> packs/


def unpacked(benchmark):
    """The files of a benchmark that come from its pack, by the entry of the layout that each is of."""
    entries = [(layout.SAMPLES, {}), (layout.PROMPTS, {})]
    entries += [(layout.FEATURES, {"encoder": name}) for name in study.encoders(benchmark)]
    return [at(entry, benchmark=benchmark, **names) for entry, names in entries]


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


for packed in study.packed:

    # Without wildcards, so that it comes before the rules that read and encode images.
    rule:
        name:
            f"unpack_{packed.replace('-', '_')}"
        input:
            pack_input(packed),
        output:
            [*unpacked(packed), *unpacked_texts(packed)],
        log:
            f"{RESULTS}/logs/unpack/{packed}.log",
        conda:
            "../../environment.yml"
        params:
            benchmark=packed,
            source=study.packs[packed],
            samples=at(layout.SAMPLES, benchmark=packed),
            stores=unpack_options(packed),
            precision=config["extraction"]["precision"],
            code=fingerprint("mstclipiqa.study.packing", get_benchmark(packed).read.__module__),
        shell:
            "python -m mstclipiqa unpack {params.benchmark} --pack {params.source:q} --samples {params.samples:q}"
            " {params.stores} --precision {params.precision} 2>&1 | tee {log:q}"


# `snakemake --cores all packs` -> packs/<benchmark>.zip: of encoders whose features a recipe trains on as they are; one
# that serves augmented views alone would be of no use without these
rule packs:
    input:
        [at(layout.PACK, benchmark=name) for name in study.benchmarks],


rule pack:
    input:
        samples=at(layout.SAMPLES),
        prompts=at(layout.PROMPTS),
        stores=lambda wildcards: [at(layout.FEATURES, encoder=name) for name in study.packable(wildcards.benchmark)],
        levels=[
            *(at(layout.LEVELS, recipe=name) for name in study.recipes),
            *(at(layout.FINE_LEVELS, recipe=name) for name in study.with_two_towers),
            at(layout.ZERO_SHOT),
        ],
    output:
        at(layout.PACK),
    log:
        f"{RESULTS}/logs/pack/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    params:
        results=RESULTS,
        encoders=lambda wildcards: " ".join(f"--encoder {name}" for name in study.packable(wildcards.benchmark)),
        code=fingerprint("mstclipiqa.study.packing"),
    shell:
        "python -m mstclipiqa pack {wildcards.benchmark} --results {params.results:q} {params.encoders} --out {output:q}"
        " 2>&1 | tee {log:q}"
