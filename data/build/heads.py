"""Make data/heads.npz from the emoji of Noto that show one person's head.

Needs the npm package emoji-datasource-google 16.0.0 (only to build), unpacked:

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python data/build/heads.py package
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

GROUPS = ("person", "person-gesture", "person-role")


def main(package: Path) -> None:
    emoji = json.loads((package / "emoji.json").read_text())
    files = [
        variant["image"]
        for entry in sorted(emoji, key=lambda entry: entry["sort_order"])
        if entry["category"] == "People & Body" and entry["subcategory"] in GROUPS
        for variant in [entry, *entry.get("skin_variations", {}).values()]
    ]
    images = []
    for file in files:
        drawing = Image.open(package / "img" / "google" / "64" / file).convert("RGBA")
        paper = Image.new("RGBA", (64, 64), "white")
        images.append(np.asarray(Image.alpha_composite(paper, drawing).convert("RGB")))
    # savez_compressed dates every member 1980-01-01: the same bytes on every run.
    np.savez_compressed(Path(__file__).parents[1] / "heads.npz", images=np.stack(images))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
