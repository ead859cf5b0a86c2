rule report:
    input:
        analysis="data/analysis/manifest.json",
        ablations=["data/ablations/manifest.json"] if "ablations" in dag.also else [],
    output:
        # `snakemake --report` shows these; the manifest lists the rest.
        page=report("data/report/report.html", category="Results", caption="../report/page.rst"),
        figure=report("data/report/scores.svg", category="Results", caption="../report/scores.rst"),
        manifest="data/report/manifest.json",
    log:
        "data/logs/report.log",
    benchmark:
        "data/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("report"),
        # Found when the job runs, since a new timing must not make the report stale.
        benchmarks="$(find data/benchmarks -name '*.tsv' | sort)",
        config=dag.section("report"),
    message:
        "results table and report"
    shell:
        "spatialsv report --analysis {input.analysis} --ablations {input.ablations}"
        " --benchmarks {params.benchmarks}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
