"""What a host imports in its own tests: contracts that its plug-ins run, strategies, a simulator."""
