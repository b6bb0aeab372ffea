"""What a host imports in its own tests: contracts that its plug-ins run, and a journal of a manager's calls.

Subclass a contract with pytest and give it your own store, eviction policy, scorer, predictor or conflict strategy:
`contracts_store`, `contracts_eviction`, `contracts_prediction`, `contracts_conflict`. `journal` records the calls of
a manager and plays them again.
`vectors` says in JSON what a replica in any language must do.
"""
