# Benchmark folders -> samples.parquet -> splits.parquet

if study.drawn:

    rule draw:
        output:
            directory(f"{DATA}/{{benchmark}}"),
        params:
            seed=config["draw"]["seed"] if study.drawn else None,
            scale=config["draw"]["scale"] if study.drawn else None,
            code=fingerprint("mstclipiqa.synthetic.miniature"),
        log:
            f"{RESULTS}/logs/draw/{{benchmark}}.log",
        conda:
            "../../environment.yml"
        shell:
            "python -m mstclipiqa draw {wildcards.benchmark} --root {output:q}"
            " --seed {params.seed} --scale {params.scale} 2>&1 | tee {log:q}"


rule samples:
    input:
        root=f"{DATA}/{{benchmark}}",
    output:
        f"{RESULTS}/{{benchmark}}/samples.parquet",
    params:
        state=folder_state,
        code=reader_code,
    log:
        f"{RESULTS}/logs/samples/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa samples {wildcards.benchmark} --root {input.root:q} --out {output:q} 2>&1 | tee {log:q}"


rule splits:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        published=[f"config/splits/{name.removeprefix('file-')}.csv" for name in config["protocols"] if name.startswith("file-")],
    output:
        f"{RESULTS}/{{benchmark}}/splits.parquet",
    params:
        protocols=" ".join(f"--protocol {name}" for name in config["protocols"]),
        code=fingerprint("mstclipiqa.data.protocols"),
    log:
        f"{RESULTS}/logs/splits/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa split --samples {input.samples:q} {params.protocols} --out {output:q} 2>&1 | tee {log:q}"
