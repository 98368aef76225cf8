# The profile `standard`: structure and hashes pass; what was published beside a file must verify; a pure wheel whose
# source is published must follow from it; nothing known to be bad.
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

# A file that the operator hands in has no publisher who could have stated its digest.
default hashes_ok := false

hashes_ok if checks.hashed

# A published attestation must verify; many projects publish none.
default signature_ok := false

signature_ok if checks.passes("signature")

signature_ok if checks.absent("signature")

# Published and sound, or written here. A source distribution is the source.
default sbom_ok := false

sbom_ok if checks.passes("sbom")

sbom_ok if {
	checks.absent("sbom")
	input.checks.sbom.facts.origin == "generated"
}

sbom_ok if {
	checks.absent("sbom")
	input.file.kind == "sdist"
}

# Traced to its source or rebuilt from it, where a source was published. Of compiled wheels the level is recorded only:
# compilers differ more than people do.
default reproducibility_ok := false

reproducibility_ok if checks.passes("reproducibility")

reproducibility_ok if checks.absent("reproducibility")

reproducibility_ok if {
	input.checks.reproducibility.outcome in {"fail", "error"}
	input.checks.reproducibility.facts.pure == false
}

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
