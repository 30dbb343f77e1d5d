"""`virgo-factory evaluate VERB`: how good a checkpoint is, how sure that is, and which epoch to take."""

from virgo_factory.cli.lazy import group


VERBS = {
    "list": "List the benchmarks: questions, requests, whether they are here, licence, what differs from the papers.",
    "run": "Ask a model the questions of benchmarks, judge it, score it. Safe to kill and to start again.",
    "status": "Show the scores so far and what is outstanding; or write them as a page.",
    "choose": "Choose among the kept epochs of a training on a development set.",
    "report": "Write tables, plots and a page on runs, the paper's numbers beside ours.",
    "compare": "Compare two runs question by question.",
    "rescore": "Judge responses again: a paper's scorer, or a language model for what rules cannot decide.",
    "import": "Read the log of another harness and put our verdicts beside its own.",
}

evaluate = group(
    "evaluate",
    VERBS,
    "Scores of a checkpoint with their error bars, beside the papers', and the choice of an epoch.",
    "virgo-factory evaluate run recipes/evaluate/virgo.yaml --dry-run",
)
