from __future__ import annotations

from tests.faults.findings import Findings


def test_what_must_not_be_is_counted_and_named():
    findings = Findings()
    findings.none_of("lost", [])
    assert (findings.counts["lost"], findings.broken) == (0, [])
    findings.none_of("lost", range(7))
    assert (findings.counts["lost"], findings.broken) == (7, ["lost: 0, 1, 2, 3, 4 ..."])


def test_what_takes_longer_than_allowed_is_broken():
    findings = Findings()
    findings.time("gone after", 1.0, limit=2.0)
    findings.time("gone after", 0.5)
    assert (findings.worst["gone after"], findings.broken) == (1.0, [])
    findings.time("gone after", 3.0, limit=2.0)
    assert findings.broken == ["gone after: 3.00 s, and at most 2.0 s are allowed"]


def test_findings_survive_json():
    findings = Findings()
    findings.none_of("lost", [1])
    findings.time("waited", 0.5)
    assert Findings.from_json(findings.to_json()) == findings
