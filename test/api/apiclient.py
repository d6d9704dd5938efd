"""A plain HTTPS client for tests of the API server: one connection, requests, watches."""
import http.client
import json
import ssl
from urllib.parse import urlencode


class Client:
    """One keep-alive connection as a user. answer.headers, .code, .body and .json of the last."""

    def __init__(self, api, token=None, cert=None, url=None, ca=None, agent="test", timeout=10):
        self.context = ssl.create_default_context(cafile=ca or api.ca)
        if cert:
            self.context.load_cert_chain(*cert)
        host, _, port = (url or api.url).partition("//")[2].rpartition(":")
        self.args = (host.strip("[]"), int(port))
        self.token, self.agent, self.timeout = token, agent, timeout
        self.conn = None

    def connect(self):
        if self.conn is None:
            self.conn = http.client.HTTPSConnection(*self.args, timeout=self.timeout,
                                                    context=self.context)
            self.conn.connect()
        return self.conn

    def send(self, method, path, body=None, headers=None, **query):
        out = {"Accept": "application/json", "User-Agent": self.agent}
        if self.token:
            out["Authorization"] = "Bearer " + self.token
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            out["Content-Type"] = "application/json"
        out.update(headers or {})
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        self.connect().request(method, path, body, out)

    def request(self, method, path, body=None, headers=None, **query):
        """(code, object or text)."""
        try:
            self.send(method, path, body, headers, **query)
            answer = self.conn.getresponse()
            self.headers = answer.headers
            self.body = answer.read()
        except Exception:
            self.close()
            raise
        if "application/json" in (answer.headers.get("Content-Type") or "") and \
                not answer.headers.get("Content-Encoding"):
            return answer.status, json.loads(self.body)
        return answer.status, self.body.decode("utf-8", "replace")

    def get(self, path, headers=None, **query):
        return self.request("GET", path, None, headers, **query)

    def patch(self, path, body, kind="merge-patch+json", **query):
        return self.request("PATCH", path, body, {"Content-Type": "application/" + kind}, **query)

    def watch(self, path, headers=None, **query):
        """Starts a watch on this connection; a Watch to read events from."""
        self.send("GET", path, None, headers, watch="1", **query)
        return Watch(self, self.conn.getresponse())

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None


class Watch:
    def __init__(self, client, answer):
        self.client, self.answer, self.code = client, answer, answer.status

    def line(self):
        """The next line as it is; b"" at the end."""
        return self.answer.readline()

    def event(self):
        """(type, object), or None when the watch has ended."""
        line = self.line()
        if not line:
            return None
        event = json.loads(line)
        return event["type"], event["object"]

    def events(self, n):
        return [self.event() for _ in range(n)]

    def names(self, n):
        """n events as "ADDED name"."""
        out = []
        for kind, obj in self.events(n):
            out.append(f"{kind} {obj['metadata'].get('name', '')}".strip())
        return out

    def rest(self):
        """All events until the end."""
        out = []
        while (event := self.event()) is not None:
            out.append(event)
        return out
