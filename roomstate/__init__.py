"""The state of many chat rooms, held in tiers and kept in step."""
