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
        config=dag.section("report"),
        overlay=config["overlay"],
    message:
        "results table and report"
    shell:
        "spatialsv report --analysis {input.analysis:q} --ablations {input.ablations:q}"
        " --benchmarks data/benchmarks --overlay {params.overlay:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} > {log:q} 2>&1"
