"""`virgo-factory distill VERB`: visual long thoughts, from questions to rows that are trained on."""

from virgo_factory.cli.lazy import group


VERBS = {
    "questions": "Collect visual questions with gold answers from the sources of a config.",
    "run": "Ask the models: questions, rollouts and verdicts. Safe to kill and to start again.",
    "status": "Tell what is done, what it costs and what is left; or write it as a page.",
    "resume": "Go on with a run that was stopped.",
    "select": "Choose the rollouts that are trained on, as a dataset with an entry.",
    "merge": "Put the shards of several machines together.",
}

distill = group(
    "distill",
    VERBS,
    "Visual long thoughts that a model makes itself: questions, rollouts, verdicts, selected rows.",
    "virgo-factory distill run recipes/distill/dsd_virgo7b.yaml --dry-run",
)
