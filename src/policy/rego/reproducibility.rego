# How far a wheel follows from its source.
package chiron.reproducibility

import data.chiron.checks

facts := input.checks.reproducibility.facts

# The levels that a wheel must have at least to be called `generator` or better.
rebuilt := {"bit", "time", "container", "generator"}

# A source distribution is the source.
is_source if {
	input.file.kind == "sdist"
	checks.absent("reproducibility")
}

# The objection to a level below what the profile asks.
objection := {
	"requirement": "reproducibility",
	"check": "reproducibility",
	"code": "rebuild-pending",
	"message": "it must be rebuilt from its source first; this happens by itself",
	"decision": "quarantine",
} if {
	not proven_bad
	facts.rebuild == "wanted"
} else := {
	"requirement": "reproducibility",
	"check": "reproducibility",
	"code": "rebuild-unavailable",
	"message": sprintf("%s; it would have to be rebuilt from its source, and nothing on this machine can: see chiron doctor", [input.checks.reproducibility.summary]),
	"decision": "quarantine",
} if {
	not proven_bad
	facts.rebuild == "unavailable"
} else := {
	"requirement": "reproducibility",
	"check": "reproducibility",
	"code": "differs",
	"message": input.checks.reproducibility.summary,
	"decision": "quarantine",
} if {
	proven_bad
} else := {
	"requirement": "reproducibility",
	"check": "reproducibility",
	"code": "level-too-low",
	"message": sprintf("%s; the policy asks for the level generator or better", [input.checks.reproducibility.summary]),
	"decision": "quarantine",
} if {
	checks.passes("reproducibility")
} else := checks.objection("reproducibility")

proven_bad if input.checks.reproducibility.outcome == "fail"
