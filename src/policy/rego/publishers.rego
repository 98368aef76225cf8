# Who signed, and who may. `publisher` in a provenance document is the index's word and counts for nothing here.
package chiron.publishers

import data.chiron.checks

verified contains attestation if {
	some attestation in input.checks.signature.facts.attestations
	attestation.verified == true
}

by_key contains attestation if {
	some attestation in verified
	attestation.kind == "key"
}

default ok := false

# The site has no rule for the project, and the name is not the site's own.
ok if {
	count(input.publishers) == 0
	input.owned == false
}

# Without a rule, only a key of the trust roots may sign a name that the site owns; nobody else may.
ok if {
	count(input.publishers) == 0
	input.owned == true
	input.handed_in == true
	every attestation in verified {
		attestation.kind == "key"
	}
}

ok if {
	some rule in input.publishers
	rule.satisfied == true
	checks.passes("signature")
}

objections contains {
	"requirement": "identity",
	"check": "signature",
	"code": "wrong-publisher",
	"message": sprintf("it is signed, but not by the publisher that %s asks for: %v", [wanted, input.publishers[0].requires]),
	"decision": "refuse",
} if {
	not ok
	checks.passes("signature")
	wanted := input.publishers[0].rule
}

objections contains {
	"requirement": "identity",
	"check": "signature",
	"code": "publisher-required",
	"message": sprintf("%s names who may sign this project, and no attestation of the file verified", [input.publishers[0].rule]),
	"decision": "quarantine",
} if {
	not ok
	not checks.passes("signature")
	input.publishers[0]
}

objections contains {
	"requirement": "identity",
	"check": "signature",
	"code": "publisher-unknown",
	"message": "the name is owned by this site, and none of its rules or keys stands for who signed the file; add a [[publisher]]",
	"decision": "quarantine",
} if {
	not ok
	count(input.publishers) == 0
	input.handed_in == true
}

objections contains {
	"requirement": "identity",
	"check": "policy",
	"code": "owned-name",
	"message": "the name is owned by this site, and the file came from somewhere else",
	"decision": "refuse",
} if {
	not ok
	input.owned == true
	input.handed_in == false
}
