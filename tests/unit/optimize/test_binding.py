"""Samples whose names aren't the network's."""

from __future__ import annotations

import pytest
from torch import nn

from whet.core.spec import TensorSpec
from whet.errors import NetworkError
from whet.optimize.binding import bind_module, match_names
from whet.optimize.intake import load_network

GIVEN = (TensorSpec("images", "float32", ("batch", 4)), TensorSpec("target", "int64", ("batch",)))


def test_labels_under_a_name_of_their_own() -> None:
    network = load_network(nn.Linear(4, 2))
    with pytest.raises(NetworkError, match="say so with --label-key target"):
        bind_module(network, GIVEN)
    with pytest.raises(NetworkError, match="say so with --label-key target"):
        match_names(("input",), GIVEN)
    _, inputs = bind_module(network, GIVEN[:1])
    assert inputs == GIVEN[:1]
