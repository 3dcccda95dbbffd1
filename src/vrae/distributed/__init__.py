"""The same verbs on Ray, where one machine is not enough.

A run, in order:

1. `engine` starts Ray on this machine, or joins a cluster.
2. `source` opens Parquet files wherever they lie; `series` settles from their metadata, and the first rows, how rows
   become series.
3. `parts` cuts the row groups into parts, each of which holds its series from the first step to the last. Rows that do
   not stand together by series are sorted first.
4. `pool` gives the numbers of the parts to workers by Ray Data; each worker loads the model once.
5. `work` is what a worker does with a part: read it panel by panel, do the verb (`verbs`), write tables under a name of
   its own, and enter the part as done as the last act. Parts that have an entry are never done again.
6. `applying` moves the finished tables, in the order of the parts, to where they are wanted.

`clustering` begins with a sample, drawn in one pass over the parts (`sampling`), on which a model is fitted: in this
process, or by several together (`training`, on Ray Train). Then it places all series as above; the numbers of the
report are sums over parts. No process holds more than a part and the model, but for the sample.
"""

from vrae.distributed.applying import assign, embed, find_anomalies
from vrae.distributed.clustering import cluster
from vrae.distributed.engine import Engine
from vrae.distributed.source import open_parquet
from vrae.distributed.training import fit

__all__ = ["Engine", "assign", "cluster", "embed", "find_anomalies", "fit", "open_parquet"]
