"""Every error has the one base, so that a command can catch it."""

import pickle

import pytest

from edgeseg.runtime import errors
from edgeseg.runtime.faults import Fault, FaultError

KINDS = [value for value in vars(errors).values() if isinstance(value, type)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_an_edgeseg_error_with_a_docstring(kind):
    assert issubclass(kind, errors.EdgesegError)
    assert kind.__doc__


def test_a_fault_error_is_a_data_error_that_survives_another_process():
    error = FaultError(Fault("images/a.png", "truncated", "its end is missing", "copy it again"))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, errors.DataError)
    assert str(again) == "images/a.png: its end is missing; copy it again"
    assert again.fault == error.fault
