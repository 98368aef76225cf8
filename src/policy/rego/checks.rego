# What one check of the gate found, and the objection that follows when it is not what was asked.
package chiron.checks

passes(name) if input.checks[name].outcome == "pass"

absent(name) if input.checks[name].outcome == "absent"

# Structure and hashes passed: the other checks looked at the file at all.
sound if {
	passes("structure")
	hashed
}

hashed if passes("hashes")

hashed if {
	absent("hashes")
	input.handed_in == true
}

# The objection to a check that does not have the outcome it should have. Proven bad: refuse. Everything else, which
# is what could not be shown to be good: quarantine.
objection(name) := {
	"requirement": name,
	"check": name,
	"code": "no-evidence",
	"message": "the check did not run on this content",
	"decision": "quarantine",
} if {
	not input.checks[name]
}

objection(name) := {
	"requirement": name,
	"check": name,
	"code": code(name),
	"message": message(name),
	"decision": decision(input.checks[name].outcome),
} if {
	input.checks[name]
}

decision(outcome) := "refuse" if outcome == "fail"

decision(outcome) := "quarantine" if outcome != "fail"

code(name) := finding_code(name) if input.checks[name].outcome == "fail"

code(name) := "absent" if input.checks[name].outcome == "absent"

code(name) := "could-not-check" if input.checks[name].outcome == "error"

code(name) := "skipped" if input.checks[name].outcome == "skipped"

# It passed, and the policy wants more than that.
code(name) := "not-accepted" if input.checks[name].outcome == "pass"

# The first of the check's findings, which names the defect.
default finding_code(_) := "failed"

finding_code(name) := input.checks[name].facts.findings[0].code

default message(_) := "the check says nothing more"

message(name) := input.checks[name].summary if input.checks[name].summary != ""
