# runs -> metrics.parquet -> claims.json -> manifest.json -> the page

RUNS = [f"{RESULTS}/{job.path}" for job in study.jobs]
STATISTICS = expand(f"{RESULTS}/{{table}}.parquet", table=["intervals", "comparisons", "generators"])


rule evaluate:
    input:
        runs=RUNS,
    output:
        f"{RESULTS}/metrics.parquet",
    params:
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.evaluation.per_run"),
    log:
        f"{RESULTS}/logs/evaluate.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa evaluate {input.runs:q} --results {params.results:q} --out {output:q} 2>&1 | tee {log:q}"


rule compare:
    input:
        expand(f"{RESULTS}/{{benchmark}}/{{table}}.parquet", benchmark=study.benchmarks, table=["samples", "splits"]),
        RUNS,
        "mstclipiqa/data/benchmarks/generators.yaml",
        metrics=f"{RESULTS}/metrics.parquet",
    output:
        STATISTICS,
    params:
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.evaluation.comparisons"),
    log:
        f"{RESULTS}/logs/compare.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa compare --metrics {input.metrics:q} --results {params.results:q} --out {params.results:q}"
        " 2>&1 | tee {log:q}"


rule claims:
    input:
        expand(f"{RESULTS}/{{benchmark}}/{{table}}.parquet", benchmark=study.benchmarks, table=["samples", "splits"]),
        RUNS,
        STATISTICS,
        # Also those that are not run: parameters are counted under every recipe.
        sorted(RECIPES.glob("*.yaml")),
        metrics=f"{RESULTS}/metrics.parquet",
        claims="config/claims.yaml",
        paper_tables="config/paper_tables.csv",
    output:
        f"{RESULTS}/claims.json",
    params:
        recipes=RECIPES,
        results=lambda wildcards, output: Path(output[0]).parent,
        code=fingerprint("mstclipiqa.claims.verdicts", data=["model/fusions", "base/schemas"]),
    log:
        f"{RESULTS}/logs/claims.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa claims --results {params.results:q} --claims {input.claims:q}"
        " --paper-tables {input.paper_tables:q} --recipes {params.recipes:q} --out {output:q} 2>&1 | tee {log:q}"


rule manifest:
    input:
        f"{RESULTS}/metrics.parquet",
        f"{RESULTS}/claims.json",
        STATISTICS,
        RUNS,
        expand(f"{RESULTS}/{{benchmark}}/{{table}}.parquet", benchmark=study.benchmarks, table=["splits", "baselines"]),
        expand(f"{RESULTS}/probe/{{recipe}}/{{table}}.parquet", recipe=study.probed, table=["readout", "gates"]),
        CURVES,
        TRANSFER,
        f"{RESULTS}/efficiency.parquet",
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
        statistics=STATISTICS,
        claims=f"{RESULTS}/claims.json",
        paper_tables="config/paper_tables.csv",
        # The page shows drawn images beside the largest errors, and no others.
        images=expand(f"{DATA}/{{benchmark}}", benchmark=study.benchmarks) if study.drawn else [],
    output:
        report(f"{REPORTS}/index.html", caption="../report/page.rst", category="The page"),
        f"{REPORTS}/summary.md",
        report(
            directory(f"{REPORTS}/tables"),
            patterns=["{table}.csv"], caption="../report/table.rst", category="Tables", labels={"table": "{table}"},
        ),
        report(
            directory(f"{REPORTS}/figures"),
            patterns=["{figure}.svg"], caption="../report/figure.rst", category="Figures", labels={"figure": "{figure}"},
        ),
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
