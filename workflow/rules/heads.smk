# Features, splits and a recipe -> runs/<target>/<recipe>/<variant>.parquet: all splits and seeds in one job


rule train:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        splits=f"{RESULTS}/{{benchmark}}/splits.parquet",
        coarse=f"{RESULTS}/{{benchmark}}/features/coarse.safetensors",
        fine=f"{RESULTS}/{{benchmark}}/features/fine.safetensors",
        prompts=f"{RESULTS}/{{benchmark}}/features/prompts.safetensors",
        levels=f"{RESULTS}/levels/{{recipe}}.safetensors",
    output:
        f"{RESULTS}/{{benchmark}}/runs/{{target}}/{{recipe}}/{{variant}}.parquet",
    params:
        # The completed values, not the file: a comment reruns nothing, and a released value reruns
        # another recipe only where that one is silent.
        values=lambda wildcards: json.dumps(study.recipes[wildcards.recipe].values, sort_keys=True),
        recipe=lambda wildcards: RECIPES / f"{wildcards.recipe}.yaml",
        seeds=" ".join(f"--seed {seed}" for seed in config["seeds"]),
        code=fingerprint("mstclipiqa.training"),
    log:
        f"{RESULTS}/logs/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{benchmark}}-{{target}}-{{recipe}}-{{variant}}.tsv"
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa train --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --prompts {input.prompts:q} --levels {input.levels:q} --recipe {params.recipe:q}"
        " --variant {wildcards.variant} --target {wildcards.target} {params.seeds} --out {output:q} 2>&1 | tee {log:q}"
