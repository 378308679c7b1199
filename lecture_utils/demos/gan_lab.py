"""The 2-D laboratory of 07_gan: two nets play against each other, and everything is drawn."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.collections import LineCollection
from torch import Tensor, nn

from .. import device, style
from ..draw import LEVELS, PlaneMap, lattice, place
from ..live import LiveFigure
from ..panel import Panel, choice, log_slider, slider, toggle
from ..training import Run

REACH = 3.0
"""The plane is drawn from -REACH to REACH."""
GRID = 51
BLUR = 0.15
"""Width (standard deviation) by which both densities are smoothed before they are compared."""
MODE_RADIUS = 3.0
"""A sample belongs to a mode within this many standard deviations of its centre."""
MODE_SHARE = 0.01
"""A mode counts as covered when it gets this share of the samples."""
FEW = 9
"""Modes are counted where there are no more: a line of many is no set of heaps."""
STEPS = 20_000
SHOWN = 400
ASKED = 2000
"""Fake samples drawn, and asked for when densities and modes are estimated."""
DRAWN = "draw your own"
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": lambda p, lr, beta1: torch.optim.Adam(p, lr, betas=(beta1, 0.999)),
    "RMSprop": lambda p, lr, beta1: torch.optim.RMSprop(p, lr),
    "SGD": lambda p, lr, beta1: torch.optim.SGD(p, lr, momentum=beta1),
}


class Mixture(NamedTuple):
    """Round Gaussians of one width at ``centres`` (K, 2), all equally likely."""

    centres: Tensor
    width: float

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` points (count, 2)."""
        chosen = torch.randint(len(self.centres), (count,), generator=generator)
        return self.centres[chosen] + self.width * torch.randn(count, 2, generator=generator)

    def density(self, points: Tensor, blur: float = 0.0) -> Tensor:
        """Probability density at ``points`` (N, 2) -> (N,), after smoothing by ``blur``."""
        variance = self.width**2 + blur**2
        squared = torch.cdist(points, self.centres).square()
        return torch.exp(-squared / (2 * variance)).mean(dim=1) / (2 * math.pi * variance)


def _ring(count: int) -> Tensor:
    angle = torch.arange(count) * (2 * math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _spiral(count: int) -> Tensor:
    angle = torch.linspace(0.3, 1, count).sqrt() * 3.5 * math.pi
    return (angle / (3.5 * math.pi) * 1.2)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)


def mixtures() -> dict[str, Mixture]:
    """The distributions to choose from, by name."""
    line = torch.tensor([-2.0, 0.0, 2.0])
    return {
        "ring of 8": Mixture(2 * _ring(8), 0.05),
        "grid of 9": Mixture(torch.cartesian_prod(line, line), 0.05),
        "two blobs": Mixture(torch.tensor([[-1.5, 0.0], [1.5, 0.0]]), 0.4),
        "one blob": Mixture(torch.tensor([[1.0, 1.0]]), 0.5),
        "spiral": Mixture(2 * _spiral(60), 0.08),
    }


