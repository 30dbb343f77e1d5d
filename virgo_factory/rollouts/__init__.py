"""Rollouts: questions asked of any OpenAI-compatible server, each response appended, judged and never asked for again.

How a room asks. Its configuration adds its own keys to those of asking (config.AskConfig), its questions are rows (question.py),
and one call does the rest, killed and started again as often as it may be:

    class EvaluationConfig(AskConfig):
        FILE = "evaluation.yaml"
        KIND = "an evaluation"
        EXAMPLE = "recipes/evaluate/virgo.yaml"
        RESUME = "virgo-factory evaluate run"
        BLOCKS = {"benchmarks": ("benchmarks",)} | AskConfig.BLOCKS
        benchmarks: tuple[str, ...] = ()

    config = read_config(EvaluationConfig, path, overrides)                     # config.py: every error at once
    questions = lambda: write_questions(rows_of(config), config.output_dir)     # pictures.py: (row, pictures) of each
    outcome = ask(questions, config, shard, on_event=Live(console, ...))        # run/launch.py

Then `output_dir` has rollouts.jsonl and verdicts.jsonl (store.read_rollouts, verdicts.read_verdicts), dropped.jsonl, and an index
of all that (store.index.open_index). A room that asks something else than questions subclasses run.Pass, whose jobs have a key,
a prompt (prompt.compose: system turn, pictures, beginning of the response) and samples, and appends replies to store.Records.
"""
