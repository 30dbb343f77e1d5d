"""`virgo-factory synthesize VERB`: from pictures with captions and boxes to rows that are trained on."""

from virgo_factory.cli.lazy import group


VERBS = {
    "run": "Ask the roles and make the files, stage after stage. Safe to kill and to start again.",
    "status": "Tell what every stage kept and dropped, and why; or write it as a page.",
    "resume": "Go on with a run that was stopped.",
    "merge": "Put the shards of several machines together.",
}

synthesize = group(
    "synthesize",
    VERBS,
    "Questions, composed questions and long thoughts of pictures with captions and boxes (arXiv 2511.05705).",
    "virgo-factory synthesize run recipes/synthesize/lgt.yaml --dry-run",
)
