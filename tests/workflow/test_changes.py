"""Changes to a case by dotted keys, and cases that come from no file."""

import pytest

from microlith.imaging.errors import InputError
from microlith.workflow.case.changes import changed, key_parts

TABLES = {"time": {"end": "1 s"}, "phases": {"a b": {"label": 1}}}


def test_changes_leave_what_was_given():
    before = {"time": {"end": "1 s"}, "phases": {"a b": {"label": 1}}}
    new = changed(TABLES, {"time.end": "2 s", 'phases."a b".label': [1, 2], "mesh.size.grain": "1 nm", "time.x": None})
    assert new == {
        "time": {"end": "2 s"},
        "phases": {"a b": {"label": [1, 2]}},
        "mesh": {"size": {"grain": "1 nm"}},
    }
    assert before == TABLES
    assert changed(TABLES, {"time": None}) == {"phases": {"a b": {"label": 1}}}


def test_values_given_are_not_shared():
    labels = [1, 2]
    new = changed(TABLES, {"regions.x.labels": labels})
    labels.append(3)
    assert new["regions"]["x"]["labels"] == [1, 2]


@pytest.mark.parametrize("key", ["", "a..b", "a b", "a = 1\nb", "[a]", "a.", "ä.b"])
def test_what_is_no_key(key):
    with pytest.raises(InputError, match="is no key"):
        changed(TABLES, {key: 1})


def test_a_way_through_a_value():
    with pytest.raises(InputError, match=r'time.end.x: "end" is no table'):
        changed(TABLES, {"time.end.x": 1})


def test_a_phase_that_is_not_there():
    """A key of it made a new phase, and the case was told to lack its label and role."""
    tables = {"phases": {"sei_cb": {"label": 1, "role": "transport"}}}
    with pytest.raises(InputError, match=r'phases\.sei\.porosity: there is no phase "sei"; did you mean "sei_cb"\?'):
        changed(tables, {"phases.sei.porosity": 0.5})
    new = {"phases.pore.label": 0, "phases.pore.role": "barrier"}
    assert changed(tables, new)["phases"]["pore"] == {"label": 0, "role": "barrier"}


def test_parts_of_keys():
    assert key_parts('regions."I.a".box') == ("regions", "I.a", "box")
