"""The same verbs on Ray, where one machine is not enough.

The series are in Parquet files. They are cut into parts by the files' metadata; Ray Data gives the parts to workers,
each of which holds the model, and every part is read, worked on and written by the very code that does so on one
machine.
"""

from vrae.distributed.applying import assign, embed, find_anomalies
from vrae.distributed.clustering import cluster
from vrae.distributed.engine import Engine
from vrae.distributed.source import open_parquet
from vrae.distributed.training import fit

__all__ = ["Engine", "assign", "cluster", "embed", "find_anomalies", "fit", "open_parquet"]
