# A project that had signatures and stops having them, or reached a level and falls below it.
package chiron.history

default ok := false

ok if {
	input.history.downgrade_since == null
	input.history.regression_from == null
}

objections contains {
	"requirement": "history",
	"check": "signature",
	"code": "downgrade",
	"message": sprintf("files of this project are signed since %s, and this one is not", [input.history.downgrade_since]),
	"decision": "quarantine",
} if {
	input.history.downgrade_since != null
}

objections contains {
	"requirement": "history",
	"check": "reproducibility",
	"code": "regression",
	"message": sprintf("%s reached the level %s, and the rebuild of this file does not", [input.history.regression_since, input.history.regression_from]),
	"decision": "quarantine",
} if {
	input.history.regression_from != null
}
