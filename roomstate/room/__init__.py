"""One room: its structures, its tiers, and the reducer that alone changes its contents."""
