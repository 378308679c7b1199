"""07_gan's homework: the reference earns everything, a blank nothing, mistakes are caught."""

from grading import Exercises, changed

STEM = "07_gan"

SIZE = "def transposed_size(side, kernel, stride=1, padding=0):\n    return {}"
WRONG_SIZES = {
    "of a convolution": SIZE.format("(side + 2 * padding - kernel) // stride + 1"),
    "without the -1": SIZE.format("side * stride + kernel - 2 * padding"),
    "padding once": SIZE.format("(side - 1) * stride + kernel - padding"),
    "padding added": SIZE.format("(side - 1) * stride + kernel + 2 * padding"),
    "twice the side": SIZE.format("2 * side"),
    "no kernel": SIZE.format("(side - 1) * stride - 2 * padding + 1"),
    "a constant": SIZE.format("64"),
}

D_LOSS = "def discriminator_loss(real_logits, fake_logits):\n    return {}\n"
G_LOSS = "def generator_loss(fake_logits):\n    return {}\n"
RIGHT_D = D_LOSS.format("F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()")
RIGHT_G = G_LOSS.format("F.softplus(-fake_logits).mean()")
WRONG_LOSSES = {
    "targets swapped": D_LOSS.format(
        "F.softplus(real_logits).mean() + F.softplus(-fake_logits).mean()"
    )
    + RIGHT_G,
    "half": D_LOSS.format("(F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2")
    + RIGHT_G,
    "sum over the batch": D_LOSS.format(
        "F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum()"
    )
    + RIGHT_G,
    "real only": D_LOSS.format("F.softplus(-real_logits).mean()") + RIGHT_G,
    "one mean over both": D_LOSS.format(
        "2 * torch.cat([F.softplus(-real_logits).ravel(), F.softplus(fake_logits).ravel()]).mean()"
    )
    + RIGHT_G,
    "sigmoid and log": D_LOSS.format(
        "-(torch.sigmoid(real_logits).log().mean() + (1 - torch.sigmoid(fake_logits)).log().mean())"
    )
    + RIGHT_G,
    "G's sum over the batch": RIGHT_D + G_LOSS.format("F.softplus(-fake_logits).sum()"),
    "D only": RIGHT_D + G_LOSS.format("None"),
    "G only": D_LOSS.format("None") + RIGHT_G,
    "G with sigmoid and log": RIGHT_D + G_LOSS.format("-torch.sigmoid(fake_logits).log().mean()"),
    "saturating": RIGHT_D + G_LOSS.format("-F.softplus(fake_logits).mean()"),
    "G helps D": RIGHT_D + G_LOSS.format("F.softplus(fake_logits).mean()"),
    "a constant": RIGHT_D + G_LOSS.format("torch.tensor(0.6931)"),
    "loss of probabilities": RIGHT_D
    + G_LOSS.format("F.binary_cross_entropy(fake_logits, torch.ones_like(fake_logits))"),
}

LOOP = """def train_epoch(G, D, optimizerG, optimizerD, dataloader, nz, criterion):
    for batch in dataloader:
        real_data = batch["data"]
        sample_size = len(real_data)
        latent_noise = torch.randn(sample_size, nz, 1, 1)
        real_labels = torch.ones(sample_size)
        fake_labels = torch.zeros(sample_size)
        fake_data = G(latent_noise)
        optimizerG.zero_grad()
        gen_loss = criterion(D(fake_data).flatten(), real_labels)
        gen_loss.backward()
        optimizerG.step()
        optimizerD.zero_grad()
        real_loss = criterion(D(real_data).flatten(), real_labels)
        fake_loss = criterion(D(fake_data.detach()).flatten(), fake_labels)
        (real_loss + fake_loss).backward()
        optimizerD.step()
"""
BROKEN = {
    "reads sample": ('batch["data"]', 'sample["data"]'),
    "noise drawn twice": (
        "        real_labels",
        "        latent_noise = torch.randn(sample_size, nz, 1, 1)\n        real_labels",
    ),
    "G never cleared": ("        optimizerG.zero_grad()\n", ""),
    "D never cleared": ("        optimizerD.zero_grad()\n", ""),
    "not detached": ("fake_data.detach()", "fake_data"),
    "shapes differ": ("D(fake_data).flatten()", "D(fake_data)"),
    "D never steps": ("        optimizerD.step()\n", ""),
    "G never steps": ("        optimizerG.step()\n", ""),
    "labels swapped": ("fake_labels = torch.zeros", "fake_labels = torch.ones"),
    "G told to be found out": (
        "criterion(D(fake_data).flatten(), real_labels)",
        "criterion(D(fake_data).flatten(), fake_labels)",
    ),
    "new fakes for D": ("D(fake_data.detach())", "D(G(latent_noise).detach())"),
    "first batch only": (
        "        optimizerD.step()\n",
        "        optimizerD.step()\n        break\n",
    ),
    "real loss only": ("(real_loss + fake_loss)", "real_loss"),
}

