"""What the fork server of programs imports once: all that LLaMA-Factory imports, but not LLaMA-Factory, nor the plugin."""

import gc
import sys

import accelerate  # noqa: F401
import av  # noqa: F401
import datasets  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import omegaconf  # noqa: F401
import peft  # noqa: F401
import torch  # noqa: F401
import torchaudio  # noqa: F401
import torchvision  # noqa: F401
import transformers.trainer_seq2seq


if transformers.__version__ < "5":  # else TRL can be imported only after LLaMA-Factory, which mends it
    import trl.models
    import trl.trainer.dpo_trainer
    import trl.trainer.kto_trainer
    import trl.trainer.ppo_trainer  # noqa: F401

assert not [name for name in sys.modules if name.startswith(("llamafactory", "virgo_factory"))]
gc.collect()
gc.freeze()
