"""Packs of rows that have been encoded and judged: LLaMA-Factory's packing on a table of tokens."""

from typing import Any

from datasets import Features, Value
from llamafactory.data.processor import PackedSupervisedDatasetProcessor


RELIES_ON = {
    "llamafactory/data/processor/supervised.py:186": "        knapsacks = greedy_knapsack(lengths, self.data_args.cutoff_len)"
}


class PackedRows(PackedSupervisedDatasetProcessor):
    """Packs rows that SupervisedRows has encoded and judged: LLaMA-Factory's packing on a table of tokens."""

    def columns(self, media: Features) -> Features:
        """Return the schema of the packed table: with `neat_packing` the attention mask numbers the rows of a pack."""
        numbers = [Value("int64")]
        names = ("input_ids", "attention_mask", "position_ids", "labels")
        ids = ("image_subseq_ids", "video_subseq_ids", "audio_subseq_ids")
        parameters = dict.fromkeys(("sequence_boundaries", *ids), numbers) | {"right_padding_length": Value("int64")}
        return Features(
            dict.fromkeys(names, numbers)
            | {name: media[name] for name in ("images", "videos", "audios")}
            | ({"packing_params": parameters} if self.data_args.neat_packing else {})
        )

    def preprocess_dataset(self, examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return LLaMA-Factory's packed columns of a batch of tokenised rows."""
        rows = [
            {"input_ids": ids, "labels": labels}
            for ids, labels in zip(examples["input_ids"], examples["labels"], strict=True)
        ]
        blank = [None] * len(rows)
        return super().preprocess_dataset(
            {
                "_prompt": [[row] for row in rows],
                "_response": [[{}] for _ in rows],
                "_system": blank,
                "_tools": blank,
                "_images": examples["images"],
                "_videos": examples["videos"],
                "_audios": examples["audios"],
            }
        )

    def _encode_data_example(self, prompt, response, system, tools, images, videos, audios):
        return prompt[0]["input_ids"], prompt[0]["labels"]
