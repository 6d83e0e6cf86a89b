"""The one exception that means: the user's input is wrong, and this sentence says how to correct it; how it quotes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LONGEST_SENTENCE = 2000  # characters of a message, however long what it quotes
LONGEST_QUOTE = 120  # characters of one thing that it quotes
MOST_LISTED = 12  # things that it lists
MOST_TOLD = 20  # sentences at once


class InputError(ValueError):
    """Bad input: the message is one sentence that says what is wrong, where, and what was expected.

    Where several things are wrong that do not follow from each other it is one sentence for each. The command line
    prints them without a traceback and exits with status 2. Whatever a sentence quotes, it is one line without control
    characters.
    """

    def __init__(self, *sentences: object) -> None:
        """With one sentence, or with several where several things are wrong at once; the text has one a line."""
        told = [printable(str(sentence), LONGEST_SENTENCE) for sentence in sentences or ("",)]
        if len(told) > MOST_TOLD:
            told[MOST_TOLD - 1 :] = [f"and {len(told) - MOST_TOLD + 1} more of this kind; correct these first"]
        super().__init__(*told)

    def __str__(self) -> str:
        return "\n".join(self.args)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is wrong, each in a line of its own."""
        return self.args


class Faults:
    """Gathers what is wrong in several places, so that all of it is told at once."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep what a block raises as InputError, and go on after it."""
        try:
            yield
        except InputError as error:
            self._sentences += error.sentences

    @property
    def many(self) -> bool:
        """Whether there are so many that looking for more makes no sense."""
        return len(self._sentences) > MOST_TOLD

    def __bool__(self) -> bool:
        """Whether there is something wrong."""
        return bool(self._sentences)

    def tell(self) -> None:
        """Raise InputError with all of it, once each; do nothing where nothing was wrong."""
        if self._sentences:
            raise InputError(*dict.fromkeys(self._sentences))


def printable(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A text that others wrote as one line that a terminal, a log and a JSON file can take.

    White space becomes blanks; characters that can't be seen, and bytes of a file's name that are no UTF-8, become
    escapes; what is longer than `longest` is cut in the middle.
    """
    if len(text) > longest:
        head = (longest - 5) * 2 // 3
        text = f"{text[:head]} ... {text[len(text) - (longest - 5 - head) :]}"
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isspace():
        return " "
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def listed(things: Iterable[object], most: int = MOST_LISTED) -> str:
    """Things as a message lists them: the first of them, and how many there are in all."""
    texts = [printable(str(thing)) for thing in things]
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])}, ... ({len(texts)} in all)"
