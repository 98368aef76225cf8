# What is no defect of the bytes: age, licence, yank.
package chiron.circumstances

import data.settings

# --- minimum age, by the clock that the site names ---

default old_enough := false

old_enough if settings.minimum_age_seconds == 0

old_enough if age >= settings.minimum_age_seconds

# Names that the site owns have no upstream to wait for.
old_enough if {
	input.owned == true
	input.handed_in == true
}

# A release that is named as the fix of a known-exploited hole need not wait.
old_enough if {
	some record in input.checks.advisories.facts.fixes
	record.kev == true
}

age := input.age.later if settings.minimum_age_clock == "later"

age := input.age.first_sight if settings.minimum_age_clock == "first-sight"

age := input.age.upload if {
	settings.minimum_age_clock == "upload"
	input.age.upload != null
}

age := input.age.first_sight if {
	settings.minimum_age_clock == "upload"
	input.age.upload == null
}

objections contains {
	"requirement": "age",
	"check": "policy",
	"code": "too-young",
	"message": sprintf("it is %d seconds old by the clock %s, and must be %d", [age, settings.minimum_age_clock, settings.minimum_age_seconds]),
	"decision": "quarantine",
} if {
	not old_enough
}

# --- licence ---

default licensed := false

licensed if input.licence.standing in {"not-asked", "allowed"}

objections contains {
	"requirement": "licence",
	"check": "policy",
	"code": "licence-denied",
	"message": sprintf("its licence is %s, which this site does not admit", [input.licence.expression]),
	"decision": "quarantine",
} if {
	input.licence.standing == "denied"
}

objections contains {
	"requirement": "licence",
	"check": "policy",
	"code": "licence-unknown",
	"message": "it states no licence that SPDX knows, so the rules of this site on licences (policy.licences_allow, policy.licences_deny) cannot be applied",
	"decision": "quarantine",
} if {
	input.licence.standing == "unknown"
}

# --- yank (PEP 592) ---

default not_yanked := false

not_yanked if input.yanked == null

not_yanked if settings.yanked == "admit"

objections contains {
	"requirement": "yanked",
	"check": "policy",
	"code": "yanked",
	"message": sprintf("it was yanked: %s", [reason]),
	"decision": "quarantine",
} if {
	not not_yanked
	reason := yank_reason
}

yank_reason := "no reason given" if input.yanked == ""

yank_reason := input.yanked if input.yanked != ""
