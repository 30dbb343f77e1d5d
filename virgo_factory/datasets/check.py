"""What can be wrong with one row that the adapters accept: its thought, its answer, its images."""

from collections.abc import Callable, Iterable, Sequence

from virgo_factory.datasets.finding import Finding
from virgo_factory.datasets.images import ImageFacts
from virgo_factory.example import Example


__all__ = ["RULES", "Finding", "Rule", "row_findings"]

Rule = Callable[[Example, Sequence[ImageFacts]], Iterable[Finding]]


def row_findings(example: Example, images: Sequence[ImageFacts]) -> tuple[Finding, ...]:
    """Return what is wrong with a row, in the order of RULES; linear in its length.

    Args:
        example: the row as its adapter read it.
        images: what `images.inspect` says of its images, in their order.
    """
    return tuple(finding for rule in RULES for finding in rule(example, images))


def image_findings(example: Example, images: Sequence[ImageFacts]) -> Iterable[Finding]:
    """Yield the findings of the row's images, each numbered where there are several."""
    for number, facts in enumerate(images, start=1):
        for finding in facts.findings:
            detail = f"image {number} of {len(images)}: {finding.detail}" if len(images) > 1 else finding.detail
            yield Finding(finding.code, finding.severity, detail)


RULES: tuple[Rule, ...] = (image_findings,)
