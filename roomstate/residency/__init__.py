"""Which rooms stay in memory: the budget, the order of eviction, time-to-live, and what comes next.

Residency sees ids, bytes, costs and hints; it never sees a room. Nothing here reads a clock: every call is
given ``now`` in float seconds.
"""
