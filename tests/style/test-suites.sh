#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests what becomes of a test that cannot run: suites.sh shows a suite or a part of
# it as skipped if it has said so, and a suite that runs nothing without a word has
# failed.  Only a module that was built without the interceptor excuses a suite that
# needs it.
#
#	test-suites.sh
#
# The suites, the guest and its kernel are stand-ins.
set -uo pipefail

tests=$(cd "$(dirname "$0")/.." && pwd)
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT
failed=0
why='the module was built without the interceptor'

wrong() {		# wrong WHAT SEEN
	echo "test-suites.sh: $1"
	printf '%s\n' "$2" | sed 's/^/    /'
	failed=1
}

# has WHAT SEEN REGEX...: each must match a line
has() {
	local what=$1 seen=$2 regex

	shift 2
	for regex; do
		grep -qE -- "$regex" <<<"$seen" ||
			wrong "$what: no line \"$regex\" in:" "$seen"
	done
}

# has_not WHAT SEEN REGEX
has_not() {
	! grep -qE -- "$3" <<<"$2" || wrong "$1: a line \"$3\" in:" "$2"
}

#----------------------------------------------------------------------
# suites.sh
#----------------------------------------------------------------------

# Stands for make; its last argument is the suite.
cat >"$house/make" <<END
#!/bin/bash
case \${!#} in
good)		echo "ok - one"; echo "3 passed, 0 failed" ;;
skipped)	echo "# SKIP $why"; echo "0 passed, 0 failed" ;;
part)		echo "# SKIP sharing: $why"; echo "# SKIP sharing: $why"
		echo "2 passed, 0 failed" ;;
nothing)	echo "0 passed, 0 failed" ;;
silent)		;;
uncounted)	echo "# SKIP $why" ;;
broken)		echo "# SKIP $why"; echo "0 passed, 0 failed"; exit 1 ;;
half)		echo "# SKIP $why"; echo "not ok - two"; echo "1 passed, 1 failed"
		exit 1 ;;
mentions)	echo "# what is SKIP?"; echo "ok - # SKIP $why"
		echo "0 passed, 0 failed" ;;
esac
END
chmod +x "$house/make"

# suites LANES STATUS SUITE...: runs them; the output goes to $seen
suites() {
	local lanes=$1 want=$2 status=0

	shift 2
	seen=$(BUILD=$house/build MAKE=$house/make LANES=$lanes \
		"$tests/suites.sh" "$@" 2>&1) || status=$?
	[ "$status" = "$want" ] || wrong "suites.sh $* ends with $status, not $want:" "$seen"
}

for lanes in 1 2; do
	suites $lanes 0 good skipped part
	has "skipped, $lanes at a time" "$seen" '^good +3 +0 ' \
		'^skipped +skipped ' '^part +2 +0 ' \
		"^ +skipped: $why\$" "^ +part: sharing: $why\$"
	has_not "skipped, $lanes at a time" "$seen" '(skipped|part) failed|ran no test'
	has "the last line" "$(tail -n 1 <<<"$seen")" '^5 passed, 0 failed$'
	[ "$(grep -c "^ *part: sharing: $why\$" <<<"$seen")" = 1 ] ||
		wrong "a reason is shown once:" "$seen"
done

suites 1 0 good
has_not "nothing is skipped" "$seen" '[Ss]kipped'

for suite in nothing silent uncounted mentions broken; do
	suites 1 1 good $suite
	has "$suite" "$seen" "^$suite +0 +1 " "^$suite failed;"
	has_not "$suite" "$seen" "^$suite +skipped"
	has "the last line" "$(tail -n 1 <<<"$seen")" '^3 passed, 1 failed$'
done

suites 1 1 half good
has "half" "$seen" '^half +1 +1 ' "^ +half: $why\$"
has "the last line" "$(tail -n 1 <<<"$seen")" '^4 passed, 1 failed$'

#----------------------------------------------------------------------
# Who says SKIP
#----------------------------------------------------------------------

# guest BUILT IN LOADS COMMAND: runs the command with a module that was BUILT with
# INTERCEPT=y or n, in whose symbols the interceptor is (y or n), and that can be
# loaded (y or n)
# shellcheck disable=SC2317
guest() {
	status=0
	seen=$(export VM_INTERCEPT=$1 in=$2 loads=$3
		modprobe() { [ "$loads" = y ]; }
		grep() { [ "$in" = y ]; }
		export -f modprobe grep
		bash -c "$4" 2>&1) || status=$?
}

ask=". '$tests/vm/lib.sh'; if has_interceptor; then echo has; else echo lacks; fi"
cache=". '$tests/cache/lib.sh'; echo begins; echo '1 passed, 0 failed'"

guest y y y "$ask"
[ "$status $seen" = "0 has" ] || wrong "a module with it:" "$status $seen"
guest n n y "$ask"
[ "$status $seen" = "0 lacks" ] || wrong "a module without it:" "$status $seen"
guest n n y "$cache"
[ "$status" = 0 ] || wrong "a suite of the cache is skipped:" "$status $seen"
has "a suite of the cache is skipped" "$seen" "^# SKIP $why\$" '^0 passed, 0 failed$'
has_not "a suite of the cache is skipped" "$seen" begins
guest y y y "$cache"
has "a suite of the cache runs" "$seen" '^begins$'

# The build had the interceptor and the module has not, or the other way; or nobody
# knows what the build had; or there is no module.
for world in "y n y" "n y y" "'' n y" "y n n" "n n n" "'' n n"; do
	for what in "$ask" "$cache"; do
		eval "guest $world \"\$what\""
		[ "$status" != 0 ] || wrong "$world is an error:" "$seen"
		has "$world" "$seen" '^not ok - '
		has_not "$world" "$seen" '^# SKIP|^(has|lacks|begins)$|passed'
	done
done

# The test of planted faults: the guest's end is no failure of its tests.
mkdir -p "$house/cache" "$house/vm"
cp "$tests/cache/faults.sh" "$house/cache/"
cat >"$house/vm/boot.sh" <<END
#!/bin/bash
case \$1 in
*FAULT=prove_nothing*)	echo "# SKIP $why"; exit \$STATUS ;;
*FAULT=show_early*)	exit 0 ;;
esac
END
chmod +x "$house/vm/boot.sh"
faults() {	# faults STATUS FAULT...: the guest that skips ends with this
	status=0
	seen=$(STATUS=$1 "$house/cache/faults.sh" "${@:2}" 2>&1) || status=$?
}

faults 0 prove_nothing
[ "$status" = 0 ] || wrong "a planted fault is skipped:" "$seen"
has "a planted fault is skipped" "$seen" "^# SKIP prove_nothing: $why\$" \
	'^0 passed, 0 failed$'
faults 98 prove_nothing
[ "$status" != 0 ] || wrong "a guest that dies is no skip:" "$seen"
has "a guest that dies is no skip" "$seen" '^0 passed, 1 failed$'
faults 0 show_early
[ "$status" != 0 ] || wrong "a fault that is not caught is no skip:" "$seen"
has "a fault that is not caught is no skip" "$seen" '^0 passed, 1 failed$'

exit $failed
