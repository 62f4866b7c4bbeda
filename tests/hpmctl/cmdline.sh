#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests hpmctl's command line as far as it needs no device-mapper: help, wrong
# usage, exit statuses, errors in JSON.  The output is TAP.
set -uo pipefail

hpmctl=${HPMCTL:?}
out=$(mktemp)
err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT
n=0

ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$out" "$err"
	fi
}

# expect <status> <words in the output> <argument>...
expect() {
	local want=$1 words=$2 status bad=0
	shift 2
	"$hpmctl" "$@" >"$out" 2>"$err" </dev/null
	status=$?
	[ $status = "$want" ] || bad=1
	grep -qF -- "$words" "$out" "$err" || bad=1
	ok $bad "hpmctl $*: status $status"
}

expect 0 'Commands:' --help
expect 0 'Commands:' help
expect 0 'on-disk format' --version
expect 0 'volume snapshot' volume --help
expect 0 'Examples:' help pool create
expect 2 'a command is missing'
expect 2 'there is no command frob' frob
expect 2 'pool needs a command' pool
expect 2 'there is no command pool frob' pool frob
expect 2 'missing arguments' pool create
expect 2 'too many arguments' pool create a b
expect 2 'there is no option --frob' pool create a --frob
expect 2 "--disk needs an argument" pool create a --disk
expect 2 "there is no option -Z" pool create a -Z
expect 2 "-s needs an argument" pool create a -s
expect 2 'is not a size' pool create a --size x
expect 2 'name the devices of the pool' pool create a
expect 2 'a large block is' pool create a --disk /dev/x --large-block 100K
expect 2 'cannot be the name' pool create ../a --disk /dev/x
expect 2 'the size is missing' volume create p v
expect 2 'taken for an id' volume create p 12 --size 1G
expect 2 'from 0 to' volume create p v --size 1G --id 16777216
expect 2 'has no setting' volume set p v colour on
expect 2 'is on or off' volume set p v readonly maybe
expect 2 'a pool has no setting' pool set p colour blue
expect 2 'is not a value' pool set p defrag 'start 5'
expect 2 'cache is set to: share on|off, copies_limit N' pool set p cache colour 5
expect 2 'cache is set to' pool set p cache share
expect 2 'cache is set to' pool set p cache share maybe
expect 2 'cache is set to' pool set p cache evict now
expect 2 'cache is set to' pool set p cache copies_limit
expect 2 'cache is set to' pool set p cache copies_limit 1 2
expect 2 'lots' pool set p cache copies_limit lots
expect 2 '1025' pool set p cache copies_limit 1025
expect 2 'ext4 or xfs' import p v x.tar --fs vfat
expect 2 '--fs does not go with --from' import p v x.tar --fs xfs --from w
expect 2 'is not a time' top -d 0

# Mistakes of a new user.
expect 2 'did you mean --disk /dev/vda?' pool create p /dev/vda
expect 2 '{--disk DEV | --file PATH --size SIZE | --meta DEV --data DEV}' pool create p /dev/vda
expect 2 'did you mean --file ./p.pool?' pool create p ./p.pool
expect 2 'did you mean --add /dev/vdb?' pool grow p /dev/vdb
expect 2 'did you mean --data +10G?' pool grow p +10G
expect 2 'did you mean --size 10G?' volume create p v 10G
expect 2 '--size SIZE' volume create p
expect 2 'did you mean "pool list", or "volume list"?' list
expect 2 'did you mean "volume list"?' volume ls
expect 2 'did you mean "volume list"?' volume ls p
expect 2 'did you mean "pool create"?' create pool p
expect 2 'did you mean "volume snapshot"?' volume snapshoot p a b
expect 2 'did you mean "volume remove"?' volume rm p a
expect 2 'did you mean "pool status"?' pool info p
expect 2 'did you mean "import"?' help imprt
expect 2 'did you mean "pool"?' pools
expect 2 'did you mean "volume"?' vols
expect 2 'there is no command volume mount (hpmctl' volume mount
expect 2 'did you mean --large-block?' pool create a --large-blok 1M
expect 2 'there is no option --frob before a command' --frob pool list
expect 2 '--force takes no argument' pool remove p --force=yes
"$hpmctl" pool create p --no >"$out" 2>"$err"
grep -qF 'is ambiguous: it may be --no-discard-passdown, or --no-sharing' "$err"
ok $? 'an option that may be several is told so'
for size in 0 0K 0.0G; do
	expect 2 'a size must not be 0' pool create p --file "$out.p" --size $size
	expect 2 'a size must not be 0' volume create p v --size $size
	expect 2 'a size must not be 0' import p v x.tar --size $size
done
expect 2 'give its new size' volume resize p v -10M
expect 2 'give its new size' volume resize p v -- -10M
expect 2 'give its new size' volume resize -5 p v
expect 2 'a size must not be negative' volume create p v --size -5G
expect 2 'no space in it' volume create p v --size '10 G'
expect 2 '--disk must not be empty: give a DEV' pool create p --disk ''
expect 2 '--add must not be empty' pool activate p --disk /dev/x --add ''
expect 2 '--file must not be empty' pool create p --size 1G --file=
expect 2 '--from must not be empty' import p v x.tar --from ''
expect 2 '--platform must not be empty: give an OS/ARCH[/VARIANT]' import p v x.tar --platform ''
# (as without the variable, the arguments come first)
POSIXLY_CORRECT=1 expect 2 'from 0 to' volume create p v --size 1G --id 16777216
expect 2 'a whole number of bytes' volume create p v --size 0.3G
expect 2 'must be below 8E' volume create p v --size 8E
expect 2 '--iterations must be at least 1' top -n 0

