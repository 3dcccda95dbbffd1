"""Run vrae on many processors or machines, with Ray.

A run works in these steps:

1. `engine` starts Ray on this machine, or joins a cluster.
2. `source` opens Parquet files on disk or in an object store. `series` decides from their metadata
   and first rows how rows become series.
3. `parts` divides the row groups into parts. Each part holds complete series. Rows that are not
   ordered by series are sorted first.
4. `pool` hands the part numbers to workers through Ray Data. Each worker loads the model once.
5. `job` processes one part: it reads panel by panel, applies an operation (`operations`), writes
   tables under unique names, and records the part as finished. Finished parts are never repeated.
6. `staging` moves the finished tables, in the order of the parts, to their destination.

`model_jobs` does this for embedding, assignment and anomaly detection. `cluster_job` first draws a
sample in one pass over the parts (`series`) and fits a model to it: in this process, or in several
with Ray Train (`ray_trainer`). Then it assigns all series as above. The numbers of the report are
sums over parts. Apart from the sample, a process holds at most one part and the model.
"""

from vrae.distributed.cluster_job import cluster
from vrae.distributed.engine import EngineOptions
from vrae.distributed.model_jobs import assign, embed, find_anomalies
from vrae.distributed.ray_trainer import fit
from vrae.distributed.source import open_parquet

__all__ = ["EngineOptions", "assign", "cluster", "embed", "find_anomalies", "fit", "open_parquet"]
