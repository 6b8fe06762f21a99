"""One rule for names of classes, whoever asks."""

from __future__ import annotations

import pytest

from edgeseg.runtime.data.folder import check_classes as of_data
from edgeseg.runtime.errors import DataError, ManifestError
from edgeseg.runtime.spec.class_names import class_fault
from edgeseg.runtime.spec.model_spec import check_classes as of_file


@pytest.mark.parametrize(
    "names", [("good",), ("good", " "), ("good", ""), ("good", "good"), ("a", 3), tuple(map(str, range(256)))]
)
def test_what_no_data_set_has_no_file_has_either(names: tuple[str, ...]) -> None:
    fault = class_fault(names)
    assert fault is not None
    with pytest.raises(DataError, match=r"dataset\.yaml.*class"):
        of_data(names, "dataset.yaml")
    with pytest.raises(ManifestError) as caught:
        of_file(names)
    assert all(part in str(caught.value) for part in fault)


def test_two_to_255_different_names_are_fine() -> None:
    for names in (("good", "pit"), tuple(map(str, range(255)))):
        assert class_fault(names) is None
        assert of_data(names, "dataset.yaml") == names
