"""The search: which channels and parts go until the prediction holds the budget. No training, nothing random.

Greedy: the move that loses least importance for what it saves is taken, again and again (as in NetAdapt, Yang et al.
2018, arXiv:1804.03230, with importance in the place of trainings). Predictions come from outside, so that the same
search serves latency tables, MACs, bytes or all of them at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from edgeseg.compress.search.arch_widths import with_widths
from edgeseg.compress.search.depth import Depth, further_cuts, renaming, shallower_arch
from edgeseg.compress.search.groups import Group
from edgeseg.runtime.errors import ConfigError

Arch = dict[str, Any]
Kind = Literal["width", "block", "stage", "level"]
Predict = Callable[[Arch], Mapping[str, float]]  # by the names of the limits, such as latency_ms

_SHARE = 8  # of a wide group an eighth goes at once: fewer layers to measure, and single channels save nothing


@dataclass(frozen=True)
class Move:
    """One move that was taken.

    Attributes:
        kind: `width` of a group, a residual `block`, the first or last encoder `stage`, the last decoder `level`.
        what: Which, such as `blocks.2.0.conv_pw 144 -> 128`.
        lost: Importance that went with it.
        predicted: What the network is predicted to cost after it.
    """

    kind: Kind
    what: str
    lost: float
    predicted: dict[str, float]


@dataclass(frozen=True)
class SearchResult:
    """What the search came to.

    Attributes:
        moves: In the order they were taken.
        widths: Wanted output channels by module path, every layer of each group, as `prune` takes them.
        depth: Parts that go after the channels, as `shallower` takes them.
        arch: Architecture JSON of the result.
        predicted: What it is predicted to cost.
        reached: Whether every limit holds; if not, this is as small as the search can make it.
        evaluations: Predictions asked for.
    """

    moves: tuple[Move, ...]
    widths: dict[str, int]
    depth: Depth
    arch: Arch
    predicted: dict[str, float]
    reached: bool
    evaluations: int


def search(
    arch: Arch, groups: tuple[Group, ...], predict: Predict, limits: Mapping[str, float], *, depth: bool = True
) -> SearchResult:
    """Shrink a network until the prediction holds every limit.

    Args:
        arch: Of the trained network.
        groups: Its channel groups with their scores, from `channel_groups`.
        predict: Cost of an architecture by the names in `limits`; called a few hundred times.
        limits: Largest allowed value by name.
        depth: Whether blocks, stages and levels may go, or channels alone.

    Returns:
        The result; equal inputs give equal results.

    Raises:
        ConfigError: If there is no limit, or one is not positive.
    """
    if not limits or any(not limit > 0 or not math.isfinite(limit) for limit in limits.values()):
        raise ConfigError(f"limits are {dict(limits)}; give at least one, and each above 0")
    return _Search(arch, {group.name: group for group in groups}, predict, dict(limits), depth).run()


@dataclass(frozen=True)
class _State:
    """A network the search could stop at, in the numbering of the original: widths by group, and what is gone."""

    widths: Mapping[str, int]
    depth: Depth


@dataclass(frozen=True)
class _Option:
    """A possible move; equal from state to state, so that its price can be remembered."""

    kind: Kind
    what: str
    after: _State = field(compare=False)


@dataclass
class _Search:
    arch: Arch
    groups: dict[str, Group]
    predict: Predict
    limits: dict[str, float]
    depth: bool
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    prices: dict[_Option, float] = field(default_factory=dict)
    left: dict[Depth, list[str]] = field(default_factory=dict)

    def run(self) -> SearchResult:
        """Take moves until the limits hold or nothing saves anything any more."""
        state, moves = _State({name: group.width for name, group in self.groups.items()}, Depth()), []
        while self._excess(state) > 0:
            option = self._cheapest(state)
            if option is None and self.prices:
                self.prices = {}  # what saved nothing once may save something by now
                option = self._cheapest(state)
            if option is None:
                break
            moves.append(Move(option.kind, option.what, self._lost(state, option.after), self._cost(option.after)))
            state = option.after
        widths = {path: width for name, width in state.widths.items() for path in self.groups[name].members}
        return SearchResult(
            moves=tuple(moves),
            widths=widths,
            depth=state.depth,
            arch=self._arch(state),
            predicted=self._cost(state),
            reached=self._excess(state) <= 0,
            evaluations=len(self.costs),
        )

    def _cheapest(self, state: _State) -> _Option | None:
        """The option of lowest price.

        What a move costs changes little while others are taken: remembered prices lead, and only the option that
        would win is priced again (lazy greedy, Minoux 1978).
        """
        options, fresh = self._options(state), set()
        while options:
            best = min(options, key=lambda option: self.prices.get(option, -1.0))
            if best in fresh:
                return best if self.prices[best] < math.inf else None
            self.prices[best] = self._price(state, best)
            fresh.add(best)
        return None

    def _price(self, state: _State, option: _Option) -> float:
        """Importance lost for each unit of excess saved; infinite where nothing is saved."""
        saved = self._excess(state) - self._excess(option.after)
        return self._lost(state, option.after) / saved if saved > 1e-9 else math.inf

    def _options(self, state: _State) -> list[_Option]:
        options = []
        for name in self._left(state.depth):
            before = state.widths[name]
            for after in narrower(before, self.groups[name].step):
                what = f"{name} {before} -> {after}"
                options.append(_Option("width", what, replace(state, widths={**state.widths, name: after})))
        for cut in further_cuts(self.arch, state.depth) if self.depth else []:
            options.append(_Option(*_named(state.depth, cut), after=replace(state, depth=cut)))
        return options

    def _lost(self, before: _State, after: _State) -> float:
        """Importance of the channels that go from one state to the next, those of dropped parts included."""
        there, left = self._left(before.depth), self._left(after.depth)
        return sum(
            self.groups[name].lost(before.widths[name], after.widths[name] if name in left else 0) for name in there
        )

    def _left(self, depth: Depth) -> list[str]:
        """Names of the groups that still have a layer, in network order."""
        if depth not in self.left:
            gone = renaming(self.arch, depth) if depth else str
            self.left[depth] = [
                name for name, group in self.groups.items() if any(gone(path) for path in group.members)
            ]
        return self.left[depth]

    def _arch(self, state: _State) -> Arch:
        widths = {path: width for name, width in state.widths.items() for path in self.groups[name].members}
        return shallower_arch(with_widths(self.arch, widths), state.depth)

    def _cost(self, state: _State) -> dict[str, float]:
        arch = self._arch(state)
        key = json.dumps(arch)
        if key not in self.costs:
            found = self.predict(arch)
            self.costs[key] = {name: float(found[name]) for name in self.limits}
        return self.costs[key]

    def _excess(self, state: _State) -> float:
        """How far the limits are exceeded, as shares, summed; 0 where all hold."""
        cost = self._cost(state)
        return sum(max(0.0, cost[name] / limit - 1.0) for name, limit in self.limits.items())


def narrower(width: int, step: int) -> list[int]:
    """Widths that a group of `width` channels may take next: about an eighth less, and half; multiples of `step`."""
    eighth = max(step, width // _SHARE // step * step)
    found = {(width - eighth) // step * step, width // 2 // step * step}
    return sorted((after for after in found if step <= after < width), reverse=True)


def _named(before: Depth, after: Depth) -> tuple[Kind, str]:
    """Kind and name of the part by which two depths differ."""
    if after.stages > before.stages:
        return "stage", f"encoder stage {after.stages} from the end"
    if after.first > before.first:
        return "stage", "the first encoder stage"
    if after.levels > before.levels:
        return "level", f"decoder level {after.levels} from the end"
    ((stage, place),) = after.blocks - before.blocks
    return "block", f"blocks.{stage}.{place}"
