#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests what each message does, and what it refuses.
# shellcheck source=lib.sh disable=SC1091,SC2016,SC2034,SC2086,SC2119,SC2154
. "$(dirname "$0")/lib.sh"

devices 8 64
pool_up || exit

m() {
	dmsetup message pool 0 "$@"
}

m create_thin 0 131072 base || exit
m create_thin 1 || exit
m create_snap 2 0 clone || exit
vol_up v0 0 64 || exit

# id serial parent size mapped flags created name
matches "list: a volume with all it has" "$(m list | head -n 1)" \
	'^0 1 0 131072 0 active [0-9]+ base$'
matches "list: its snapshot has its parent and size" "$(m list 2)" \
	'^2 3 1 131072 0 - [0-9]+ clone$'
matches "info: the same line" "$(m info 1)" '^1 2 0 0 0 - [0-9]+ -$'
equal "list: from an id on" "$(m list 1 | wc -l)" 2
equal "list: behind the last" "$(m list 3)" ""

# Not a message at all.
no message EINVAL 'unknown message "frobnicate"' "frobnicate"
no message EINVAL 'unknown message "create"' "create 5"

# The number of arguments.
for line in create_thin "create_thin 9 0 x y" create_snap "create_snap 9" \
	"create_snap 9 0 x y" delete "delete 1 2" set_transaction_id \
	"set_transaction_id 0" "set_transaction_id 0 1 2" \
	"reserve_metadata_snap 1" "release_metadata_snap 1" set_size \
	"set_size 1" "set_size 1 8 8" set_name "set_name 1" "set_name 1 a b" \
	"set_sharing 1" "set_sharing 1 on off" "set_readonly 1" \
	"set_readonly 1 on off" "list 1 2" info "info 1 2" "checkpoint now" \
	map_cache "map_cache 1 2" defrag; do
	no message EINVAL "${line%% *}: wrong number of arguments" "$line"
done

# Ids.
for id in -1 x 16777216 4294967296 1x 0x10; do
	no message EINVAL "\"$id\" is no volume id" "create_thin $id"
done
no message EINVAL 'is no volume id' "create_snap 16777216 0"
no message EINVAL 'is no volume id' "create_snap 9 16777216"
no message EINVAL 'is no volume id' "delete -1"
no message EINVAL 'is no volume id' "set_size x 8"
no message EINVAL 'is no volume id' "set_name x y"
no message EINVAL 'is no volume id' "set_sharing x on"
no message EINVAL 'is no volume id' "set_readonly x on"
no message EINVAL 'is no volume id' "info x"
no message EINVAL 'is no volume id' "list x"
no message EEXIST 'a volume with that id exists' "create_thin 1"
no message EEXIST 'a volume with that id exists' "create_snap 1 0"
no message EEXIST 'a volume with that id exists' "create_snap 0 0"
no message ENOENT 'the origin does not exist' "create_snap 9 8"
no message ENOENT 'the origin does not exist' "create_snap 9 9"
no message ENOENT 'no volume has that id' "delete 9"
no message ENOENT 'no volume has that id' "set_size 9 8"
no message ENOENT 'no volume has that id' "set_name 9 x"
no message ENOENT 'there is no volume 9' "set_sharing 9 on"
no message ENOENT 'there is no volume 9' "set_readonly 9 on"
no message ENOENT 'there is no volume 9' "info 9"

refusals
check "the largest id is one" m create_thin 16777215
check "and can be deleted" m delete 16777215

# Names.
long=$(printf '%063d' 0)
no message EEXIST 'a volume of that name exists' "create_thin 9 0 base"
no message EEXIST 'a volume of that name exists' "create_snap 9 0 base"
no message EEXIST 'a volume of that name exists' "set_name 1 clone"
no message ENAMETOOLONG 'at most 63 characters' "create_thin 9 0 ${long}0"
no message ENAMETOOLONG 'at most 63 characters' "set_name 1 ${long}0"
no message EINVAL '"-" is no name' "create_thin 9 0 -"
no message EINVAL 'name has' "create_snap 9 0 a/b"
no message EINVAL 'name has' "set_name 1 ä"
refusals
check "63 characters are a name" m set_name 1 "$long"
matches "and it is kept" "$(m info 1)" " $long\$"
check "a name can be taken away" m set_name 1 -
matches "and is gone" "$(m info 1)" ' -$'
check "a name that is free again can be given" m set_name 1 "$long"
m set_name 1 -

# Sizes.
no message EINVAL '"x" is no size' "create_thin 9 x"
no message EINVAL '"-8" is no size' "create_thin 9 -8"
no message EINVAL '7 sectors are not whole blocks' "create_thin 9 7"
no message EINVAL 'more than a volume can have' "create_thin 9 18446744073709551608"
no message EINVAL '9 sectors are not whole blocks' "set_size 1 9"
no message EINVAL '"big" is no size' "set_size 1 big"
refusals
check "a size can be set" m set_size 1 2048
matches "and is kept" "$(m info 1)" '^1 2 0 2048 '
check "and unset" m set_size 1 -
matches "and is 0 then" "$(m info 1)" '^1 2 0 0 '

