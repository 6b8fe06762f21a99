"""How much wider an interval of a handful of draws has to be than percentiles say: Student's t over the normal's z."""

from __future__ import annotations

# Two-sided 95 % points, by degrees of freedom from 1 on.
_T_OVER_Z = (6.483, 2.195, 1.624, 1.417, 1.312, 1.248, 1.206, 1.177, 1.154, 1.137, 1.123, 1.112, 1.102, 1.094, 1.087)


def widening(degrees: int) -> float:
    """The factor from a normal to a Student interval.

    Reference:
        Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 4.
    """
    return _T_OVER_Z[degrees - 1] if degrees <= len(_T_OVER_Z) else 1.0 + 1.35 / degrees


def student_95(degrees: int) -> float:
    """The two-sided 95 % point of Student's t."""
    return 1.96 * widening(degrees)
