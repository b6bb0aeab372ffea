"""The two transition tables of a room. Data only: nothing here acts.

Rules on what may live here. Every (state, signal) has exactly one cell. A cell is a move, an explicit stay, or illegal,
and says why in words that end up in error messages and in ``docs/reference/transitions.md``. No tier and no status
changes anywhere but through `next_tier` and `next_status`; whoever calls them does the work that follows.

The tier table is driven by what is *wanted*: a room's tier is the highest that any interest asks for, so LEAVE and IDLE
name no target of their own: the room settles on what the remaining interests ask for.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from roomstate.errors import IllegalTransition
from roomstate.model import Status, Tier

__all__ = ["LOADING", "TIERS", "Cell", "LoadingSignal", "Signal", "next_status", "next_tier", "render"]


class Signal(Enum):
    """What can happen to a room's tier."""

    ENTER = "enter"  # a viewer looks at the room, or the host promotes it
    FOLLOW = "follow"  # a viewer wants to hear of the room
    WARM = "warm"  # the predictor expects a visit
    LEAVE = "leave"  # an interest was given up
    IDLE = "idle"  # an interest lapsed
    PRESSURE = "pressure"  # bytes are short
    PURGE = "purge"  # the room is to leave memory now


class LoadingSignal(Enum):
    """What can happen to a load."""

    REQUESTED = "requested"
    LOADED = "loaded"
    FAILED = "failed"
    LINK_LOST = "link_lost"
    LINK_BACK = "link_back"


class Cell(Struct, frozen=True):
    """One cell: ``to`` is where it leads (None: to what the interests ask for); ``illegal`` cells lead nowhere."""

    to: Tier | Status | None
    why: str
    illegal: bool = False


def _move(to: Tier | Status | None, why: str) -> Cell:
    return Cell(to, why)


def _never(why: str) -> Cell:
    return Cell(None, why, illegal=True)


U, C, B, A = Tier.UNLOADED, Tier.CACHED, Tier.BACKGROUND, Tier.ACTIVE
_S = Signal

TIERS: Final[dict[tuple[Tier, Signal], Cell]] = {
    (U, _S.ENTER): _move(A, "somebody looks: hold what there is, and load the rest"),
    (U, _S.FOLLOW): _move(B, "somebody wants to hear of it"),
    (U, _S.WARM): _move(C, "a visit is expected: have its snapshot at hand"),
    (U, _S.LEAVE): _move(U, "nothing is held: nothing to give up"),
    (U, _S.IDLE): _move(U, "nothing is held: nothing lapses"),
    (U, _S.PRESSURE): _move(U, "nothing is held: nothing to free"),
    (U, _S.PURGE): _move(U, "nothing is held: nothing to purge"),
    (C, _S.ENTER): _move(A, "somebody looks: show at once what the snapshot says"),
    (C, _S.FOLLOW): _move(B, "somebody wants to hear of it"),
    (C, _S.WARM): _move(C, "it is at hand already"),
    (C, _S.LEAVE): _move(C, "the cache holds it, not an interest"),
    (C, _S.IDLE): _move(C, "the cache holds it, not an interest"),
    (C, _S.PRESSURE): _move(U, "the cache chose it as a victim, or its time is over"),
    (C, _S.PURGE): _move(U, "the host wants its memory back"),
    (B, _S.ENTER): _move(A, "somebody looks: show what is held, and load the rest"),
    (B, _S.FOLLOW): _move(B, "it is followed already"),
    (B, _S.WARM): _move(B, "it is more than warm already"),
    (B, _S.LEAVE): _move(None, "an interest is gone: what do the others ask for?"),
    (B, _S.IDLE): _move(None, "an interest lapsed: what do the others ask for?"),
    (B, _S.PRESSURE): _move(C, "following lapses early when bytes are short"),
    (B, _S.PURGE): _move(C, "to leave memory it becomes a snapshot first"),
    (A, _S.ENTER): _move(A, "one more looks"),
    (A, _S.FOLLOW): _move(None, "the viewer who looked only follows now: do others look?"),
    (A, _S.WARM): _move(A, "it is more than warm already"),
    (A, _S.LEAVE): _move(None, "an interest is gone: what do the others ask for?"),
    (A, _S.IDLE): _move(None, "an interest lapsed: what do the others ask for?"),
    (A, _S.PRESSURE): _move(A, "somebody looks: an ACTIVE room may exceed the budget"),
    (A, _S.PURGE): _never("somebody looks at it"),
}

L, R, S, E = Status.LOADING, Status.READY, Status.STALE, Status.ERROR
_G = LoadingSignal

LOADING: Final[dict[tuple[Status, LoadingSignal], Cell]] = {
    (L, _G.REQUESTED): _move(L, "one load serves both"),
    (L, _G.LOADED): _move(R, "all is here"),
    (L, _G.FAILED): _move(E, "what is held is intact"),
    (L, _G.LINK_LOST): _move(S, "the answer will not come; connecting again asks anew"),
    (L, _G.LINK_BACK): _move(L, "the load is under way"),
    (R, _G.REQUESTED): _move(L, "the tier holds more than is here"),
    (R, _G.LOADED): _move(R, "a late answer to a question that no longer matters"),
    (R, _G.FAILED): _move(R, "a late failure of a load that no longer matters"),
    (R, _G.LINK_LOST): _move(S, "what is held may fall behind"),
    (R, _G.LINK_BACK): _move(R, "the link was not missed"),
    (S, _G.REQUESTED): _move(L, "the link is tried"),
    (S, _G.LOADED): _move(R, "caught up"),
    (S, _G.FAILED): _move(S, "still not caught up"),
    (S, _G.LINK_LOST): _move(S, "it is lost already"),
    (S, _G.LINK_BACK): _move(L, "ask for what was missed"),
    (E, _G.REQUESTED): _move(L, "try again"),
    (E, _G.LOADED): _move(R, "it arrived after all"),
    (E, _G.FAILED): _move(E, "it failed again"),
    (E, _G.LINK_LOST): _move(E, "the failure stands"),
    (E, _G.LINK_BACK): _move(L, "try again"),
}


def next_tier(tier: Tier, signal: Signal, wanted: Tier) -> Tier:
    """Return the tier that ``signal`` leads to; ``wanted`` is what the interests ask for, the signal's included.

    Raises ``IllegalTransition`` with the cell's reason, and has changed nothing.
    """
    cell = TIERS[tier, signal]
    if cell.illegal:
        raise IllegalTransition(f"{signal.name} at {tier.name}", cell.why)
    return cell.to if isinstance(cell.to, Tier) else max(wanted, Tier.CACHED)


def next_status(state: Status, signal: LoadingSignal) -> Status:
    """Return the status that ``signal`` leads to. No cell of this table is illegal."""
    to = LOADING[state, signal].to
    assert isinstance(to, Status)
    return to


def render() -> str:
    """Return both tables as the Markdown of ``docs/reference/transitions.md``."""
    parts = ["# Transitions\n\nThis page is written by `python docs/generate.py`; a test fails when it is stale.\n"]
    for title, table in (("Tiers", [*TIERS.items()]), ("Loading", [*LOADING.items()])):
        parts.append(f"\n## {title}\n\n| at | signal | leads to | why |\n|---|---|---|---|\n")
        for (state, signal), cell in table:
            to = "*illegal*" if cell.illegal else cell.to.name if cell.to else "*what the interests ask for*"
            parts.append(f"| {state.name} | {signal.name} | {to} | {cell.why} |\n")
    return "".join(parts)
