"""What of a distillation is still to be asked: of the base model, and of the questions that it does not solve."""

from collections import Counter
from dataclasses import dataclass, fields

from virgo_factory.distill.config import DistillConfig
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.run.todo import Left, Todo
from virgo_factory.rollouts.store.rollout import GREEDY, difficulty_of


@dataclass(frozen=True)
class DistillLeft(Left):
    """What is still to be asked, at most: the base model may solve some of the questions."""

    greedy: int  # questions that the base model has not been asked; `greedy_done` that it has
    greedy_done: int
    unsolved: int  # of the samples, those of questions that the base model did not solve


class DistillTodo(Todo):
    """What each question still lacks, see Todo."""

    config: DistillConfig

    def solved(self, question: VisualQuestion) -> bool | None:
        """Return whether the base model solved a question; None where that is not known."""
        outcome = self.store.samples(question.id, self.config.base_model_name_or_path or "").get(GREEDY)
        return None if outcome is None else outcome == "correct"

    def wanted(self, question: VisualQuestion, missing: int) -> int:
        """Return how many samples of a question are asked next: what could decide its difficulty, or all that is missing."""
        there = self.store.samples(question.id, self.config.model_name_or_path)
        outcomes = [outcome for sample, outcome in there.items() if 0 <= sample < self.config.samples]
        correct = outcomes.count("correct")
        wrong = len(outcomes) - correct - outcomes.count("unverifiable") - outcomes.count(None)
        return self._wanted(correct, wrong, missing)

    def _wanted(self, correct: int, wrong: int, missing: int) -> int:
        if not self.config.stop_when_decided:
            return missing

        return min(missing, wave(correct, wrong, self.config.samples - missing, self.config.samples))

    def is_dropped(self, question: VisualQuestion) -> bool:
        """Return whether a question could not be asked of one of both models."""
        models = (self.config.base_model_name_or_path, self.config.model_name_or_path)
        return self.store.is_dropped(question.id, *filter(None, models))

    def left(self) -> DistillLeft:
        """Count what is still to be asked of the questions of this shard."""
        base, samples = self.config.base_model_name_or_path, self.config.samples
        self.count_cases()
        found = Counter()
        for base_asked, solved, existing, correct, wrong, count in self.store.index.db.execute(
            "SELECT base, solved, samples, correct, wrong + truncated + looping, count(*) FROM cases WHERE NOT dropped "
            "GROUP BY 1, 2, 3, 4, 5"
        ):
            found["samples_done"] += existing * count
            if base:
                found["greedy_done" if base_asked else "greedy"] += count

            missing = samples - existing
            if not (base and solved) and self._wanted(correct, wrong, missing):
                found["questions"] += count
                found["samples"] += missing * count
                found["unsolved"] += missing * count if base and solved == 0 else 0

        return DistillLeft(**{field.name: found[field.name] for field in fields(DistillLeft)})


def wave(correct: int, wrong: int, asked: int, samples: int) -> int:
    """Return how many samples more could decide a question's difficulty at the earliest; 0 where it is decided.

    >>> [wave(0, 0, 0, 5), wave(3, 1, 4, 5), wave(4, 0, 4, 5), wave(2, 2, 4, 5)]
    [4, 1, 0, 0]
    """
    if difficulty_of(correct, wrong, samples) != "undecided":
        return 0

    for more in range(1, samples - asked + 1):
        ends = (difficulty_of(correct + right, wrong + more - right, samples) for right in range(more + 1))
        if any(end != "undecided" for end in ends):
            return more

    return samples - asked
