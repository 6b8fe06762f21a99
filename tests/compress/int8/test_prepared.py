"""What was changed of a network, on disk."""

from __future__ import annotations

import pytest

from edgeseg.compress.int8.equalize import equalize
from edgeseg.compress.int8.prepared import changed_tensors, load_prepared, save_prepared
from edgeseg.compress.int8.statistics import collect_statistics
from edgeseg.runtime.errors import ConfigError

from ..lived_in import folded_network, images


def test_a_prepared_network_survives_its_file(tmp_path):
    plain = folded_network("student")
    prepared = equalize(plain, collect_statistics(plain, images())).model
    save_prepared(tmp_path / "network.safetensors", plain, prepared)
    again = load_prepared(tmp_path / "network.safetensors", folded_network("student"))
    assert not changed_tensors(prepared, again)
    assert 0 < len(changed_tensors(plain, prepared)) < len(plain.state_dict())


def test_without_a_file_it_is_the_plain_network(tmp_path):
    plain = folded_network("student")
    assert not changed_tensors(plain, load_prepared(tmp_path / "network.safetensors", plain))


def test_a_file_of_another_network_is_refused(tmp_path):
    plain = folded_network("unet")
    prepared = folded_network("unet", seed=1)
    save_prepared(tmp_path / "n.safetensors", plain, prepared)
    with pytest.raises(ConfigError, match="which this network lacks"):
        load_prepared(tmp_path / "n.safetensors", folded_network("student"))
    with pytest.raises(ConfigError, match="other parameters"):
        changed_tensors(plain, folded_network("student"))
