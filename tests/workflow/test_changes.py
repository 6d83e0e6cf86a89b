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
    new = changed(TABLES, {"phases.x.label": labels})
    labels.append(3)
    assert new["phases"]["x"]["label"] == [1, 2]


@pytest.mark.parametrize("key", ["", "a..b", "a b", "a = 1\nb", "[a]", "a.", "ä.b"])
def test_what_is_no_key(key):
    with pytest.raises(InputError, match="is no key"):
        changed(TABLES, {key: 1})


def test_a_way_through_a_value():
    with pytest.raises(InputError, match=r'time.end.x: "end" is no table'):
        changed(TABLES, {"time.end.x": 1})


def test_parts_of_keys():
    assert key_parts('regions."I.a".box') == ("regions", "I.a", "box")
