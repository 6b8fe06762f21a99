"""A JSON file of another tool, and numbers of it that are what they should be."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.pipeline.data_import.raster import Points
from edgeseg.pipeline.data_import.source import Size, bad
from edgeseg.runtime.text.textfile import read_text

_MOST_PX = 1 << 20  # of a side; beyond it an annotation is damaged


def read_json(path: Path) -> Any:
    """Decode a file.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise bad(path, f"line {error.lineno}", f"not valid JSON ({error.msg})", "export it again") from error
    except UnicodeDecodeError as error:
        raise bad(path, f"byte {error.start}", "not UTF-8 text", "save it as UTF-8") from error
    except RecursionError as error:
        raise bad(path, "", "nested too deeply", "export it again") from error
    except ValueError as error:  # such as a number of thousands of digits
        raise bad(path, "", f"not valid JSON ({error})", "export it again") from error
    except OSError as error:
        raise bad(path, "", f"cannot be read ({error.strerror})", "check its rights and the disk") from error


def objects(value: Any, path: Path, place: str) -> list[dict[str, Any]]:
    """A list of JSON objects.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise bad(path, place, "no list of objects", "export it again")
    return value


def size(height: Any, width: Any, path: Path, place: str) -> Size | None:
    """(height, width) of a picture, or None where it is not told.

    Raises:
        DataError: No whole numbers from 1 on.
    """
    if height is None or width is None:
        return None
    sides = tuple(int(side) if _is_number(side) and float(side) == int(side) else -1 for side in (height, width))
    if not all(0 < side < _MOST_PX for side in sides):
        raise bad(path, place, f"its size is {width!r} x {height!r}", "export it again")
    return sides[0], sides[1]


def numbers(values: object, path: Path, place: str) -> list[float]:
    """A list of finite numbers.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or not all(map(_is_number, values)):
        raise bad(path, place, f"no list of numbers: {str(values)[:60]}", "export it again, or remove this object")
    return [float(value) for value in values]


def corners(values: Sequence[float], path: Path, place: str) -> Points:
    """Pairs of x and y as points (N, 2).

    Raises:
        DataError: Not pairs, or fewer than three.
    """
    if len(values) < 6 or len(values) % 2:
        message = f"an outline of {len(values)} numbers, but it needs three points or more, two numbers each"
        raise bad(path, place, message, "correct or remove this object")
    return np.array(values, np.float64).reshape(-1, 2)


def _is_number(value: Any) -> bool:
    # Farther off than any picture is wide, a number is none of a picture's.
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9 and math.isfinite(value)
    )