# Switches.
no message EINVAL 'on or off, not "maybe"' "set_sharing 1 maybe"
no message EINVAL 'on or off, not "1"' "set_readonly 1 1"
refusals
m set_sharing 1 off
m set_readonly 1 on
matches "flags are listed" "$(m info 1)" ' readonly,noshare '
no create EROFS 'The volume is read-only: its table must be loaded read-only' \
	"0 16384 hpmapper $pool 1"
refusals
check "a read-only table of it can be loaded" vol_up v1 1 8 --readonly
fails "and it cannot be written" dd if=/dev/zero of=/dev/mapper/v1 bs=4k \
	count=1 oflag=direct
fails "nor get a table that can be written" \
	dmsetup reload v1 --table "0 16384 hpmapper $pool 1"
log_has "and the log says why" 'The volume is read-only: its table must be loaded read-only'
check "another read-only one is loaded" \
	dmsetup reload v1 --readonly --table "0 16384 hpmapper $pool 1"
dmsetup resume v1
no message EBUSY 'the volume is active' "set_readonly 1 off"
refusals
vol_down v1
m set_sharing 1 on
m set_readonly 1 off
matches "flags can be taken away" "$(m info 1)" ' - [0-9]+ -$'
no message EBUSY 'the volume is active' "set_readonly 0 on"

# Active volumes.
no message EBUSY 'delete 0: the volume is active' "delete 0"

# Transaction ids.
no message EINVAL 'transaction id is not' "set_transaction_id 1 2"
no message EINVAL 'no transaction id|is no' "set_transaction_id x 2"
no message EINVAL 'no transaction id|is no' "set_transaction_id 0 y"
refusals
check "a transaction id" m set_transaction_id 0 18446744073709551615
equal "is in the status" "$(word 4)" 18446744073709551615
check "and can go back" m set_transaction_id 18446744073709551615 7
equal "it went" "$(word 4)" 7

# A held metadata snapshot.
no message EINVAL 'no metadata snapshot is held' "release_metadata_snap"
refusals
check "a metadata snapshot is held" m reserve_metadata_snap
matches "its root is in the status" "$(word 7)" '^[1-9][0-9]*$'
no message EBUSY 'a metadata snapshot is held already' "reserve_metadata_snap"
refusals
check "and let go" m release_metadata_snap
equal "there is none then" "$(word 7)" -

# The rest.
no message EINVAL 'no number of nodes|is no' "map_cache x"
no message EINVAL 'no number of nodes|is no' "map_cache 0"
refusals
check "map_cache takes a number" m map_cache 5000
no message EINVAL 'expected start' "defrag sideways"
no message EINVAL 'is no limit' "defrag start x"
no message EINVAL 'is no limit' "defrag start 0"
no message EINVAL 'expected start' "defrag stop now"
refusals
check "defrag starts" m defrag start
matches "and tells" "$(m defrag status)" '^(idle|running) moved [0-9]+ pinned [0-9]+'
check "and stops" m defrag stop
before=$(key checkpoints)
check "checkpoint" m checkpoint
is "makes one" "$(key checkpoints)" -gt "$before"

# The cache; a module that was built without the interceptor says so.
if intercepts; then
	check "the cache takes a limit" m cache copies_limit 3
	equal "which is in the status" "$(key copies_limit)" 3/3
	check "sharing is switched off" m cache share off
	equal "which is in the status, too" "$(key share)" off
	check "and on again" m cache share on
	equal "there as well" "$(key share)" on
else
	no message EOPNOTSUPP 'cache share failed: the module was built without the interceptor' \
		"cache share on"
	no message EOPNOTSUPP 'without the interceptor' "cache evict"
	equal "the status says that nothing is shared" "$(key share)" absent
fi
no message EINVAL 'nothing called' "cache nothing 1"
no message EINVAL 'is not from 1 to 1024' "cache copies_limit 0"
no message EINVAL 'wrong number' "cache evict 1"
refusals

# A message in the wrong state.
fails "no message for the volume" dmsetup message v0 0 "create_thin 9"
dd if=/dev/zero of=/dev/mapper/v0 bs=4k count=3 oflag=direct status=none
equal "the volumes are as they were" "$(m list | cut -d' ' -f1-5 | paste -sd ';')" \
	"0 1 0 131072 24;1 2 0 0 0;2 3 1 131072 0"

# The effects of all messages are there when the pool is opened again.
list=$(m list | sed 's/ active / - /')
tid=$(word 4)
vol_down v0
pool_down
pool_up || exit
equal "volumes, names and sizes outlive the pool's device" "$(m list)" "$list"
equal "and the transaction id" "$(word 4)" "$tid"

check "a message when the pool is suspended does not hang" timeout 20 bash -c '
	dmsetup suspend pool
	dmsetup message pool 0 "create_thin 40"
	dmsetup resume pool'
pool_down
