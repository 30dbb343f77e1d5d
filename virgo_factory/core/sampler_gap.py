"""How far the sampler of a response was from the policy that is trained on it: a guard.

Two engines never compute quite the same. In fp32 the tiny models of the tests are 1e-4 apart in the mean over tokens while the
server has the trainer's weights, and 0.5 when it does not.
"""

from dataclasses import dataclass

from virgo_factory.core.errors import UserError


@dataclass
class GapGuard:
    """Stops a run whose sampler has other weights than its trainer.

    Attributes:
        bound: of the mean of |log p (trainer) - log p (server)| over the tokens of a step.
        steps: in a row above it that end the run; one alone may be an accident of few tokens.
        above: so many were above it now.
    """

    bound: float = 0.05
    steps: int = 2
    above: int = 0

    def see(self, step: int, gap: float) -> None:
        """Take the mean gap of a step, over all ranks.

        Raises:
            ValueError: it was above the bound too often in a row.
        """
        self.above = 0 if gap <= self.bound else self.above + 1  # nan is above
        if self.above >= self.steps:
            raise UserError(
                f"the servers do not have the weights of step {step}: for {self.steps} steps the log-probabilities of "
                f"trainer and server have differed by {gap:.3g} in the mean, more than rl_max_logprob_gap: {self.bound:g}. "
                "Do other runs hand weights to the same server? Is its dtype the trainer's? In bf16 with long "
                "responses the bound may be too small: look at the gap of the first step."
            )
