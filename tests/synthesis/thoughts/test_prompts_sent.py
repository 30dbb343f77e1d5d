"""What thinker and reasoner are sent, letter by letter."""

from pathlib import Path

import pytest

from virgo_factory.synthesis.thoughts.expanding import expansion_asks
from virgo_factory.synthesis.thoughts.short import thinker_ask


PROMPTS = Path(__file__).parent / "prompts"


@pytest.mark.parametrize("role", ["thinker", "reasoner"])
def test_a_prompt_as_it_is_sent(role, thoughts):
    ask = thinker_ask(thoughts.scene, thoughts.question)
    if role == "reasoner":
        (ask,) = expansion_asks(thoughts.scene, thoughts.question, thoughts.short(0, "A"), ("Wait,",), ("\n",))

    parts = (("system", ask.system), ("user", ask.text), ("assistant", ask.prefill))
    sent = "".join(f"[{name}]\n{text}\n" for name, text in parts if text)
    assert sent == (PROMPTS / f"{role}.txt").read_text(encoding="utf-8")
