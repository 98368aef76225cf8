"""Judges attestations as the package pypi-attestations does: cases as JSON lines in, verdicts as JSON lines out.

A case: {"attestation": {…}, "publisher": {…}, "filename": "…", "sha256": "…", "staging": false}.
A verdict: {"ok": true} or {"ok": false, "why": "…"}. Nothing is fetched: its own embedded trusted roots are used.
"""

import json
import sys

from pydantic import TypeAdapter
from pypi_attestations import Attestation, Distribution, Publisher
from sigstore.verify.policy import UnsafeNoOp


def judge(case):
    try:
        attestation = Attestation.model_validate(case["attestation"])
        if case["publisher"] is None:  # a single attestation: nobody is named beside it
            publisher = UnsafeNoOp()
        else:
            publisher = TypeAdapter(Publisher).validate_python(case["publisher"])
        distribution = Distribution(name=case["filename"], digest=case["sha256"])
        attestation.verify(publisher, distribution, staging=case["staging"], offline=True)
        return {"ok": True}
    except Exception as error:  # every way of refusing is a refusal
        return {"ok": False, "why": f"{type(error).__name__}: {error}"[:300]}


for line in sys.stdin:
    print(json.dumps(judge(json.loads(line))), flush=True)
