"""What the fork server imports once for all trainings, kept out of the garbage collector's rounds: each of them costs a rank 0.1 to 0.3 s."""

import contextlib
import gc

import deepspeed  # noqa: F401 (imported late also where it is not used, and at the cost of all the rest of a short training)
import matplotlib.backends.backend_agg  # noqa: F401
from llamafactory.train import tuner  # noqa: F401
from llamafactory.train.dpo import trainer  # noqa: F401 (TRL's: a second and a half of each run of DPO or GRPO)
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoModelForSeq2SeqLM, __version__
from transformers.models.qwen2_vl import modeling_qwen2_vl, processing_qwen2_vl  # noqa: F401

from virgo_factory.core.thought import LongThought
from virgo_factory.formats import RejectedRow, read_row
from virgo_factory.preflight.versions import is_5


if not is_5(__version__):  # stage: grpo is refused there
    from virgo_factory.hooks.reinforce import trainer  # noqa: F401,F811

for model in (AutoModelForImageTextToText, AutoModelForSeq2SeqLM):
    list(model._model_mapping.keys())  # imports the configurations of all these models

Image.init()
row = {"id": "1", "question": "<image>How many?", "response": LongThought("So.", "\\boxed{4}").render(), "gold": "4"}
for formatting in ("virgo_dt", "questions"):  # the expressions that any row is looked at with are compiled
    with contextlib.suppress(RejectedRow):
        read_row(row | {"combined_text": row["response"], "images": ["a.png"]}, formatting)

gc.collect()
gc.freeze()
