"""A card: what people read beside an output, and the same for programs."""

import json

from virgo_factory.report.card import Card, write_card
from virgo_factory.report.table import Table, account


def test_a_card_of_all_parts(tmp_path):
    card = Card(
        name="scores.csv",
        lead="Two scores.",
        tables=[account(3, 2, {"no gold": 1}), Table("Scores", ("model", "score"), [("virgo", "61.2")])],
        settings={"seed": 42, "samples": None, "sources": {}, "several": True, "model": "a|b"},
        sha256="ff",
        notes=["One is missing.", "Two."],
        command="virgo-factory evaluate x",
        entry={"m": {"file_name": "m", "formatting": "long_thought"}},
        use="Put it behind a recipe.",
    )
    people, programs = write_card(tmp_path / "scores.csv", card, {"rows_in": 3})
    assert json.loads(programs.read_text()) == {"rows_in": 3}
    assert people.read_text() == card.markdown() == (
        "# scores.csv\n\nTwo scores.\n\n- One is missing.\n- Two.\n\n```bash\nvirgo-factory evaluate x\n```\n\n"
        'Entry for `dataset_info.json`:\n\n```json\n"m": {"file_name": "m", "formatting": "long_thought"}\n```\n\n'
        "Put it behind a recipe.\n\n"
        "## Rows\n\n|  | rows |\n|---|---:|\n| rows read | 3 |\n| **kept** | **2** |\n| left out: no gold | 1 |\n\n"
        "## Scores\n\n| model | score |\n|---|---:|\n| virgo | 61.2 |\n\n"
        "## Settings\n\n|  |  |\n|---|---|\n| seed | 42 |\n| several | true |\n| model | a\\|b |\n"
        "| SHA-256 of the output | `ff` |\n"
    )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.card.json", "scores.card.md"]


def test_an_empty_part_leaves_no_trace():
    text = Card("a", "b", [], {}, "0").markdown()
    assert text == "# a\n\nb\n\n## Settings\n\n|  |  |\n|---|---|\n| SHA-256 of the output | `0` |\n"
