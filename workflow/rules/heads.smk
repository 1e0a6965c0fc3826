# Features, splits and a recipe -> runs/<target>/<recipe>/<variant>.parquet: all splits and seeds in one job



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


rule train:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        splits=f"{RESULTS}/{{benchmark}}/splits.parquet",
        coarse=f"{RESULTS}/{{benchmark}}/features/coarse.safetensors",
        fine=fine_features,
        prompts=f"{RESULTS}/{{benchmark}}/features/prompts.safetensors",
        levels=f"{RESULTS}/levels/{{recipe}}.safetensors",
        optional=lambda wildcards: optional_stores(wildcards).values(),
    output:
        f"{RESULTS}/{{benchmark}}/runs/{{target}}/{{recipe}}/{{variant}}.parquet",
    params:
        # The completed values, not the file: a comment reruns nothing, and a released value reruns
        # another recipe only where that one is silent.
        values=lambda wildcards: json.dumps(study.recipes[wildcards.recipe].values, sort_keys=True),
        recipe=lambda wildcards: RECIPES / f"{wildcards.recipe}.yaml",
        seeds=" ".join(f"--seed {seed}" for seed in config["seeds"]),
        optional=lambda wildcards: " ".join(f"--{name} {path}" for name, path in optional_stores(wildcards).items()),
        code=lambda wildcards: fingerprint("mstclipiqa.training", *filter(None, [get_variant(wildcards.variant).module])),
    log:
        f"{RESULTS}/logs/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.tsv"
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa train --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --prompts {input.prompts:q} --levels {input.levels:q} --recipe {params.recipe:q}"
        " {params.optional} --variant {wildcards.variant} --target {wildcards.target} {params.seeds} --out {output:q} 2>&1 | tee {log:q}"
