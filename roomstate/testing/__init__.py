"""What a host imports in its own tests: contracts that its plug-ins run, and a journal of a manager's calls.

Subclass a contract with pytest and give it your own store, eviction policy, scorer, predictor or conflict strategy:
`contracts_store`, `contracts_eviction`, `contracts_prediction`, `contracts_conflict`. `journal` records the calls of
a manager and plays them again. `simulator` is a world of managers, a bad network between them, and all that can befall
them: for a host's wiring too.
`vectors` says in JSON what a replica in any language must do.
"""
