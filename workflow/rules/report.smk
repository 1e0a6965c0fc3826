# runs -> metrics.parquet -> manifest.json -> the page

RUNS = [f"{RESULTS}/{job.path}" for job in study.jobs]


rule evaluate:
    input:
        runs=RUNS,
    output:
        f"{RESULTS}/metrics.parquet",
    params:
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.evaluation"),
    log:
        f"{RESULTS}/logs/evaluate.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa evaluate {input.runs:q} --results {params.results:q} --out {output:q} 2>&1 | tee {log:q}"


rule manifest:
    input:
        f"{RESULTS}/metrics.parquet",
        RUNS,
        expand(f"{RESULTS}/{{benchmark}}/{{table}}.parquet", benchmark=study.benchmarks, table=["splits", "baselines"]),
        expand(f"{RESULTS}/probe/{{recipe}}/{{table}}.parquet", recipe=study.recipes, table=["readout", "gates"]),
    output:
        f"{RESULTS}/manifest.json",
    params:
        config=json.dumps(config, sort_keys=True),
        recipes=RECIPES,
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint(data=["."]),
    log:
        f"{RESULTS}/logs/manifest.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa manifest --config {params.config:q} --recipes {params.recipes:q}"
        " --results {params.results:q} --out {output:q} 2>&1 | tee {log:q}"


rule report:
    input:
        manifest=f"{RESULTS}/manifest.json",
        metrics=f"{RESULTS}/metrics.parquet",
        paper_tables="config/paper_tables.csv",
    output:
        f"{REPORTS}/index.html",
        directory(f"{REPORTS}/tables"),
        directory(f"{REPORTS}/figures"),
    params:
        results=lambda wildcards, input: Path(input.manifest).parent,
        reports=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.report", data=["report/templates"]),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa report --results {params.results:q} --paper-tables {input.paper_tables:q}"
        " --out {params.reports:q} 2>&1 | tee {log:q}"
