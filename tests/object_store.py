"""Two stores: a server that speaks as much S3 as Arrow needs, and one that only fsspec knows."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from fsspec.implementations.local import LocalFileSystem

BUCKET = "bucket"  # the only bucket
MODIFIED = formatdate(0, usegmt=True)
_XML = '<?xml version="1.0" encoding="UTF-8"?>'


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, tuple[bytes, str]]  # content and time, by bucket/key
    uploads: dict[str, dict[int, bytes]]

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        return unquote(url.path).lstrip("/"), parse_qs(url.query, keep_blank_values=True)

    def _answer(self, status: int, body: bytes | str = b"", **headers: str) -> None:
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        """Return the content, without the chunk lengths that HTTP and S3 may have added."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return body
        chunks, whole = io.BytesIO(body), b""
        while size := int(chunks.readline().split(b";")[0], 16):
            whole += chunks.read(size)
            chunks.readline()
        return whole

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"{_XML}<Error><Code>{code}</Code><Message>{code}</Message></Error>")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        key, query = self._asked()
        bucket, _, name = key.partition("/")
        if not name:
            self._list(bucket, query) if "list-type" in query else self._answer(200 if bucket == BUCKET else 404)
            return
        if key not in self.objects:
            self._error(404, "NoSuchKey")
            return
        content, when = self.objects[key]
        headers = {"Last_Modified": when, "ETag": f'"{md5(content).hexdigest()}"', "Accept_Ranges": "bytes"}
        if "Range" not in self.headers:
            self._answer(200, content, **headers)
            return
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(content)), len(content) - 1)
        self._answer(206, content[start : end + 1], Content_Range=f"bytes {start}-{end}/{len(content)}", **headers)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, cut = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        most = int(query.get("max-keys", ["1000"])[0])
        found, folders = "", set[str]()
        names = sorted(key.partition("/")[2] for key in self.objects if key.startswith(f"{bucket}/{prefix}"))
        for name in names[:most]:
            rest = name[len(prefix) :]
            if cut and cut in rest:
                folders.add(prefix + rest.partition(cut)[0] + cut)
                continue
            size = len(self.objects[f"{bucket}/{name}"][0])
            found += f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size>"
            found += "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        found += "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
        count = len(names[:most])
        self._answer(
            200,
            f"{_XML}<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{found}</ListBucketResult>",
        )

    def do_PUT(self) -> None:
        key, query = self._asked()
        content = self._body()
        when = formatdate(usegmt=True)
        if "uploadId" in query:
            self.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = content
            self._answer(200, ETag=f'"{md5(content).hexdigest()}"')
        elif source := self.headers.get("x-amz-copy-source"):
            self.objects[key] = (self.objects[unquote(source).lstrip("/")][0], when)
            self._answer(200, f'{_XML}<CopyObjectResult><ETag>"copied"</ETag></CopyObjectResult>')
        else:
            self.objects[key] = (content, when)
            self._answer(200, ETag=f'"{md5(content).hexdigest()}"')

    def do_POST(self) -> None:
        key, query = self._asked()
        body = self._body()
        bucket = key.partition("/")[0]
        if "uploads" in query:
            number = str(len(self.uploads))
            self.uploads[number] = {}
            self._answer(
                200,
                f"{_XML}<InitiateMultipartUploadResult><UploadId>{number}</UploadId></InitiateMultipartUploadResult>",
            )
        elif "uploadId" in query:
            pieces = self.uploads.pop(query["uploadId"][0])
            self.objects[key] = (b"".join(pieces[n] for n in sorted(pieces)), formatdate(usegmt=True))
            self._answer(200, f'{_XML}<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
        else:  # delete several
            for entry in ElementTree.fromstring(body).iter():
                if entry.tag.rpartition("}")[2] == "Key":
                    self.objects.pop(f"{bucket}/{entry.text}", None)
            self._answer(200, f"{_XML}<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        key, query = self._asked()
        if "uploadId" in query:
            self.uploads.pop(query["uploadId"][0], None)
        self.objects.pop(key, None)
        self._answer(204)


class FsspecStore(LocalFileSystem):  # type: ignore[misc]
    """A file system that fsspec knows and Arrow does not, with times that Arrow cannot read."""

    protocol = "teststore"

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().info(path, **options)
        return {**found, "LastModified": found.pop("mtime")}


@contextmanager
def object_store() -> Iterator[tuple[str, dict[str, tuple[bytes, str]]]]:
    """Serve an empty store here. Yield its host and port, and its content by ``bucket/key``."""
    handler: Any = type("Request", (_Request,), {"objects": {}, "uploads": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", handler.objects
        finally:
            server.shutdown()
