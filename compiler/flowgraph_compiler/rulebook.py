"""The rule book: codes are stable once shipped, new rules take new numbers. Each has one page, `rules/<code>.md`.

A rule stands here when it is emitted somewhere; a test demands its page, a failing and a repaired example.
"""

from __future__ import annotations

from flowgraph_compiler.diagnostics import Level, Rule

_LEVELS = {"E": Level.ERROR, "W": Level.WARNING, "N": Level.NOTE}

_TABLE = """
FG001 E syntax-error
FG100 E construct-not-in-language
FG101 E source-not-available
FG102 E workflow-not-module-level
FG103 E step-not-module-level
FG104 E decorated-workflow
FG105 E sync-workflow
FG106 E trigger-parameter-mismatch
FG107 E variadic-parameters
FG108 E non-constant-default
FG109 W bad-allowance
FG110 E foreign-await
FG111 E shadowed-callable
FG112 E unknown-callee
FG113 E step-not-awaited
FG114 E step-as-value
FG115 E star-arguments
FG116 E recursive-subflow
FG121 E await-in-lambda
FG122 E await-in-fan-out-element
FG123 E await-in-case-guard
FG124 E await-in-default-or-decorator
FG125 E leaves-finally
FG127 E except-star
FG128 E cancelled-swallowed
FG130 E fan-out-element-not-a-call
FG131 E stored-function
FG132 E stored-iterator
FG140 E nondeterministic-call
FG141 E identity-test
FG142 E set-iteration
FG143 E mutated-while-iterated
FG144 E parameter-mutated
FG150 E value-not-storable
FG151 E naive-datetime
FG152 E private-attributes
FG160 E unresolvable-annotation
FG161 E missing-annotation
FG162 E type-not-inferable
FG163 E type-too-wide
FG170 E argument-type
FG171 E missing-argument
FG172 E unknown-argument
FG173 E return-type
FG174 E possibly-none
FG201 W unreachable
FG202 E no-path-to-end
FG203 W can-only-fail
FG204 E busy-loop
FG205 W poll-without-pause
FG210 E possibly-unbound
FG211 N result-unused
FG212 E match-not-exhaustive
FG213 W constant-condition
FG214 W may-divide-by-zero
FG220 N wait-without-timeout
FG221 W event-nobody-sends
FG222 W event-nobody-consumes
FG223 E where-never-true
FG224 W event-may-be-missed
FG230 W effect-not-undone
FG231 W retried-not-idempotent
FG232 N argument-mutated-after-call
FG240 W grows-in-endless-loop
FG241 N state-may-exceed-limit
FG250 E duplicate-name
FG260 E workflow-cycle
FG261 E limit-deadlock
FG301 E key-type
FG310 E cron-invalid
FG311 E cron-never-fires
FG312 E unknown-time-zone
FG320 E option-out-of-range
FG321 E bad-duration
FG322 E options-exclude
FG323 E option-not-executed
FG324 E resource-out-of-reach
FG400 E live-step-removed
FG401 E live-parameter-added
FG402 E live-parameter-narrowed
FG403 E live-result-changed
FG404 E live-field-required
FG405 E live-event-field-gone
FG406 E live-exception-renamed
FG500 E invariant-broken
FG501 W invariant-unknown
"""

RULES: dict[str, Rule] = {
    code: Rule(code, name, _LEVELS[level]) for code, level, name in (line.split() for line in _TABLE.split("\n") if line)
}
