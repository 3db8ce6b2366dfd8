"""What the end-to-end cases are written with: processes, raw HTTP, a cutting relay, upstreams, the proxy, a checker."""
