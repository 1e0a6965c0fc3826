# Benchmark folders -> samples.parquet -> splits.parquet

if study.drawn:

    rule draw:
        output:
            directory(f"{DATA}/{{benchmark}}"),
        log:
            f"{RESULTS}/logs/draw/{{benchmark}}.log",
        priority: AT_ONCE
        conda:
            "../../environment.yml"
        params:
            seed=config["draw"]["seed"],
            scale=config["draw"]["scale"],
            code=fingerprint("mstclipiqa.synthetic.miniature"),
        shell:
            "python -m mstclipiqa draw {wildcards.benchmark} --root {output:q}"
            " --seed {params.seed} --scale {params.scale} 2>&1 | tee {log:q}"


rule samples:
    input:
        root=f"{DATA}/{{benchmark}}",
    output:
        at(layout.SAMPLES),
    log:
        f"{RESULTS}/logs/samples/{{benchmark}}.log",
    priority: AT_ONCE
    conda:
        "../../environment.yml"
    params:
        state=folder_state,
        code=reader_code,
    shell:
        "python -m mstclipiqa samples {wildcards.benchmark} --root {input.root:q} --out {output:q} 2>&1 | tee {log:q}"


rule splits:
    input:
        samples=at(layout.SAMPLES),
        published=[
            f"config/splits/{name.removeprefix('file-')}.csv"
            for name in config["protocols"]
            if name.startswith("file-")
        ],
    output:
        at(layout.SPLITS),
    log:
        f"{RESULTS}/logs/splits/{{benchmark}}.log",
    priority: AT_ONCE
    conda:
        "../../environment.yml"
    params:
        protocols=" ".join(f"--protocol {name}" for name in config["protocols"]),
        code=fingerprint("mstclipiqa.data.protocols", data=["data/benchmarks/generators.yaml"]),
    shell:
        "python -m mstclipiqa split --samples {input.samples:q} {params.protocols} --out {output:q} 2>&1 | tee {log:q}"