def best_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """p / (p + q), the best any discriminator can say; 1/2 where neither is to be found."""
    return (p + 1e-6) / (p + q + 2e-6)


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Jensen-Shannon divergence of two densities on the same grid, in bits: 0 equal, 1 apart."""
    p, q = p.double() / p.sum(), q.double() / q.sum()
    middle = (p + q) / 2

    def against(a: Tensor) -> Tensor:
        return torch.where(a > 0, a * (a / middle).log2(), 0.0).sum()

    return float((against(p) + against(q)) / 2)


def smooth_density(samples: Tensor, side: int = GRID, blur: float = BLUR) -> Tensor:
    """Density of ``samples`` (N, 2) at the points of the grid, (side²,), smoothed by ``blur``."""
    edges = REACH + REACH / (side - 1)
    counts = torch.histogramdd(samples, side, range=[-edges, edges, -edges, edges]).hist.t()
    line = torch.linspace(-REACH, REACH, side)
    kernel = torch.exp(-((line[:, None] - line) ** 2) / (2 * blur**2))
    kernel = kernel / (blur * math.sqrt(2 * math.pi))
    return (kernel @ counts @ kernel.t()).ravel() / max(len(samples), 1)


def modes_covered(samples: Tensor, mixture: Mixture) -> tuple[int, float]:
    """(modes that get at least 1% of ``samples``, share of samples near any mode)."""
    distance, nearest = torch.cdist(samples, mixture.centres).min(dim=1)
    good = distance < MODE_RADIUS * mixture.width
    counts = torch.bincount(nearest[good], minlength=len(mixture.centres))
    return int((counts >= MODE_SHARE * len(samples)).sum()), float(good.float().mean())


class Lab:
    """The game behind the panel: nets, optimizers, the run, and what is measured of them."""

    def __init__(
        self, make_nets: Callable[..., tuple[nn.Module, nn.Module]], gan_step: Callable[..., Any]
    ) -> None:
        self.make_nets, self.gan_step = make_nets, gan_step
        self.mixtures = mixtures()
        self.drawn: Mixture | None = None
        self.grid = lattice(-REACH, REACH, GRID)
        self.built: Any = None
        self.k, self.learn, self.batch = 1, "both", 128
        self.switches: dict[str, bool] = {"detach": True, "saturating": False}
        self.noisy = True
        self.build("ring of 8", 2, "Adam", "Adam", 0.9, 0)
        self.run = Run(
            self.step,
            models=[self.G, self.D],
            optimizers=[self.opt_G, self.opt_D],
            evaluate=self.measure,
            steps=STEPS,
            snapshot_every=100,
        )

    def build(
        self, data: str, noise: int, kind_G: str, kind_D: str, beta1: float, seed: int
    ) -> None:
        """New nets and optimizers; the run, if there is one, begins anew with them."""
        drawn = self.drawn or self.mixtures["ring of 8"]
        self.look_at(drawn if data == DRAWN else self.mixtures[data])
        self.noise, self.seed = noise, seed
        draw = torch.Generator().manual_seed(2)
        self.z_shown = torch.randn(ASKED, noise, generator=draw)
        self.G, self.D = self.make_nets(noise, seed)
        self.opt_G = OPTIMIZERS[kind_G](self.G.parameters(), 1e-3, beta1)
        self.opt_D = OPTIMIZERS[kind_D](self.D.parameters(), 1e-3, beta1)
        if hasattr(self, "run"):
            with self.run.paused():
                self.run.models[:] = [self.G, self.D]
                self.run.optimizers[:] = [self.opt_G, self.opt_D]
                self.run.move(device.current())

    def forget(self) -> None:
        """Let the next update make new nets, whatever the controls say."""
        self.built = None

    def look_at(self, mixture: Mixture) -> None:
        """Take ``mixture`` for the real data from now on."""
        self.mixture = mixture
        self.p = mixture.density(self.grid, BLUR)
        self.real = mixture.sample(SHOWN, torch.Generator().manual_seed(1))

    def z(self, count: int, generator: torch.Generator) -> Tensor:
        """Noise (count, size), or the same numbers for everybody when noise is switched off."""
        z = torch.randn(count, self.noise, generator=generator)
        return z if self.noisy else torch.zeros_like(z)

    @device.one_thread()
    def step(self, k: int) -> dict[str, Tensor]:
        """One turn of the game: ``self.k`` steps of D, then one of G; one of G if it is alone."""
        where = next(self.G.parameters()).device
        for optimizer in (self.opt_G, self.opt_D):
            if isinstance(optimizer, torch.optim.Adam):
                # Half the time of a step on nets this small; not every accelerator has it.
                optimizer.param_groups[0]["fused"] = True if where.type == "cpu" else None
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + k)
        turns = 1 if self.learn == "G" else self.k
        for turn in range(turns):
            real = self.mixture.sample(self.batch, generator).to(where)
            noise = self.z(self.batch, generator).to(where)
            learn = self.learn if turn == turns - 1 or self.learn != "both" else "D"
            d_loss, g_loss = self.gan_step(
                self.G, self.D, self.opt_G, self.opt_D, real, noise, learn=learn, **self.switches
            )
        return {"D": d_loss, "G": g_loss}

    def samples(self, count: int = ASKED) -> Tensor:
        """What G makes of the first ``count`` noises shown, (count, 2)."""
        where = next(self.G.parameters()).device
        z = self.z_shown[:count] if self.noisy else torch.zeros_like(self.z_shown[:count])
        with torch.no_grad():
            return self.G(z.to(where)).cpu()

    def measure(self) -> dict[str, float]:
        """Modes covered, share of good samples, and divergence, of G as it is now."""
        made = self.samples()
        covered, good = modes_covered(made, self.mixture)
        q = smooth_density(made)
        far = jensen_shannon(self.p, q) if float(q.sum()) > 0 else 1.0
        return {"modes": covered, "good": good, "JS": far}

    def opinion(self) -> Tensor:
        """D's probability of "real" at the points of the grid, (GRID²,)."""
        where = next(self.D.parameters()).device
        with torch.no_grad():
            return torch.sigmoid(self.D(self.grid.to(where))).cpu().ravel()

    def pull(self, fakes: Tensor) -> Tensor:
        """Where G's loss wants each fake to go: minus its gradient, (N, 2)."""
        where = next(self.D.parameters()).device
        x = fakes.to(where).requires_grad_(True)
        logits = self.D(x)
        sign = torch.nn.functional.logsigmoid
        loss = sign(-logits).sum() if self.switches["saturating"] else -sign(logits).sum()
        (slope,) = torch.autograd.grad(loss, x)
        return -slope.detach().cpu()

    def manifold(self, lines: int = 13, points: int = 41) -> Tensor:
        """A grid of noise lines through G, (lines, points, 2); the first two noises move."""
        where = next(self.G.parameters()).device
        across = torch.linspace(-2.2, 2.2, points)
        if self.noise == 1:
            z = across[None, :, None]
        else:
            fixed = torch.linspace(-2.2, 2.2, lines)
            z = torch.zeros(2 * lines, points, self.noise)
            z[:lines, :, 0], z[:lines, :, 1] = across, fixed[:, None]
            z[lines:, :, 1], z[lines:, :, 0] = across, fixed[:, None]
        if not self.noisy:
            z = torch.zeros_like(z)
        with torch.no_grad():
            return self.G(z.to(where).reshape(-1, self.noise)).cpu().reshape(len(z), points, 2)


