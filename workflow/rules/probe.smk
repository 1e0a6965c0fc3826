# What each feature stream carries: one probe per recipe, of a model trained on the first benchmark that rates quality
# -> probe/<recipe>/

if study.probed:
    PROBED = {"benchmark": study.probed_benchmark}

    rule probe:
        input:
            samples=at(layout.SAMPLES, **PROBED),
            splits=at(layout.SPLITS, **PROBED),
            coarse=at(layout.FEATURES, encoder="coarse", **PROBED),
            fine=at(layout.FEATURES, encoder="fine", **PROBED),
            prompts=at(layout.PROMPTS, **PROBED),
            levels=at(layout.LEVELS),
            weights=weights_file("coarse") + weights_file("fine"),
        output:
            at(layout.READOUT),
            at(layout.GATES),
        log:
            f"{RESULTS}/logs/probe/{{recipe}}.log",
        benchmark:
            f"{RESULTS}/timings/probe/{{recipe}}.tsv"
        priority: SOON
        conda:
            "../../environment.yml"
        resources:
            gpu=int(ENCODES_ON != "cpu"),
            gpu_mb=ENCODING_MB * (ENCODES_ON != "cpu"),
        params:
            recipe=lambda wildcards: planned_recipe(wildcards.recipe),
            encoders=" ".join(encoder_options(name, f"{name}-") for name in PAIR),
            seed=config["seeds"][0],
            device=ENCODES_ON,
            folder=lambda wildcards, output: Path(output[0]).parent,
            code=[FEATURES_CODE, code_of_variant("mstclipiqa.analyses.probe", FOLLOWED)],
        shell:
            "python -m mstclipiqa probe --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
            " --fine {input.fine:q} --prompts {input.prompts:q} --levels {input.levels:q} {params.encoders}"
            " --recipe {params.recipe:q} --seed {params.seed} --device {params.device} --out {params.folder:q} 2>&1 | tee {log:q}"
