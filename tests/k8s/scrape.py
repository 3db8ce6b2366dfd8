"""A real Prometheus scrapes the program, evaluates the alerts, and answers what the dashboard's panels ask."""

import json
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

import rules
from manifests import WORK
from program import PATIENCE, Program, free_port, get, stay, wait_for
from report import expect
from service import Service

PROMETHEUS = WORK / "tools/usr/bin/prometheus"


class Prometheus:
    """Scrapes one target each half second. Use as a context."""

    def __init__(self, admin):
        self.admin, self.port = admin, free_port()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ssequel-prometheus-")
        home = Path(self.folder.name)
        (home / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"},
            "rule_files": [str(rules.RULES)],
            "scrape_configs": [{"job_name": "ssequel", "static_configs": [
                {"targets": [f"127.0.0.1:{self.admin}"], "labels": {"namespace": "shop", "pod": "app-0"}}]}]}))
        self.log = (home / "log").open("wb")
        self.process = subprocess.Popen(
            [PROMETHEUS, f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stderr=self.log, stdout=self.log)
        wait_for("Prometheus", lambda: get(self.port, "/-/ready")[0] == 200 or self.process.poll() is not None)
        expect(self.process.poll() is None, (home / "log").read_text())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self.log.close()
        self.folder.cleanup()

    def ask(self, what, **query):
        status, text = get(self.port, f"/api/v1/{what}?{urllib.parse.urlencode(query)}")
        answer = json.loads(text)
        expect(status == 200 and answer["status"] == "success", f"{query}: {text}")
        return answer["data"]


def watched(binary):
    known = rules.reference()
    with Service() as service, Program(binary, service.port) as program, Prometheus(program.admin) as prometheus:
        # Clients that stay, so that gauges are not 0 and rates go on.
        for path in ("/events", "/events/own"):
            stay(program.port, path)
        rules.traffic(program)
        # Two scrapes after the traffic: a rate needs them.
        scrapes = 'count_over_time(sse_reconnect_total{route="feed"}[1m]) > 4 and sse_reconnect_total{route="feed"} > 1'
        wait_for("scrapes", lambda: prometheus.ask("query", query=scrapes)["result"])
        rules.traffic(program)
        wait_for("a rate", lambda: prometheus.ask(
            "query", query='sum(rate(sse_reconnect_total{route="feed"}[20s])) > 0')["result"])
        for title, expression in rules.panels():
            found = prometheus.ask("query", query=expression.replace("[1m]", "[20s]"))["result"]
            # Which stores a metric needs: this program has one on disk.
            there = all(not known[name][2] or "disk" in known[name][2] for name, _ in rules.used(expression, known))
            expect(found or not there, f"{title}: nothing to show for {expression}")
        groups = wait_for("the rules' evaluation", lambda: [
            group for group in prometheus.ask("rules")["groups"]
            if all(rule["health"] != "unknown" for rule in group["rules"])])
        for rule in groups[0]["rules"]:
            expect(rule["health"] == "ok", f"{rule['name']}: {rule.get('lastError')}")
        urgent = [alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]
                  if alert["state"] == "firing"]
        expect(not urgent, f"alerts for a program that is well: {urgent}")


def run(report, given):
    rules.write_rules()
    report.check("Prometheus takes the alerts, and each panel has something to show", watched, given.binary.resolve())
