"""Where the files that ship with the package are: recipes, templates, dataset_info.json.

In the repository they stand at the top; `virgo_factory/bundle/` holds links to them, which the wheel follows.
"""

from pathlib import Path


BUNDLE = Path(__file__).parent / "bundle"
RECIPES = BUNDLE / "recipes"
TEMPLATES = BUNDLE / "templates"
DATASET_INFO = BUNDLE / "dataset_info.json"
