"""CharXiv validation: 1,000 figures with a question to reason about and four to describe; a language model judges."""

from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, picture, question_row


_DESCRIPTIVE = {
    1: "What is its title?",
    2: "What is the label of its x-axis?",
    3: "What is the label of its y-axis?",
    4: "What is the leftmost labeled tick on its x-axis?",
    5: "What is the rightmost labeled tick on its x-axis?",
    6: "What is the lowest labeled tick on its y-axis, by position?",
    7: "What is the highest labeled tick on its y-axis, by position?",
    8: "By how much do consecutive numbers at the ticks of its x-axis differ?",
    9: "By how much do consecutive numbers at the ticks of its y-axis differ?",
    10: "How many lines does it have?",
    11: "Do any of its lines cross?",
    12: "How many separate labels does its legend have?",
    13: "What are the labels in its legend, from top to bottom, then from left to right?",
    14: "What is the difference between the largest and the smallest tick value of its continuous legend (colorbar)?",
    15: "What is the largest tick value of its continuous legend (colorbar)?",
    16: "What is the general trend of its data from left to right?",
    17: "How many labeled ticks do all its axes have together?",
    18: "How are the subplots of the figure laid out, as rows by columns?",
    19: "How many subplots does the figure have?",
}
"""The number of a template in the repository of the benchmark -> what it asks, in our words."""

_WHOLE = (18, 19)
_SOURCES = {1: "text in chart", 2: "text in general", 3: "number in chart", 4: "number in general"}


def ask(row: Row, file: str):
    """Yield the five questions of a figure."""
    figure = row.get("original_id") or row.get("figure_path") or row["reasoning_q"]
    image = picture(row, "image")
    source = _SOURCES.get(row["reasoning_q_source"])
    groups = {"type": "reasoning", "source": source}
    yield question_row(f"{figure}/reasoning", row["reasoning_q"], row["reasoning_a"], [image], groups, cluster=figure)
    for number in range(1, 5):
        template = int(row[f"descriptive_q{number}"])
        where = "" if template in _WHOLE else f"Look at {_subplot(row)}. "
        unless = "" if template in _WHOLE else ' If that cannot be told, answer "Not Applicable".'
        text = f"{where}{_DESCRIPTIVE[template]}{unless}"
        groups = {"type": "descriptive", "template": template}
        gold = row[f"descriptive_a{number}"]
        yield question_row(f"{figure}/{number}", text, gold, [image], groups, cluster=figure)


def _subplot(row: Row) -> str:
    if row.get("subplot_loc"):
        return f"the subplot at {row['subplot_loc']}"

    place = row.get("subplot_row"), row.get("subplot_col")
    return "the plot" if not all(place) else "the subplot in row {} and column {}".format(*map(int, place))


CHARXIV = Benchmark(
    name="charxiv",
    title="CharXiv",
    hub="princeton-nlp/CharXiv",
    split="val(?:idation)?",
    count=5000,
    licence="CC BY-SA 4.0",
    columns=("image", "reasoning_q", "reasoning_a", "reasoning_q_source", "descriptive_q1", "descriptive_a1"),
    ask=ask,
    groups=("type", "source"),
    cluster="figure",
    needs_judge=True,
    differs="Templates and rubric are in our words. OpenMMReasoner's released task asks 1,000 of the 4,000 descriptive questions.",
)
