# What each feature stream carries: one probe per recipe, of a model trained on the first benchmark -> probe/<recipe>/

PROBED = f"{RESULTS}/{study.benchmarks[0]}"


rule probe:
    input:
        samples=f"{PROBED}/samples.parquet",
        splits=f"{PROBED}/splits.parquet",
        coarse=f"{PROBED}/features/coarse.safetensors",
        fine=f"{PROBED}/features/fine.safetensors",
        prompts=f"{PROBED}/features/prompts.safetensors",
        levels=f"{RESULTS}/levels/{{recipe}}.safetensors",
        weights=weights_file("coarse") + weights_file("fine"),
    output:
        f"{RESULTS}/probe/{{recipe}}/readout.parquet",
        f"{RESULTS}/probe/{{recipe}}/gates.parquet",
    params:
        values=lambda wildcards: json.dumps(study.recipes[wildcards.recipe].values, sort_keys=True),
        recipe=lambda wildcards: RECIPES / f"{wildcards.recipe}.yaml",
        encoders=f"{encoder_spec('coarse', 'coarse-')} {encoder_spec('fine', 'fine-')}",
        seed=config["seeds"][0],
        folder=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.analyses.probe", "mstclipiqa.model.fusions.gff", data=["encoders/model_configs", "encoders/weights"]),
    log:
        f"{RESULTS}/logs/probe/{{recipe}}.log",
    benchmark:
        f"{RESULTS}/timings/probe/{{recipe}}.tsv"
    resources:
        gpu=1,
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa probe --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --prompts {input.prompts:q} --levels {input.levels:q} {params.encoders}"
        " --recipe {params.recipe:q} --seed {params.seed} --out {params.folder:q} 2>&1 | tee {log:q}"
