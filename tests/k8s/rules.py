"""Alerts and dashboard: their expressions parse, fire where they should, and use metrics that exist."""

import json
import re
import shutil
import subprocess

import manifests
from manifests import HERE, K8S, WORK
from program import Program, events, get, wait_for
from report import equal, expect
from service import Service

PROMTOOL = WORK / "tools/usr/bin/promtool"
RULES = WORK / "rules/rules.yaml"
MONITORING = K8S / "components/monitoring"
# What Prometheus adds to each series, and to each target.
TARGET_LABELS = {"namespace", "pod", "job", "le"}
METRIC = re.compile(r"\b(?:sse|ssequel)_\w+\b|\blast_event_id_mismatch_total\b|\bduplicate_delivery_rate\b")


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], cwd=RULES.parent, capture_output=True, text=True, timeout=600, check=False)
    expect(done.returncode == 0, (done.stdout + done.stderr).strip())


def reference():
    """metrics.md: name → (type, labels, needs)."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| ([\w, ]*?) ?\| [^|]+ \|$", (K8S / "metrics.md").read_text(), re.M)
    return {name: (kind, {l for l in labels.split(", ") if l}, {n for n in needs.split(", ") if n})
            for name, kind, labels, needs in rows}


def base_name(name, known):
    """A histogram's series are named after it."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if name not in known and known.get(stem, ("",))[0] == "histogram" else name


def alerts():
    spec = manifests.only(manifests.load(MONITORING / "alerts.yaml")[0], "PrometheusRule")["spec"]
    return [rule for group in spec["groups"] for rule in group["rules"]]


def write_rules():
    shutil.rmtree(RULES.parent, ignore_errors=True)
    RULES.parent.mkdir(parents=True)
    spec = manifests.only(manifests.load(MONITORING / "alerts.yaml")[0], "PrometheusRule")["spec"]
    RULES.write_text(json.dumps(spec))
    promtool("check", "rules", "--lint-fatal", RULES)


def test_rules():
    shutil.copy(HERE / "alerts_test.yaml", RULES.parent)
    promtool("test", "rules", "alerts_test.yaml")
    tested = manifests.load(HERE / "alerts_test.yaml")[0][0]["tests"]
    firing = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    equal(firing, {rule["alert"] for rule in alerts()}, "alerts that a test sees firing")


def runbook():
    headings = set(re.findall(r"^### (\w+)$", (K8S / "runbook.md").read_text(), re.M))
    equal(headings, {rule["alert"] for rule in alerts()}, "the runbook's headings")
    for rule in alerts():
        equal(rule["annotations"]["runbook"], f"k8s/runbook.md#{rule['alert'].lower()}", rule["alert"])
        expect(rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"])


def dashboard():
    return json.loads((MONITORING / "dashboard.json").read_text())


def panels():
    """(panel's title, expression), with Grafana's variables replaced by what they may stand for."""
    found = []
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m")
            found.append((panel["title"], re.sub(r"\$(namespace|pod|route)\b", ".*", expression)))
    return found


def dashboard_is_whole():
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    equal(len(set(ids)), len(ids), "panels with an id of their own")
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in board["panels"]]
    for i, (x, y, w, h) in enumerate(places):
        expect(0 <= x and x + w <= 24, f"panel {ids[i]} is beside the grid")
        for a, b, c, d in places[:i]:
            expect(x + w <= a or a + c <= x or y + h <= b or b + d <= y, f"panel {ids[i]} covers another")
    for title, expression in panels():
        expect("$" not in expression, f"{title}: an unknown variable in {expression}")
    rules = [{"record": f"dashboard:expression:{number}", "expr": expression}
             for number, (_, expression) in enumerate(panels())]
    path = RULES.parent / "dashboard.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)
    # The check can fail.
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [{"record": "a", "expr": "sum by (route ("}]}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", path], capture_output=True, check=False)
    expect(done.returncode != 0, "promtool accepts nonsense")


def used(expression, known):
    """The metrics of an expression, each with the labels that it is selected by."""
    for name in METRIC.finditer(expression):
        rest = expression[name.end():]
        selector = re.match(r"\{(.*?)\}", rest)
        labels = set(re.findall(r"(\w+) *[=!]~?", selector[1])) if selector else set()
        yield base_name(name[0], known), labels


def metrics_are_known():
    known = reference()
    on_board = set()
    for title, expression in [*panels(), *((rule["alert"], rule["expr"]) for rule in alerts())]:
        found = list(used(expression, known))
        expect(found, f"{title}: no metric in {expression}")
        labels_of_all = set().union(*(known[name][1] for name, _ in found if name in known), TARGET_LABELS)
        for name, labels in found:
            expect(name in known, f"{title}: there is no metric {name}")
            extra = labels - known[name][1] - TARGET_LABELS
            expect(not extra, f"{title}: {name} has no label {extra}")
        for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            extra = {label.strip() for label in group.split(",")} - labels_of_all
            expect(not extra, f"{title}: grouped by {extra}, which no metric has")
    for _, expression in panels():
        on_board |= {name for name, _ in used(expression, known)}
    equal(on_board, set(known), "metrics on the dashboard")


def traffic(program):
    """Something of everything that can be caused in a moment."""
    first = events(program.port, 20)
    events(program.port, 10, last=first[4])
    events(program.port, 1, last="nonsense")
    own = events(program.port, 5, path="/events/own")
    events(program.port, 1, last=own[0], path="/events/own")
    get(program.port, "/plain")


def metrics_are_real(binary):
    """Each metric of the program is in the reference, with its type and labels, and the other way round."""
    known = reference()
    with Service() as service, Program(binary, service.port) as program:
        traffic(program)
        text = wait_for("metrics", lambda: get(program.admin, "/metrics")[1])
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    labels = {name: set() for name in kinds}
    for name, pairs in re.findall(r"^(\w+)(?:\{(.*)\})? [^ ]+$", text, re.M):
        labels[base_name(name, known)] |= set(re.findall(r'(\w+)="', pairs)) - {"le"}
    for name, kind in kinds.items():
        expect(name in known, f"{name} is not in k8s/metrics.md")
        equal((kind, labels[name]), known[name][:2], name)
    missing = {name for name in set(known) - set(kinds) if not known[name][2] or "disk" in known[name][2]}
    expect(not missing, f"in k8s/metrics.md, and not in the program: {missing}")


def run(report, given):
    report.check("the alerts are rules that promtool accepts", write_rules)
    report.check("each alert fires where it should and nowhere else", test_rules)
    report.check("each alert has its paragraph in the runbook", runbook)
    report.check("the dashboard's panels have their places, and their expressions parse", dashboard_is_whole)
    report.check("alerts and dashboard use metrics that exist, and the dashboard has all of them", metrics_are_known)
    report.check("the reference of metrics is what the program says", metrics_are_real, given.binary.resolve())
