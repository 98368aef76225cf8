# The profile `strict`: everything must be there and verify. A signature, a published bill of materials, hashes, and a
# rebuild of the level `generator` or better; nothing known to be bad.
package chiron.profile

import data.chiron.advisories
import data.chiron.checks
import data.chiron.circumstances
import data.chiron.history
import data.chiron.publishers
import data.chiron.reproducibility

decision := {
	"admit": admit,
	"requirements": requirements,
	"objections": objections,
}

default admit := false

admit if {
	structure_ok
	hashes_ok
	signature_ok
	sbom_ok
	reproducibility_ok
	advisories.ok
	publishers.ok
	history.ok
	circumstances.old_enough
	circumstances.licensed
	circumstances.not_yanked
}

requirements := {
	"structure": structure_ok,
	"hashes": hashes_ok,
	"signature": signature_ok,
	"sbom": sbom_ok,
	"reproducibility": reproducibility_ok,
	"advisories": advisories.ok,
	"identity": publishers.ok,
	"history": history.ok,
	"age": circumstances.old_enough,
	"licence": circumstances.licensed,
	"yanked": circumstances.not_yanked,
}

default structure_ok := false

structure_ok if checks.passes("structure")

# Somebody must have stated the digest, also of a file that the operator hands in.
default hashes_ok := false

hashes_ok if checks.passes("hashes")

default signature_ok := false

signature_ok if checks.passes("signature")

# Published and sound. A source distribution is the source.
default sbom_ok := false

sbom_ok if checks.passes("sbom")

sbom_ok if {
	checks.absent("sbom")
	input.file.kind == "sdist"
}

# Rebuilt from its source, and the same but for the generator's name. A source distribution is the source.
default reproducibility_ok := false

reproducibility_ok if {
	checks.passes("reproducibility")
	input.checks.reproducibility.facts.level in reproducibility.rebuilt
}

reproducibility_ok if reproducibility.is_source

objections contains checks.objection("structure") if not structure_ok

objections contains checks.objection("hashes") if not hashes_ok

# When the bytes themselves are bad nothing further looked at them, and there is nothing more to say.
objections contains checks.objection("signature") if {
	checks.sound
	not signature_ok
}

objections contains checks.objection("sbom") if {
	checks.sound
	not sbom_ok
}

objections contains reproducibility.objection if {
	checks.sound
	not reproducibility_ok
}

objections contains objection if {
	checks.sound
	some objection in advisories.objections
}

objections contains objection if {
	checks.sound
	some objection in publishers.objections
}

objections contains objection if {
	checks.sound
	some objection in history.objections
}

objections contains objection if {
	checks.sound
	some objection in circumstances.objections
}
