#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the static checks.  Each file is a test; the complaints about it are shown.
#
#	run.sh format FILE...		clang-format, by .clang-format
#	run.sh tidy 'FLAGS' FILE...	clang-tidy, by the nearest .clang-tidy
#	run.sh checkpatch SCRIPT FILE...
#	run.sh doc FILE...		docutils, which must print no remark at all
#	run.sh floors BUILD		floors.sh, which is shown, and the test of it
#	run.sh says FILE...		the file prints nothing without the pool's name
#	run.sh suites			the test of suites.sh
#	run.sh total			prints the counts of all; fails if one failed
#
# STYLE_LOG is the file that collects the results.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${STYLE_LOG:?}"

one() {			# one FILE COMMAND...
	local file=$1 said

	shift
	if said=$("$@" 2>&1); then
		echo "ok $file" >>"$STYLE_LOG"
	else
		echo "bad $file" >>"$STYLE_LOG"
		grep -vE 'warnings? generated|^Suppressed|^Use -header' <<<"$said"
	fi
}

tidy() {		# tidy FLAGS FILE
	local flags

	read -r -a flags <<<"$1"
	one "$2" clang-tidy --quiet "$2" -- "${flags[@]}"
}

doc() {			# doc FILE
	one "$1" rst2html --strict --report=info "$1" /dev/null
}

# says FILE: hpm_err() and its sisters in engine.h put the name in front.
says() {
	! grep -nHE '\<(pr_[a-z_]+|printk)\(' "$1"
}

export -f one tidy doc says
export STYLE_LOG

each() {		# each FILE... <<< the rest of the command
	printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -I{} bash -c "$command"
}

kind=$1
shift
case $kind in
format)
	command='one {} clang-format --dry-run -Werror {}' each "$@"
	;;
tidy)
	export FLAGS=$1
	shift
	command='tidy "$FLAGS" {}' each "$@"
	;;
checkpatch)
	export CHECK="$here/../vm/checkpatch.sh $1"
	shift
	command='one {} $CHECK {}' each "$@"
	;;
doc)
	command='doc {}' each "$@"
	;;
says)
	command='one {} says {}' each "$@"
	;;
floors)
	shown() {
		"$here/floors.sh" "$1" >&3
	}
	one "$here/floors.list" shown "$1" 3>&1
	one "$here/floors.sh" "$here/test-floors.sh" "$1"
	;;
suites)
	one "$here/../suites.sh" "$here/test-suites.sh"
	;;
total)
	passed=$(grep -c '^ok ' "$STYLE_LOG")
	failed=$(grep -c '^bad ' "$STYLE_LOG")
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	;;
esac
