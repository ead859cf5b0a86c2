# The paper's Tables 1, 2 and 8, from the benchmarks that were evaluated so far, with any base. This
# evaluates nothing: the tables say what is missing.
def evaluated_benchmarks(wildcards):
    manifests = (ROOT / "data/evaluate").glob("*/*/*/*/manifest.json")
    return sorted(str(path.relative_to(ROOT)) for path in manifests)


rule paper:
    output:
        manifest="data/paper/manifest.json",
    log:
        "data/logs/paper.log",
    benchmark:
        "data/benchmarks/paper.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("paper"),
        evaluate=lambda wildcards: as_words(ROOT, evaluated_benchmarks(wildcards)),
        contents=lambda wildcards: [
            path_digest(ROOT / path) for path in evaluated_benchmarks(wildcards)
        ],
    message:
        "the paper's tables"
    shell:
        "spatialsv paper --evaluate {params.evaluate:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"
