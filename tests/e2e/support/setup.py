"""The beginnings that many cases share."""

from .clients import Client
from .proxy import Proxy
from .relay import Relay
from .upstreams import Upstream, routes

SHARED = """
- name: feed
  match: {path: /events, accept: any}
  mode: shared
  key: [path]
  ids: {start: 1}
  start_at: oldest
  retry: 30ms
  linger: 60s
  reconnect: {min: 20ms, max: 200ms}
"""

SESSION = """
- name: personal
  match: {path: /events}
  mode: session
  retry: 30ms
"""

ROUTES = {"shared": SHARED, "session": SESSION}


async def page(exchange):
    """A page of the service itself, so that a browser's EventSource is of the same origin."""
    await exchange.respond(200, b"<!doctype html><title>page</title><p>page", [("Content-Type", "text/html")])


async def hello(exchange):
    await exchange.respond(200, b"hello\n", [("Content-Type", "text/plain")])


async def start_upstream(t, table=None, **more):
    """An Upstream with /page and /hello besides what `table` names."""
    upstream = await t.enter(Upstream(routes({"/page": page, "/hello": hello, **(table or {})}), **more))
    t.on_failure(lambda: f"upstream: {len(upstream.requests)} requests, errors {upstream.errors}")
    return upstream


async def start_proxy(t, upstream, **more):
    """The proxy in front of an Upstream (or a URL)."""
    proxy = await t.enter(Proxy(t.binary, t.folder, getattr(upstream, "url", upstream), **more))
    t.on_failure(lambda: "proxy's last log lines:\n" + proxy.log)
    return proxy


async def start_relay(t, port, **more):
    return await t.enter(Relay(port, random=t.random, **more))


async def start_client(t, library, port, path="/events", page_port=None, **options):
    return await t.enter(
        Client(library, f"http://127.0.0.1:{port}{path}", page=f"http://127.0.0.1:{page_port or port}/page",
               options=options)
    )
