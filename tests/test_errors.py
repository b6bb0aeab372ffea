"""Every error: what it is besides, and what it says. The tree itself is held in `test_exports`."""

from __future__ import annotations

import copy
import inspect

import pytest

from roomstate import errors
from roomstate.errors import InvalidValue, RoomStateError, UnknownRoom, UnknownViewer

ALL = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, RoomStateError)]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_an_error_names_the_place_and_the_reason(error: type[RoomStateError]) -> None:
    raised = error("room 'rust'", "is not known here")
    assert (raised.where, raised.reason) == ("room 'rust'", "is not known here")
    assert str(raised) == "room 'rust': is not known here"
    assert raised.args == ("room 'rust'", "is not known here")
    again = copy.copy(raised)
    assert (type(again), again.args, str(again)) == (error, raised.args, str(raised))


def test_errors_that_a_python_programmer_expects_to_be_built_in_are() -> None:
    for error, built_in in ((InvalidValue, ValueError), (UnknownRoom, KeyError), (UnknownViewer, KeyError)):
        with pytest.raises(built_in):
            raise error("where", "why")
