"""What roomstate costs, each figure beside a baseline measured in the same process.

``python -m benchmarks [NAME ...]`` runs ``benchmarks/<name>.py``; each has ``run() -> Iterable[Figure]``.
"""
