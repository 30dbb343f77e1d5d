"""Put on PYTHONPATH by a test: every training step of the stock trainer writes which rows it saw to $SEEN_ROWS.RANK."""

import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import sys


class _Recorder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "transformers.trainer":
            return None

        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run_module = spec.loader.exec_module

        def exec_module(module):
            run_module(module)
            record(module.Trainer)

        spec.loader.exec_module = exec_module
        return spec


def record(trainer):
    """Replace the training step of the Trainer class by one that writes down its rows."""
    stock = trainer.training_step

    def training_step(self, model, inputs, *args, **kwargs):
        loss = stock(self, model, inputs, *args, **kwargs)
        rows, labels = (
            [
                hashlib.sha1(ids[mask.bool()].numpy().tobytes()).hexdigest()[:12]
                for ids, mask in zip(inputs[name], inputs["attention_mask"], strict=True)
            ]
            for name in ("input_ids", "labels")
        )
        with open(f"{os.environ['SEEN_ROWS']}.{os.environ.get('RANK', '0')}", "a") as file:
            line = {"step": self.state.global_step, "rows": rows, "labels": labels, "loss": float(loss)}
            if (pixels := inputs.get("pixel_values")) is not None:
                line["pixels"] = hashlib.sha256(pixels.float().contiguous().numpy().tobytes()).hexdigest()

            file.write(json.dumps(line) + "\n")

        return loss

    trainer.training_step = training_step


if os.environ.get("SEEN_ROWS") and "transformers.trainer" not in sys.modules:
    sys.meta_path.insert(0, _Recorder())
