"""The two passes of a distillation: the base model once and greedily, and the samples of the questions it does not solve."""

from virgo_factory.distill.todo import DistillTodo
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.run.questions import QuestionPass
from virgo_factory.rollouts.run.run import Job
from virgo_factory.rollouts.store.rollout import GREEDY


class GreedyPass(QuestionPass):
    """One response of the base model to a question; the budget keeps samples free for those that it does not solve."""

    decides = True
    todo: DistillTodo

    def missing(self, question: VisualQuestion) -> list[int]:
        """Return the one sample there is."""
        return [GREEDY]

    def needed(self, job: Job) -> int:
        """Return 1, and all samples that it and others before it may need."""
        return len(job.samples) + self.run.reserved + self._reserved(job)

    def begun(self, job: Job) -> None:
        """Keep its samples free."""
        job.reserved = self._reserved(job)
        self.run.reserved += job.reserved

    def settled(self, job: Job) -> None:
        """Give the samples back of a question that is solved, or could not be asked."""
        if self.todo.solved(job.about) is not False:
            self.run.reserved -= job.reserved

    def _reserved(self, job: Job) -> int:
        return len(self.todo.missing(job.about))


class SamplePass(QuestionPass):
    """The samples of questions, in waves where the configuration stops when a question's difficulty is decided."""

    todo: DistillTodo

    @property
    def decides(self) -> bool:
        """Whether verdicts decide what is asked."""
        return self.todo.config.stop_when_decided

    def wanted(self, job: Job) -> int:
        """Return how many could decide the difficulty, or all that are missing."""
        return self.todo.wanted(job.about, len(job.samples))
