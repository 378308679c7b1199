"""``Probe`` against numbers worked out by hand or from the definition."""

import math

import pytest
import torch
from torch import nn

from lecture_utils.probe import Probe


def net():
    """Two inputs, three units: the second never fires, the third on half of the batch."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
        model[0].bias.zero_()
        model[2].weight[:] = torch.tensor([[1.0, 2.0, 3.0]])
    return model


X = torch.tensor([[1.0, 2.0], [3.0, 1.0]])


def record(probe, name):
    return next(r for r in probe.records() if r.name == name)


def test_activations_zeros_and_dead_units_by_hand():
    model = net()
    with Probe(model) as probe:
        model(X)
    # linear: [[3, -3, -1], [4, -4, 2]]; after ReLU: [[3, 0, 0], [4, 0, 2]]
    relu = record(probe, "1")
    assert (relu.kind, relu.shape) == ("ReLU", (2, 3))
    assert probe.activations["1"].tolist() == [[3, 0, 0], [4, 0, 2]]
    assert relu.mean == pytest.approx(1.5)
    assert relu.std == pytest.approx(math.sqrt((9 + 16 + 4) / 6 - 1.5**2))
    assert relu.zeros == pytest.approx(3 / 6)
    assert relu.dead == pytest.approx(1 / 3)
    linear = record(probe, "0")
    assert (linear.zeros, linear.dead) == (0, 0)
    assert math.isnan(linear.gradient)
    assert math.isnan(linear.update_ratio)


def test_gradients_by_hand():
    model = net()
    with Probe(model) as probe:
        model(X).sum().backward()
    assert probe.gradients["1"].tolist() == [[1, 2, 3], [1, 2, 3]]
    assert record(probe, "1").gradient == pytest.approx(math.sqrt(14 / 3))
    assert probe.gradients["0"].tolist() == [[1, 0, 0], [1, 0, 3]]
    assert record(probe, "0").gradient == pytest.approx(math.sqrt(11 / 6))


def test_update_ratio_by_hand():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Probe(model, optimizer) as probe:
        model(X).sum().backward()
        optimizer.step()
    # d/dw of the last layer: the column sums (7, 0, 2) of the activations
    expected = 0.1 * math.hypot(7, 0, 2) / math.sqrt(1 + 4 + 9)
    assert record(probe, "2").update_ratio == pytest.approx(expected)
    # first layer: rows x1 + x2, 0, 3 x2; the bias moves too but does not count
    expected = 0.1 * math.hypot(4, 3, 9, 3) / math.sqrt(6)
    assert record(probe, "0").update_ratio == pytest.approx(expected)
    assert math.isnan(record(probe, "1").update_ratio)


def test_channels_are_the_units_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight.data[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
    with Probe(model) as probe:
        model(torch.rand(3, 1, 4, 6) + 0.1)
    for name in ("1", "2"):
        assert record(probe, name).dead == 0.5
        assert record(probe, name).zeros == 0.5
    assert record(probe, "2").shape == (3, 2, 2, 3)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers(kind, batch_first):
    torch.manual_seed(0)
    layer, head = kind(2, 5, batch_first=batch_first), nn.Linear(5, 1)
    model = nn.ModuleDict({"cells": layer, "head": head})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with Probe(model, optimizer) as probe:
        output, _ = layer(torch.randn(3, 4, 2))
        head(output).square().mean().backward()
        before = [w.detach().clone() for w in (layer.weight_ih_l0, layer.weight_hh_l0)]
        optimizer.step()
    found = record(probe, "cells")
    assert found.shape == (3, 4, 5)
    assert found.mean == pytest.approx(output.mean().item(), rel=1e-4)
    assert found.gradient > 0
    old = torch.cat([w.flatten() for w in before])
    new = torch.cat([layer.weight_ih_l0.flatten(), layer.weight_hh_l0.flatten()]).detach()
    assert found.update_ratio == pytest.approx(((new - old).norm() / old.norm()).item(), rel=1e-4)


def test_dead_units_of_a_sequence_are_its_features():
    layer = nn.RNN(1, 2, nonlinearity="relu", batch_first=True)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    layer.weight_ih_l0.data[0] = 1.0  # the first unit fires, the second never does
    model = nn.Sequential(layer)
    with Probe(model) as probe:
        model(torch.ones(6, 3, 1))
    assert record(probe, "0").dead == 0.5


def test_a_layer_in_place_does_not_change_what_was_seen_before_it():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    model.load_state_dict({k: v for k, v in net().state_dict().items() if k.startswith("0")})
    with Probe(model) as probe:
        model(X).sum().backward()
    assert probe.activations["0"].tolist() == [[3, -3, -1], [4, -4, 2]]


def test_a_layer_without_a_tensor_is_left_out():
    class Words(nn.Module):
        def forward(self, x):
            return {"x": x}

    model = nn.Sequential(nn.Linear(2, 2), Words())
    with Probe(model) as probe:
        model(X)
    assert [r.name for r in probe.records()] == ["0"]


def test_only_the_last_pass_counts():
    model = net()
    with Probe(model) as probe:
        model(X)
        model(-X)
    assert probe.activations["1"].tolist() == [[0, 3, 1], [0, 4, 0]]


def test_the_hooks_are_taken_off_and_change_nothing():
    model, plain = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(plain.parameters(), lr=0.1)
    with Probe(model, optimizer) as probe:
        model(X).sum().backward()
        optimizer.step()
    plain(X).sum().backward()
    other.step()
    assert all(map(torch.equal, model.parameters(), plain.parameters()))
    assert not any(m._forward_hooks for m in model.modules())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    seen = probe.activations["1"].clone()
    model(10 * X)
    assert torch.equal(probe.activations["1"], seen)


def test_a_single_layer_is_named_by_its_kind():
    layer = nn.Linear(2, 1)
    with Probe(layer) as probe:
        layer(X)
    assert [r.name for r in probe.records()] == ["Linear"]
    assert "<td>Linear (Linear)</td><td>2×1</td>" in probe._repr_html_()
