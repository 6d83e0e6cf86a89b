"""How long a run waits for another one that compiles the same form."""

from dolfinx import jit

PATIENCE = 90  # s: one form takes a few seconds, many times as long on a machine that is full of work


def be_patient() -> None:
    """Wait longer than DOLFINx's 10 s, which end runs that were started at once on a busy machine.

    Forms are compiled on first use and kept in a cache that all processes of a user share: while one compiles, the
    others wait. The setting holds from here on, for all forms.
    """
    meaning = jit.DOLFINX_DEFAULT_JIT_OPTIONS["timeout"][1]
    jit.DOLFINX_DEFAULT_JIT_OPTIONS["timeout"] = (PATIENCE, meaning)