for cmd in 'pool create' 'pool activate' 'pool status' 'pool list' 'pool grow' \
	'pool checkpoint' 'pool set' 'pool remove' 'volume create' \
	'volume snapshot' 'volume activate' 'volume deactivate' 'volume list' \
	'volume stat' 'volume resize' 'volume rename' 'volume set' \
	'volume remove' import top; do
	# shellcheck disable=SC2086
	expect 0 'Examples:' $cmd --help
done

# one <jq expression> <argument>...: prints one document on one line, whatever is
# wrong
one() {
	local expr=$1 bad=0
	shift
	"$hpmctl" "$@" >"$out" 2>"$err" </dev/null
	[ "$(wc -l <"$out")" = 1 ] || bad=1
	jq -es "length == 1 and (.[0] | $expr)" "$out" >/dev/null 2>>"$err" || bad=1
	ok $bad "hpmctl $*: one JSON document: $expr"
}

usage_error='.error.status == 2 and (.error.message | length > 0)'
one "$usage_error" --json pool create a
one "$usage_error" --json frob
one "$usage_error" frob --json
one "$usage_error" --json
one "$usage_error" pool --json
one "$usage_error" --json pool
one "$usage_error" --frob --json
one "$usage_error" pool frob --json
one "$usage_error" pool create a --frob --json
one "$usage_error" pool create a --size --json
one "$usage_error" pool create a --file y --size 10Gx --json
one "$usage_error" pool create a --json=yes
one "$usage_error" volume list --json
one "$usage_error" volume resize p v -10M --jso
one "$usage_error" top -n 0 --json
one "$usage_error" help frob --json
one "$usage_error" volume create p $'caf\xe9 \e[2J' --size 1G --json
one '.error.message | contains("caf\\xe9\\x1b")' pool $'caf\xe9\e' --json
one '.help | contains("Commands:")' --json --help
one '.help | contains("Examples:")' pool create --help --json
one '.help | contains("volume snapshot")' help volume --json
one '.on_disk_format > 0' --json --version

# A name must not be able to control the terminal, or to forge a second message.
"$hpmctl" pool status $'x\e[2J\nhpmctl: forged' >"$out" 2>"$err"
[ "$(wc -l <"$err")" = 1 ] && ! grep -q $'\e' "$err"
ok $? 'a message is one line without control characters'

# The output cannot be written, or its reader is gone.
"$hpmctl" --help 2>"$err" >/dev/full
[ $? = 1 ] && grep -q 'cannot write the output: No space left' "$err"
ok $? 'output that cannot be written is an error'
(trap '' PIPE; "$hpmctl" --help 2>"$err"; echo $? >"$out") | true
[ "$(cat "$out")" = 1 ] || [ "$(cat "$out")" = 0 ]
ok $? 'a reader that goes away ends nothing by a signal'
"$hpmctl" --version >&- 2>"$err"
[ $? = 1 ]
ok $? 'closed output is an error, not a device of ours'

[ "$("$hpmctl" --help | wc -L)" -le 100 ]
ok $? 'lines of the help are not long'

# completes <offered words> <word>...: bash must offer these for the last word
completes() {
	local want=$1 COMP_WORDS COMP_CWORD COMPREPLY=()
	shift
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	_hpmctl
	echo "${COMPREPLY[*]}" >"$out"
	grep -q -- "$want" "$out"
	ok $? "completion of: $*"
}

# shellcheck source=../../tools/completion/hpmctl.bash
. "$(dirname "$0")/../../tools/completion/hpmctl.bash"
compopt() { :; }
hpmctl() {
	case "$*" in
	'pool list -q') echo fast slow ;;
	'volume list fast -q') printf '%s\n' web redis ;;
	*) "$hpmctl" "$@" ;;
	esac
}
completes '^import pool top volume ' hpmctl ''
completes '^create activate status ' hpmctl pool ''
completes '^fast slow$' hpmctl pool status ''
completes '^$' hpmctl pool create ''
completes '^fast slow$' hpmctl volume create ''
completes '^$' hpmctl volume create fast ''
completes '^web redis$' hpmctl volume remove fast web ''
completes '^redis$' hpmctl volume snapshot --freeze fast r
completes '^on off$' hpmctl volume set fast web readonly ''
completes '^defrag cache map-cache transaction-id metadata-snap$' hpmctl pool set fast ''
completes '^share copies_limit entries scan_ms evict$' hpmctl pool set fast cache ''
completes '^on off$' hpmctl pool set fast cache share ''
completes '^start stop status$' hpmctl pool set fast defrag ''
completes '^reserve release$' hpmctl pool set fast metadata-snap re
completes '^$' hpmctl pool set fast cache copies_limit ''
completes '^web redis$' hpmctl import fast x y.tar --from ''
completes '^--large-block$' hpmctl pool create p --lar
completes '^64K ' hpmctl pool create p --large-block ''
completes '^fast$' hpmctl top f

echo "1..$n"
