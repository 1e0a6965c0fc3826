# Features, splits and a recipe -> runs/<target>/<recipe>/<variant>.parquet: all splits and seeds in one job


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
        device=config["training"]["device"],
        optional=lambda wildcards: " ".join(f"--{name} {path}" for name, path in optional_stores(wildcards).items()),
        code=lambda wildcards: fingerprint("mstclipiqa.training.job", *filter(None, [get_variant(wildcards.variant).module])),
    log:
        f"{RESULTS}/logs/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.tsv"
    threads: config["training"]["workers"]
    resources:
        gpu=int(config["training"]["device"] != "cpu"),
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa train --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --prompts {input.prompts:q} --levels {input.levels:q} --recipe {params.recipe:q}"
        " {params.optional} --variant {wildcards.variant} --target {wildcards.target} {params.seeds}"
        " --workers {threads} --device {params.device} --out {output:q} 2>&1 | tee {log:q}"


# The models themselves, for `mstclipiqa score`: `snakemake --cores all heads` -> heads/*.safetensors, the paper's two
# models on every benchmark and target, under the last recipe of the main grid and the first protocol's first split

HEADS = [
    f"{RESULTS}/heads/{job.benchmark}-{job.target}-{job.recipe}-{job.variant}.safetensors"
    for job in study.jobs
    if job.recipe == config["recipes"][-1] and job.variant in config["variants"]
]


rule heads:
    input:
        HEADS,


rule train_head:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        splits=f"{RESULTS}/{{benchmark}}/splits.parquet",
        coarse=f"{RESULTS}/{{benchmark}}/features/coarse.safetensors",
        fine=fine_features,
        prompts=f"{RESULTS}/{{benchmark}}/features/prompts.safetensors",
        levels=f"{RESULTS}/levels/{{recipe}}.safetensors",
        optional=lambda wildcards: optional_stores(wildcards).values(),
    output:
        f"{RESULTS}/heads/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.safetensors",
    params:
        results=subpath(input.samples, ancestor=2),
        values=lambda wildcards: json.dumps(study.recipes[wildcards.recipe].values, sort_keys=True),
        recipe=lambda wildcards: RECIPES / f"{wildcards.recipe}.yaml",
        protocol=config["protocols"][0],
        seed=config["seeds"][0],
        code=lambda wildcards: fingerprint("mstclipiqa.scoring.trained_head", *filter(None, [get_variant(wildcards.variant).module])),
    log:
        f"{RESULTS}/logs/train_head/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa train-head {wildcards.benchmark} --results {params.results:q} --recipe {params.recipe:q}"
        " --variant {wildcards.variant} --target {wildcards.target} --protocol {params.protocol} --seed {params.seed}"
        " --out {output:q} 2>&1 | tee {log:q}"
