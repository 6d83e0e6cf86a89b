"""The one exception that means: the user's input is wrong, and this sentence says how to correct it; how it quotes."""

from collections.abc import Iterable

LONGEST_SENTENCE = 2000  # characters of a message, however long what it quotes
LONGEST_QUOTE = 120  # characters of one thing that it quotes
MOST_LISTED = 12  # things that it lists


class InputError(ValueError):
    """Bad input: the message is one sentence that says what is wrong, where, and what was expected.

    The command line prints it without a traceback and exits with status 2. Whatever a message quotes, it is one line
    without control characters.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__(printable(str(sentence), LONGEST_SENTENCE))


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
