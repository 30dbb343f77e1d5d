"""`virgo-factory data VERB`: datasets of long thoughts, from a raw file to an entry that is trained on."""

from virgo_factory.cli.lazy import group


VERBS = {
    "add": "Recognise a file's format, check it, and write its entry into dataset_info.json.",
    "check": "Tell what is wrong with the rows, row by row, and what will be trained on.",
    "stats": "Rows, tokens and images by domain and source; lengths against cutoff_len.",
    "preview": "Show a row as the model sees it: what is prompt, what is trained on.",
    "convert": "Write any known format in the normal form.",
    "mix": "Draw rows from several datasets into one.",
    "dedup": "Keep once what datasets hold twice: texts nearly the same, pictures alike.",
    "slice": "Cut a dataset by tokens, domain, difficulty, pass rate or number of rows.",
    "materialize": "Fetch the images of the released Virgo visual dataset.",
}

data = group(
    "data",
    VERBS,
    "Datasets of long thoughts: drop one in, and know what will be trained on.",
    "virgo-factory data check my_thoughts.jsonl",
)
