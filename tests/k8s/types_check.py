"""Checks manifests against the Kubernetes API's own types.

Each document becomes a literal of its type in TypeScript, and the compiler says what it makes of it: in a literal no field may
be unknown, at any depth. Types: npm kubernetes-types (made from the API's OpenAPI description), and for the Prometheus
operator's kinds npm @kubernetes-models/prometheus-operator.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
OPERATOR = "monitoring.coreos.com"


def type_of(document):
    """(module, name) of the type for a document."""
    group, _, version = document["apiVersion"].rpartition("/")
    kind = document["kind"]
    if group == OPERATOR:
        return f"@kubernetes-models/prometheus-operator/{OPERATOR}/{version}/{kind}", f"I{kind}"
    return f"kubernetes-types/{(group or 'core').removesuffix('.k8s.io')}/{version}", kind


def check(documents, folder):
    """documents: name → document. Returns name → what is wrong with it, for those that are wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # The compiler looks for types beside the files.
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    names = {}
    for name, document in documents.items():
        module, kind = type_of(document)
        stem = re.sub(r"[^A-Za-z0-9.-]", "_", name)
        names[stem] = name
        (folder / f"{stem}.ts").write_text(
            f"import type {{{kind}}} from {json.dumps(module)};\n"
            f"export const document: {kind} = {json.dumps(document, indent=1)};\n")
    done = subprocess.run(
        ["node", HERE / "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022",
         "--module", "esnext", "--moduleResolution", "bundler", "--pretty", "false",
         *(f"{stem}.ts" for stem in names)],
        cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    wrong = {}
    for line in done.stdout.splitlines():
        found = re.match(r"(.+?)\.ts\(\d+,\d+\): (error .*)", line)
        if found and found[1] in names:
            wrong.setdefault(names[found[1]], found[2])
        elif found or line.startswith("error"):
            raise RuntimeError(f"the compiler itself fails: {line}")
    if done.returncode != 0 and not wrong:
        raise RuntimeError(f"the compiler itself fails: {done.stdout}{done.stderr}")
    return wrong
