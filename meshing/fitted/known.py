"""What was made of an image, kept as long as the image is: a run meshes it twice, and looks at its sizes before."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from microlith.imaging.image.volume import LabelImage

T = TypeVar("T")
LARGEST = 4_000_000  # pixels of an image of which something is kept, which bounds the memory: some tens of megabytes

_known: WeakKeyDictionary[LabelImage, dict[str, tuple[Any, Any]]] = WeakKeyDictionary()


def made_once(image: LabelImage, what: str, of: Any, make: Callable[[], T]) -> T:
    """What `make()` gives, or gave the last time for the same image and the same `of`; nobody may change it.

    Args:
        image: That it is made of.
        what: Name of what is made.
        of: All else that it depends on.
        make: Makes it.
    """
    if image.phase.size > LARGEST:
        return make()
    made = _known.setdefault(image, {})
    if what not in made or made[what][0] != of:
        made[what] = (of, make())
    found: T = made[what][1]
    return found
