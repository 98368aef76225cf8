# Known vulnerabilities and malware.
package chiron.advisories

import data.chiron.checks
import data.settings

# Worst first. A severity that nobody stated is not on the scale: settings.unknown_severity says what follows.
scale := ["critical", "high", "medium", "low", "none"]

rank[severity] := place if some place, severity in scale

default ok := false

ok if checks.passes("advisories")

ok if {
	checks.absent("advisories")
	settings.advisories_required == false
}

ok if {
	input.checks.advisories.outcome == "fail"
	every record in input.checks.advisories.facts.matched {
		tolerated(record)
	}
}

# A vulnerability that need not keep the file out.
tolerated(record) if excused(record)

tolerated(record) if {
	record.malware == false
	record.kev == false
	mild(record.severity)
}

# A VEX statement says that the product is not affected. Malware is not excused by anybody's word.
excused(record) if {
	record.malware == false
	record.vex.status in {"not_affected", "fixed"}
}

mild(severity) if rank[severity] >= rank[settings.maximum_severity]

mild(severity) if {
	severity == "unknown"
	settings.unknown_severity == "admit"
}

objections contains checks.objection("advisories") if {
	not ok
	not input.checks.advisories.outcome == "fail"
}

objections contains objection(record, "malware", "refuse", sprintf("%s: this release is malware", [record.id])) if {
	some record in input.checks.advisories.facts.matched
	record.malware == true
}

objections contains objection(record, "known-exploited", "quarantine", sprintf("%s: known to be exploited%s", [record.id, remedy(record)])) if {
	some record in input.checks.advisories.facts.matched
	record.malware == false
	record.kev == true
	not excused(record)
}

objections contains objection(record, record.severity, "quarantine", sprintf("%s: a vulnerability of severity %s%s", [record.id, record.severity, remedy(record)])) if {
	some record in input.checks.advisories.facts.matched
	record.malware == false
	record.kev == false
	not tolerated(record)
}

# The check failed, and for none of the reasons above.
objections contains {
	"requirement": "advisories",
	"check": "advisories",
	"code": "not-accepted",
	"message": input.checks.advisories.summary,
	"decision": "quarantine",
} if {
	input.checks.advisories.outcome == "fail"
	not ok
	not input.checks.advisories.facts.matched[0]
}

objection(record, code, decision, message) := {
	"requirement": "advisories",
	"check": "advisories",
	"code": named(code),
	"message": message,
	"decision": decision,
}

named(code) := "severity-unknown" if code == "unknown"

named(code) := code if code != "unknown"

remedy(record) := sprintf("; fixed in %s", [concat(", ", record.fixed_in)]) if count(record.fixed_in) > 0

default remedy(_) := ""
