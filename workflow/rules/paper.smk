# The paper's Tables 1, 2 and 8, of whatever benchmarks were asked here, by any base. What was not
# asked is told, and not asked for them.
def asked_before(wildcards):
    found = (ROOT / "data/evaluate").glob("*/*/*/*/manifest.json")
    return sorted(str(path.relative_to(ROOT)) for path in found)


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
        code=code_version("analysis", "report", "scenes/question", "stats"),
        evaluate=asked_before,
        contents=lambda wildcards: [place_digest(ROOT / path) for path in asked_before(wildcards)],
    message:
        "the paper's tables"
    shell:
        "spatialsv paper --evaluate {params.evaluate} --out {output.manifest} 2>&1 | tee {log}"