COVERAGE = """def modes_covered(samples, centres, radius, share=0.01):
    distance, nearest = torch.cdist(samples, centres).min(dim=1)
    counts = torch.bincount(nearest[distance <= radius], minlength=len(centres))
    return int((counts >= share * len(samples)).sum())
"""
WRONG_COVERAGE = {
    "any sample will do": ("counts >= share * len(samples)", "counts > 0"),
    "no radius": ("nearest[distance <= radius]", "nearest"),
    "share of the good ones": ("share * len(samples)", "share * counts.sum()"),
    "near several modes": (
        "counts = torch.bincount(nearest[distance <= radius], minlength=len(centres))",
        "counts = (torch.cdist(samples, centres) <= radius).sum(dim=0)",
    ),
    "always all": ("int((counts >= share * len(samples)).sum())", "len(centres)"),
    "more than the share": ("counts >= share", "counts > 2 * share"),
    "farthest": (".min(dim=1)", ".max(dim=1)"),
    "share ignored": ("share * len(samples)", "0.01 * len(samples)"),
    "squared distance": ("distance <= radius", "distance.square() <= radius"),
}

WRONG = {
    "size": WRONG_SIZES,
    "losses": WRONG_LOSSES,
    "repair": {name: changed(LOOP, *change) for name, change in BROKEN.items()},
    "coverage": {name: changed(COVERAGE, *change) for name, change in WRONG_COVERAGE.items()},
}
KEEPS = {
    "losses": {
        **dict.fromkeys(
            [
                "targets swapped",
                "half",
                "sum over the batch",
                "real only",
                "one mean over both",
                "sigmoid and log",
                "G only",
            ],
            ["generator-loss-test"],
        ),
        **dict.fromkeys(
            [
                "G's sum over the batch",
                "D only",
                "G with sigmoid and log",
                "saturating",
                "G helps D",
                "a constant",
                "loss of probabilities",
            ],
            ["losses-test"],
        ),
    },
    "repair": {
        **dict.fromkeys(
            [
                "D never cleared",
                "D never steps",
                "labels swapped",
                "new fakes for D",
                "first batch only",
                "real loss only",
            ],
            ["repair-generator-test"],
        ),
    },
    "coverage": {
        **dict.fromkeys(
            ["any sample will do", "more than the share", "share ignored"], ["coverage-test"]
        ),
        **dict.fromkeys(["near several modes"], ["coverage-share-test"]),
    },
}
ALSO_RIGHT = {
    "size": SIZE.format("stride * side - stride + kernel - padding - padding"),
    "losses": D_LOSS.format(
        "F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))"
        " + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))"
    )
    + G_LOSS.format("-F.logsigmoid(fake_logits).mean()"),
    "repair": LOOP.replace("(real_loss + fake_loss)", "(fake_loss + real_loss)"),
    "coverage": COVERAGE,
}


class TestHomework(Exercises):
    stem, wrong, keeps, also_right = STEM, WRONG, KEEPS, ALSO_RIGHT
