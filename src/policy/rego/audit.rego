# The profile `audit`: structure and hashes. Everything else is looked at and recorded, and keeps nothing out.
package chiron.profile

import data.chiron.checks

decision := {
	"admit": admit,
	"requirements": requirements,
	"objections": objections,
}

default admit := false

admit if {
	structure_ok
	hashes_ok
}

requirements := {
	"structure": structure_ok,
	"hashes": hashes_ok,
}

default structure_ok := false

structure_ok if checks.passes("structure")

# A file that the operator hands in has no publisher who could have stated its digest.
default hashes_ok := false

hashes_ok if checks.hashed

objections contains checks.objection("structure") if not structure_ok

objections contains checks.objection("hashes") if not hashes_ok
