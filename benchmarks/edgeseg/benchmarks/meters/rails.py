"""Which of a board's rails is its total, and what that total covers."""

from __future__ import annotations

from collections.abc import Sequence

# A rail that feeds all others is the total by itself. NVIDIA names them so on its boards.
_TOTALS = {
    "POM_5V_IN": "the development kit's 5 V input",
    "VIN": "the board's input",
    "VDD_IN": "the module's input; the carrier board is not in it",
}
_SUM = "the sum of the module's rails; what their regulators lose and the carrier board are not in it"
# A channel that is connected to nothing.
UNUSED = "NC"


def board_total(rails: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The rails to add up for a board's power, and what they cover.

    AGX Xavier and AGX Orin have no rail that feeds all others: there it is the sum.
    """
    for name, covers in _TOTALS.items():
        if name in rails:
            return (name,), covers
    return tuple(name for name in rails if name != UNUSED), _SUM