class View:
    """The pictures: the plane as D sees it, the best D there could be, losses, divergence."""

    def __init__(self) -> None:
        self.fig = fig = LiveFigure(900, 470)
        axes = [fig.figure.add_subplot() for _ in range(4)]
        self.plane, self.best, self.loss, self.far = axes
        place(
            fig,
            {
                self.plane: (12, 32, 400, 400),
                self.best: (440, 244, 188, 188),
                self.loss: (496, 56, 368, 132),
                self.far: (704, 262, 160, 164),
            },
        )
        colours = style.REGIONS(np.linspace(0, 1, LEVELS))
        for ax, title in [(self.plane, "what D says"), (self.best, "the best D: p / (p + q)")]:
            style.picture(ax, title)
            ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        self.map, self.best_map = (PlaneMap(fig, ax, colours) for ax in (self.plane, self.best))
        mark = {"ls": "", "mec": style.PAPER, "mew": 0.6}
        self.real, self.fake = (
            self.plane.plot([], [], m, color=c, ms=size, label=name, **mark)[0]
            for m, c, size, name in [
                ("s", style.BLUE, 7, "real"),
                ("o", style.ORANGE, 8, "fake"),
            ]
        )
        self.sheet = LineCollection([], colors=style.WEIGHT, linewidths=1.2, alpha=0.8)
        self.pulls = LineCollection([], colors=style.GRADIENT, linewidths=2.5, zorder=6)
        (self.tips,) = self.plane.plot([], [], "o", color=style.GRADIENT, ms=5, zorder=7)
        for lines in (self.sheet, self.pulls):
            self.plane.add_collection(lines, autolim=False)
        self.plane.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0.015), ncols=2, handletextpad=0.1
        )
        self.loss.set(xlim=(0, 1), ylim=(0, 3), xlabel="step", ylabel="loss")
        self.loss.axhline(2 * math.log(2), color=style.BLUE, lw=1.5, ls=":")
        self.loss.axhline(math.log(2), color=style.ORANGE, lw=1.5, ls=":")
        (self.d_line,) = self.loss.plot([], [], color=style.BLUE, lw=2, label="D")
        (self.g_line,) = self.loss.plot([], [], color=style.ORANGE, lw=2, ls="--", label="G")
        self.loss.legend(loc="lower right", bbox_to_anchor=(1.02, 0.98), ncols=2)
        self.far.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[0, 1])
        (self.far_line,) = self.far.plot([], [], color=style.INK, lw=2.5, label="JS")
        (self.modes_line,) = self.far.plot(
            [], [], color=style.PURPLE, lw=2.5, ls="--", label="modes"
        )
        self.far.legend(loc="lower center", bbox_to_anchor=(0.45, 0.98), ncols=2, handlelength=1.2)
        mark = {"ls": "", "ms": 9, "clip_on": False}
        (self.far_dot,) = self.far.plot([], [], "o", color=style.INK, **mark)
        (self.modes_dot,) = self.far.plot([], [], "s", color=style.PURPLE, **mark)
        (self.here,) = self.loss.plot([], [], color=style.INK, lw=1.5)
        fig.live(
            self.real, self.fake, self.sheet, self.pulls, self.tips, self.d_line, self.g_line,
            self.far_line, self.modes_line, self.far_dot, self.modes_dot, self.here,
        )  # fmt: skip

    def curves(self, run: Run, position: int, total: int) -> None:
        """Losses, divergence and share of ``total`` modes so far; the axes grow by doubling."""
        steps, d = run.curve("D")
        _, g = run.curve("G")
        reach = 500 * 2 ** math.ceil(math.log2(max(run.reached, 500) / 500))
        if self.loss.get_xlim()[1] != reach:
            self.loss.set_xlim(0, reach)
            self.far.set_xlim(0, reach)
        thin = slice(None, None, max(1, len(steps) // 400))
        count = min(len(steps), len(d), len(g))
        self.d_line.set_data(steps[:count][thin], d[:count][thin])
        self.g_line.set_data(steps[:count][thin], g[:count][thin])
        self.here.set_data([position, position], [0, 3])
        for name, line, dot in [
            ("JS", self.far_line, self.far_dot),
            ("modes", self.modes_line, self.modes_dot),
        ]:
            steps, values = run.curve(name)
            values = [value / total if name == "modes" else value for value in values]
            shown = name == "JS" or total <= FEW
            line.set_data(*((steps, values) if shown else ((), ())))
            now = [(s, v) for s, v in zip(steps, values, strict=True) if s <= position and shown]
            dot.set_data([s for s, _ in now[-1:]], [v for _, v in now[-1:]])


def _preset(note: str, **changes: Any) -> dict[str, Any]:
    """All controls as they are at the start, but for ``changes``."""
    start = {
        "data": "ring of 8", "draw": "samples", "learn": "both", "lr_D": 1e-3, "lr_G": 1e-3,
        "k": 1, "noise": 2, "beta1": 0.9, "opt_D": "Adam", "opt_G": "Adam", "seed": 0,
        "detach": True, "saturating": False, "noisy": True,
    }  # fmt: skip
    return start | changes | {"note": note}


PRESETS: Mapping[str, dict[str, Any]] = {
    "Covers all 8": _preset(
        "Works: 8 of 8 modes within 4000 steps. Press Play. Wild at first: D is as quick as G."
    ),
    "Collapses": _preset(
        "Fails: a slow G with much noise settles on 2 of 8 modes. What it makes there is good, and "
        "nothing in its loss asks for the others.",
        lr_D=10**-3.4,
        lr_G=1e-4,
        noise=16,
        beta1=0.5,
    ),
    "No noise": _preset(
        "Fails: G has nothing to be random with. All its fakes are one point, and D hunts it round "
        "the ring.",
        noisy=False,
    ),
    "No detach": _preset(
        "Fails: D's loss teaches G as well, against its own. G stops where D is undecided, on a "
        "few of the modes.",
        detach=False,
    ),
    "Saturating": _preset(
        "Fails: D is 5 steps ahead and sure of every fake. There the saturating loss is flat: the "
        "pull on the fakes dies, and G stands still. Untick it while this plays: the pull is back.",
        draw="pull of D",
        k=5,
        opt_G="SGD",
        beta1=0.5,
        saturating=True,
    ),
}


def lab(
    make_nets: Callable[..., tuple[nn.Module, nn.Module]], gan_step: Callable[..., Any]
) -> Panel:
    """The game in the plane.

    ``make_nets(noise_size, seed)`` returns (G, D); ``gan_step(G, D, opt_G, opt_D, real, noise,
    learn=, detach=, saturating=)`` does one turn and returns both losses.
    """
    game, view = Lab(make_nets, gan_step), View()
    strokes: list[np.ndarray] = []

    @device.one_thread()
    def update(**v: Any) -> str:
        run = game.run
        wanted = tuple(v[name] for name in ("data", "noise", "opt_G", "opt_D", "beta1", "seed"))
        if wanted != game.built:
            game.built = wanted
            with run.paused():
                game.build(*wanted)
            run.restart(halt=False)
        with run.paused():
            for optimizer, rate in [(game.opt_G, v["lr_G"]), (game.opt_D, v["lr_D"])]:
                optimizer.param_groups[0]["lr"] = rate
            game.k, game.learn, game.noisy = v["k"], v["learn"], v["noisy"]
            game.switches = {"detach": v["detach"], "saturating": v["saturating"]}
            opinion, made, position = game.opinion(), game.samples(), run.position
            fakes = made[:SHOWN]
            pull = game.pull(fakes[:60]) if v["draw"] == "pull of D" else None
            sheet = game.manifold() if v["draw"] == "G's manifold" else None
        covered, good = modes_covered(made, game.mixture)
        q = smooth_density(made)
        for picture, share in [
            (view.map, opinion),
            (view.best_map, best_discriminator(game.p, q)),
        ]:
            picture.values = 2 * share.reshape(GRID, GRID).numpy() - 1
        view.real.set_data(*game.real.numpy().T)
        view.fake.set_data(*fakes.numpy().T)
        view.sheet.set_segments([] if sheet is None else list(sheet.numpy()))
        ends = np.empty((0, 2))
        segments: list[np.ndarray] = []
        if pull is not None:
            length = pull.norm(dim=1, keepdim=True)
            # Long enough to be seen, never longer than a third of the plane.
            ends = (
                fakes[:60] + pull / length.clamp(min=1e-9) * (0.3 * length).clamp(max=0.5)
            ).numpy()
            segments = list(np.stack([fakes[:60].numpy(), ends], axis=1))
        view.pulls.set_segments(segments)
        view.tips.set_data(*ends.T)
        total = len(game.mixture.centres)
        view.curves(run, position, total)
        where = f"<b>{covered} of {total}</b> modes covered, " if total <= FEW else ""
        far = jensen_shannon(game.p, q) if float(q.sum()) > 0 else 1.0
        said = (
            f"Step {position}: {where}{good:.0%} of fakes good, JS {far:.2f} bits, "
            f"D right about {right_share(game, made):.0%}."
        )
        if pull is not None:
            said += f" The mean pull is <b>{float(pull.norm(dim=1).mean()):.3f}</b>."
        outside = float((made.abs() > REACH).any(dim=1).float().mean())
        if outside >= 0.05:
            said += f" {outside:.0%} of the fakes lie outside the picture."
        if v["draw"] == "G's manifold" and v["noise"] > 2:
            said += " Only the first two of the noises move here; the others are 0."
        return said

    def alone(net: str) -> None:
        """One step of ``net`` with the other at rest, whatever the control says."""
        game.run.pause()
        game.learn = net
        game.run.step()

    def ink(points: np.ndarray, new: bool) -> None:
        if panel.controls["data"].value != DRAWN:
            strokes.clear()
        strokes.append(np.clip(points, -REACH, REACH))
        flat = np.concatenate(strokes)
        keep = flat[:: max(1, len(flat) // 120)]
        with game.run.paused():
            game.drawn = Mixture(torch.tensor(keep, dtype=torch.float32), 0.08)
            if panel.controls["data"].value == DRAWN:  # the game goes on with other data
                game.look_at(game.drawn)
        panel.set(data=DRAWN)

    panel = Panel(
        update,
        view.fig,
        title="Two nets play",
        look="Blue squares are real, orange dots are G's. The map is what D says: blue for real. "
        "Press Play, or draw other real data with the mouse.",
        presets=PRESETS,
        actions={"Step D": lambda: alone("D"), "Step G": lambda: alone("G")},
        run=game.run,
        dense=True,
        anew=game.forget,
        data=choice([*game.mixtures, DRAWN], label="real data"),
        draw=choice(["samples", "pull of D", "G's manifold"], label="show"),
        learn=choice({"both": "both", "only D": "D", "only G": "G"}, label="learns"),
        lr_D=log_slider(1e-5, 1e-2, 1e-3, label="D's rate"),
        lr_G=log_slider(1e-5, 1e-2, 1e-3, label="G's rate"),
        k=slider(1, 5, 1, 1, label="D steps k"),
        noise=slider(1, 16, 1, 2, label="noise size"),
        beta1=slider(0.0, 0.9, 0.1, 0.9, label="beta1"),
        opt_D=choice(list(OPTIMIZERS), label="D uses"),
        opt_G=choice(list(OPTIMIZERS), label="G uses"),
        seed=slider(0, 9, 1, 0),
        detach=toggle(True, label="detach the fakes for D"),
        saturating=toggle(False, label="saturating loss for G"),
        noisy=toggle(True, label="noise into G"),
    )
    for name in ("lr_D", "lr_G"):
        panel.controls[name].readout_format = ".1e"  # 0.00010 has no room
    view.fig.on_ink(view.plane, ink, 6, style.BLUE)
    return panel


def right_share(game: Lab, made: Tensor) -> float:
    """Share of as many real as fake points that D puts on the right side of 1/2."""
    where = next(game.D.parameters()).device
    with game.run.paused(), torch.no_grad():
        real = game.D(game.real.to(where)) > 0
        fake = game.D(made[: len(real)].to(where)) <= 0
    return float(torch.cat([real, fake]).float().mean())
