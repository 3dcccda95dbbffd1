"""A small valid file of each supported format, for tests that damage, rename or remove it."""

from __future__ import annotations

import gzip
import io

import numpy as np


def _csv() -> bytes:
    return b"unique_id,ds,y\na,2024-01-01,1\na,2024-01-02,2.5\nb,2024-01-01,\nb,2024-01-02,-3e4\n"


def _binary(kind: str) -> bytes:
    import pandas as pd

    table = pd.read_csv(io.BytesIO(_csv()))
    buffer = io.BytesIO()
    if kind == "parquet":
        table.to_parquet(buffer)
    elif kind == "feather":
        table.to_feather(buffer)
    elif kind == "xlsx":
        table.to_excel(buffer, index=False)
    elif kind == "npz":
        np.savez(buffer, X=np.eye(4), ids=list("abcd"))
    else:
        np.save(buffer, np.eye(4))
    return buffer.getvalue()


FILES: dict[str, bytes] = {
    "x.csv": _csv(),
    "wide.csv": b"id,1,2,3\na,1,2,3\nb,4,5,6\n",
    "x.csv.gz": gzip.compress(_csv(), mtime=0),
    "x.tsv": b"1\t0.5\t2\tNaN\n2\t1\t3\t4\n",
    "x.ts": b"@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n1,2,3:a\n4,?,6:b\n",
    "stamped.ts": b"@timestamps true\n@classLabel false\n@data\n(0,1.5),(1,2)\n(0,3),(1,4)\n",
    "x.arff": b"@relation r\n@attribute a numeric\n@attribute c {x,y}\n@data\n1,2,x\n3,4,y\n",
    "x.parquet": _binary("parquet"),
    "x.feather": _binary("feather"),
    "x.xlsx": _binary("xlsx"),
    "x.jsonl": b'{"unique_id":"a","ds":1,"y":1.5}\n{"unique_id":"a","ds":2,"y":2}\n{"unique_id":"b","ds":1,"y":null}\n',
    "x.npz": _binary("npz"),
    "x.npy": _binary("npy"),
}
