"""`virgo-factory reinforce VERB`: around a training of `stage: grpo`, which itself is stock `llamafactory-cli train`."""

from virgo_factory.cli.lazy import group


VERBS = {
    "status": "Show reward, accuracy, format and lengths by step, or its rollouts as a page.",
    "export": "Write a recipe for verl or EasyR1 on Ray: prompts, reward, launch file.",
}

reinforce = group(
    "reinforce",
    VERBS,
    "What a training by rewards (stage: grpo) does, and the same recipe for more than one node.\n\n"
    "The training itself is stock: llamafactory-cli train RECIPE.",
    "llamafactory-cli train recipes/virgo_demo_gspo.yaml",
    "virgo-factory reinforce status saves/reinforce/gspo --html rollouts.html",
)
