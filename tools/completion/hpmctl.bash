# SPDX-License-Identifier: GPL-2.0-only
# bash completion for hpmctl                               -*- shell-script -*-
#
# Commands and options come from hpmctl's own help, and pools and volumes from the
# kernel, so this file has little that could get out of date.

_hpmctl_commands() {
	hpmctl ${1:+"$1"} --help 2>/dev/null |
		sed -n 's/^  \([a-z]\+\( [a-z]\+\)\?\)  .*/\1/p'
}

_hpmctl_options() {
	hpmctl "$@" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]+' | sort -u
}

# Prints the kind of the n-th argument of a command.
_hpmctl_kind() {
	hpmctl "$1" ${2:+"$2"} --help 2>/dev/null |
		sed -n "s/^usage: hpmctl $1 ${2:+$2 }\[options\] //p" |
		awk -v n="$3" '{ print n < NF ? $(n + 1) : $NF ~ /\.\.\.$/ ? $NF : "" }'
}

# Fills "words" up to the cursor, without options and their arguments.
_hpmctl_words() {
	local i skip=

	words=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [ "$skip" ]; then
			skip=
			continue
		fi
		case ${COMP_WORDS[i]} in
		--json | --verbose | --help | --force | --quiet | --wipe | \
			--activate | --freeze | --deferred | --read-only | \
			--preallocate | --queue-if-no-space | --no-sharing | \
			--ignore-discard | --no-discard-passdown) ;;
		-[vhfqar]) ;;
		-*) skip=1 ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
}

_hpmctl_argument() {
	local kind=$1 pool=$2 cur=$3 cmd=$4 list=

	case "$cmd $kind" in
	'pool create '* | 'pool activate '*) ;;	# a new name
	*' POOL' | *' [POOL]' | pool*NAME*)
		list=$(hpmctl pool list -q 2>/dev/null)
		;;
	*' ORIGIN' | *' VOLUME' | *' VOLUME...')
		list=$(hpmctl volume list "$pool" -q 2>/dev/null)
		;;
	*' on|off')
		list='on off'
		;;
	*' SOURCE')
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")
}

# Offers the words of a pool's settings, after the pool's name.
_hpmctl_setting() {
	local cur=$1 list=
	shift

	case "$*" in
	'') list='defrag cache map-cache transaction-id metadata-snap' ;;
	defrag) list='start stop status' ;;
	cache) list='share copies_limit entries scan_ms evict' ;;
	'cache share') list='on off' ;;
	metadata-snap) list='reserve release' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")
}

_hpmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local words cmd used=2

	COMPREPLY=()
	_hpmctl_words
	case $prev in
	--disk | --file | --meta | --data | --add)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--fs | -t)
		mapfile -t COMPREPLY < <(compgen -W 'ext4 xfs' -- "$cur")
		return
		;;
	--large-block)
		mapfile -t COMPREPLY < <(compgen -W '64K 128K 256K 512K 1M 2M' -- "$cur")
		return
		;;
	--from)
		_hpmctl_argument VOLUME "${words[1]-}" "$cur" import
		return
		;;
	esac
	if [ ${#words[@]} = 0 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_hpmctl_commands | cut -d' ' -f1 | sort -u) --help --version --json" -- "$cur")
		return
	fi
	case ${words[0]} in
	pool | volume)
		if [ ${#words[@]} = 1 ]; then
			mapfile -t COMPREPLY < <(compgen -W "$(_hpmctl_commands "${words[0]}" | cut -d' ' -f2)" -- "$cur")
			return
		fi
		cmd=("${words[0]}" "${words[1]}")
		;;
	*)
		cmd=("${words[0]}")
		used=1
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_hpmctl_options "${cmd[@]}")" -- "$cur")
		return
	fi
	if [ "${cmd[*]}" = 'pool set' ] && [ ${#words[@]} -gt 2 ]; then
		_hpmctl_setting "$cur" "${words[@]:3}"
		return
	fi
	_hpmctl_argument "$(_hpmctl_kind "${cmd[0]}" "${cmd[1]-}" $((${#words[@]} - used)))" \
		"${words[used]-}" "$cur" "${cmd[*]}"
}

complete -F _hpmctl hpmctl
