# Features, splits and a recipe -> runs/<target>/<recipe>/<variant>.parquet: all splits and seeds in one job


rule train:
    input:
        unpack(training_inputs),
    output:
        at(layout.RUNS),
    log:
        f"{RESULTS}/logs/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.tsv"
    priority: SOON
    conda:
        "../../environment.yml"
    threads: config["training"]["workers"]
    resources:
        gpu=int(config["training"]["device"] != "cpu"),
        gpu_mb=TRAINING_MB * (config["training"]["device"] != "cpu"),
    params:
        verb="train",
        files=training_options,
        recipe=lambda wildcards: planned_recipe(wildcards.recipe),
        seeds=" ".join(
            [f"--seed {seed}" for seed in config["seeds"]]
            + [f"--split-seed {seed}" for seed in config.get("split_seeds", [])]
        ),
        protocols=protocol_options,
        device=config["training"]["device"],
        code=lambda wildcards: code_of_variant("mstclipiqa.training.job", wildcards.variant),
    shell:
        "python -m mstclipiqa {params.verb} {params.files} --recipe {params.recipe:q} --variant {wildcards.variant}"
        " --target {wildcards.target} {params.seeds} {params.protocols} --workers {threads} --device {params.device} --out {output:q}"
        " 2>&1 | tee {log:q}"


if study.adapted:

    # Recipes that train the encoders too, from images
    use rule train as train_adapted with:
        input:
            unpack(adapting_inputs),
        wildcard_constraints:
            recipe="|".join(study.adapted),
        params:
            verb="train-adapted",
            files=adapting_options,
            code=lambda wildcards: [
                FEATURES_CODE,
                code_of_variant("mstclipiqa.training.adapted", wildcards.variant),
            ],

    ruleorder: train_adapted > train


# Scores of other methods (`mstclipiqa enter`), where `entries` names some -> runs/<target>/entered/<name>.parquet
ENTRIES = {entry.path: entry for entry in study.entries}


rule admit:
    input:
        lambda wildcards: list(map(str, ENTRIES[entered(wildcards)].files)),
        samples=at(layout.SAMPLES),
        splits=at(layout.SPLITS),
    output:
        at(layout.RUNS, recipe=ENTERED, variant="{entry}"),
    log:
        f"{RESULTS}/logs/admit/{{benchmark}}-{{target}}-{{entry}}.log",
    conda:
        "../../environment.yml"
    params:
        folder=lambda wildcards: ENTRIES[entered(wildcards)].folder,
        code=fingerprint("mstclipiqa.entries.admission", data=["base/schemas/entry.schema.yaml"]),
    shell:
        "python -m mstclipiqa admit {params.folder:q} --samples {input.samples:q} --splits {input.splits:q} --out {output:q}"
        " 2>&1 | tee {log:q}"


# The models themselves, for `mstclipiqa score`: `snakemake --cores all heads` -> heads/*.safetensors, of the first
# protocol's first split
rule heads:
    input:
        here(study.heads),


rule train_head:
    input:
        unpack(training_inputs),
    output:
        at(layout.HEAD),
    log:
        f"{RESULTS}/logs/train_head/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    conda:
        "../../environment.yml"
    params:
        results=subpath(input.samples, ancestor=2),
        recipe=lambda wildcards: planned_recipe(wildcards.recipe),
        protocol=config["protocols"][0],
        seed=config["seeds"][0],
        code=lambda wildcards: code_of_variant("mstclipiqa.scoring.trained_head", wildcards.variant),
    shell:
        "python -m mstclipiqa train-head {wildcards.benchmark} --results {params.results:q} --recipe {params.recipe:q}"
        " --variant {wildcards.variant} --target {wildcards.target} --protocol {params.protocol} --seed {params.seed}"
        " --out {output:q} 2>&1 | tee {log:q}"
