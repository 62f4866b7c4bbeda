#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests the metadata tools on pools that the engine makes.
#
# usage: run.sh DIRECTORY-OF-PROGRAMS
set -u -o pipefail

bin=$1
images=$(cd "$(dirname "${BASH_SOURCE[0]}")/../images" && pwd) || exit 1
man=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../tools/man" && pwd) || exit 1
seed=${SEED:-1}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/hpm-meta.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
passed=0 failed=0

ok() { # NAME STATUS-WANTED COMMAND...
	local name=$1 want=$2 got=0
	shift 2
	"$@" >out 2>err || got=$?
	if [ "$got" = "$want" ]; then
		passed=$((passed + 1))
		return 0
	fi
	failed=$((failed + 1))
	echo "FAILED $name: status $got, not $want"
	head -n 5 out err
	return 1
}
says() { # NAME PATTERN: of the command before
	if grep -qE -- "$2" out err; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED $1: nothing like '$2' in"
		head -n 5 out err
	fi
}
pool() { # FILE ARGUMENT...
	rm -f "$1"
	truncate -s "${SIZE:-16M}" "$1"
	"$bin/mkpool" "$@" || { echo "mkpool $* failed"; exit 1; }
}
blank() {
	rm -f "$1"
	truncate -s "${SIZE:-16M}" "$1"
}
spoil() { # FILE BLOCK [OFFSET]
	printf '\xde\xad\xbe\xef' | dd of="$1" bs=1 seek=$(($2 * 4096 + ${3:-2000})) \
		conv=notrunc status=none
}
# Prints the visible mappings, to compare the volumes of two devices.
maps() { # FILE
	local id
	for id in $("$bin/hpm_ls" -n --json "$1" | jq '.volumes[].id'); do
		echo "volume $id"
		"$bin/hpm_delta" --same --vol1 "$id" --vol2 "$id" "$1"
	done
}
echo "# round trips"
n=0
for opts in "" "hold=1" "dying=1" "journal=1" "hold=1 dying=1 journal=1" \
	"mark=data hold=1 dying=1 journal=1" \
	"large=9 data=1048576 vol=65536" "large=4 steps=9000"; do
	n=$((n + 1))
	# shellcheck disable=SC2086
	pool p seed=$((seed + n)) $opts
	cp p before
	ok "check ($opts)" 0 "$bin/hpm_check" p
	ok "dump ($opts)" 0 "$bin/hpm_dump" -o text1 p
	blank q
	ok "restore ($opts)" 0 "$bin/hpm_restore" -i text1 -o q
	ok "check of what was restored ($opts)" 0 "$bin/hpm_check" q
	ok "second dump ($opts)" 0 "$bin/hpm_dump" -o text2 q
	ok "the round trip is the identity ($opts)" 0 cmp text1 text2
	ok "repair of a whole pool ($opts)" 0 "$bin/hpm_repair" -i p -o q
	ok "check of what was repaired ($opts)" 0 "$bin/hpm_check" q
	maps p >map1
	maps q >map2
	ok "a repair keeps every mapping ($opts)" 0 cmp map1 map2
	ok "nothing was written to the input ($opts)" 0 cmp p before
done

echo "# text"
"$bin/hpm_dump" p >text1
sed -E '0,/name="[^"]*"/s//name="a\&#x20;\&#x3c;b\&#xe4;"/' text1 >text2
blank q
ok "odd names are kept" 0 "$bin/hpm_restore" -i text2 -o q
ok "odd names come back" 0 sh -c "'$bin/hpm_dump' q | cmp - text2"
ok "text from stdin" 0 sh -c "'$bin/hpm_restore' -q -i - -o q <text1"
i=0
while read -r edit; do
	i=$((i + 1))
	sed -E "$edit" text1 >text2
	ok "bad text: $edit" 1 "$bin/hpm_restore" -i text2 -o q
done <<'EDITS'
1s/uuid="./uuid="x/
1s/version="1"/version="2"/
1s/large_block="[0-9]*"/large_block="3"/
1s/data_blocks="[0-9]*"/data_blocks="7"/
0,/pbn="[0-9]*"/s//pbn="99999999999"/
0,/<small /s//<tiny /
0,/blocks="[0-9]*"/s//blocks="0"/
0,/pbn="[0-9]*"/s//& &/
0,/<small /s//<small colour="3" /
0,/<\/volume>/s//<\/volume id="1">/
0,/<ref def="[0-9]*"/s//<ref def="77777"/
$d
0,/time="[0-9]*"\/>/s//time="99999"\/>/
0,/mapped="[0-9]*"/s//mapped="1"/
0,/snap_time="[0-9]*"/s//snap_time="268435455"/
2s/^/<<<<\n/
2s/.*/&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&&/
EDITS
sed -E '0,/pbn="[0-9]*"/s//pbn="1\x1b[2J\xc3\xa4\x9b\xc2\x9b"/' text1 >text2
ok "text with escape sequences" 1 "$bin/hpm_restore" -i text2 -o q
says "they are escaped" 'pbn="1\\x1b\[2J'$'\xc3\xa4''\\x9b\\xc2\\x9b"'
truncate -s 2M small
ok "a device that is too small" 1 "$bin/hpm_restore" -i text1 -o small

echo "# damage"
pool good seed="$seed" dying=1 hold=1
"$bin/hpm_dump" good >text1
first=$((32 + 16384 / 4 / 16 + 3 * (4096 / 1008 + 1)))
for b in 0 8 24; do
	cp good p
	spoil p "$b"
	ok "block $b spoiled is found" 1 "$bin/hpm_check" p
	says "block $b is named" "block $b "
	ok "block $b spoiled is mended" 0 "$bin/hpm_repair" -b 128K -i p -o q
	ok "and nothing is lost with block $b" 0 "$bin/hpm_check" q
	maps good >map1
	maps q >map2
	ok "and no mapping with block $b" 0 cmp map1 map2
done
cp good p
spoil p 8
spoil p 24
ok "no superblock" 1 "$bin/hpm_check" p
ok "repair without a superblock" 3 "$bin/hpm_repair" -d 1G -i p -o q
ok "and what it built is whole" 0 "$bin/hpm_check" q
maps q >map2
ok "and has every mapping" 0 cmp map1 map2
cp good p
spoil p 0
ok "without a label its copy is used" 0 "$bin/hpm_repair" -i p -o q
spoil p 1
ok "without both the large block must be told" 1 "$bin/hpm_repair" -i p -o q
found=0 lost=0
for ((b = first; b < first + 700; b += 23)); do
	cp good p
	spoil p "$b"
	"$bin/hpm_check" p >out 2>err
	status=$?
	[ $status = 0 ] && continue
	[ $status = 1 ] && grep -q "block $b " err && found=$((found + 1)) ||
		ok "spoiled block $b is named" 0 false
	"$bin/hpm_repair" -i p -o q >out 2>err
	case $? in
	0) ;;
	3) lost=$((lost + 1)) ;;
	*) ok "repair with block $b spoiled" 0 false ;;
	esac
	"$bin/hpm_check" -q q || ok "check after a repair, block $b" 0 false
done
echo "  $found blocks were spoiled one by one, $lost repairs told of losses"
ok "blocks were spoiled" 0 test "$found" -gt 8

echo "# journal"
pool p seed="$seed" journal=1
ok "a journal is replayed" 0 "$bin/hpm_check" p
"$bin/hpm_dump" p >text1
"$bin/hpm_check" --no-replay p >out 2>err
ok "without the replay too" 0 "$bin/hpm_check" --no-replay p

echo "# leaks and flags"
pool p seed="$seed"
"$bin/mkpool" p leak=1 || exit 1
ok "leaks are told apart" 3 "$bin/hpm_check" p
says "leaks are named" "leaks: its count is"
cp p before
ok "and left alone" 0 cmp p before
ok "auto-repair" 0 "$bin/hpm_check" --auto-repair p
ok "and all is well" 0 "$bin/hpm_check" p
"$bin/mkpool" p flag=1 || exit 1
ok "a check is asked for" 0 "$bin/hpm_check" p
says "which is said" "clear-needs-check-flag"
ok "the flag is cleared" 0 "$bin/hpm_check" --clear-needs-check-flag p
ok "and is gone" 0 "$bin/hpm_check" p
ok "quietly" 0 test ! -s err

echo "# a page of counts that the device has lost"
pool p seed="$seed"
maps p >map1
"$bin/mkpool" p lost=1 || exit 1
ok "a lost page of counts" 1 "$bin/hpm_check" p
says "is told" "a write was lost"
ok "a lost page of counts is not mended in place" 1 "$bin/hpm_check" --auto-repair p
ok "a repair builds new ones" 0 "$bin/hpm_repair" -i p -o q
ok "and what it built is whole" 0 "$bin/hpm_check" q
maps q >map2
ok "and has every mapping" 0 cmp map1 map2

# A pool that became read-only has both: the flag, and records without a checkpoint.
pool p seed="$seed" journal=1
maps p >map1
pool p seed="$seed" journal=1 check=1
ok "a check is asked for, with a journal" 0 "$bin/hpm_check" p
says "which is said, too" "clear-needs-check-flag"
ok "the flag is cleared, with a journal" 0 "$bin/hpm_check" --clear-needs-check-flag p
ok "and the pool is whole" 0 "$bin/hpm_check" p
ok "the flag is gone" 0 test ! -s err
maps p >map2
ok "and its journal is still there" 0 cmp map1 map2

echo "# the mark on the data device"
pool p seed="$seed" mark=data
ok "a pool with a mark" 0 "$bin/hpm_check" p
ok "the mark names itself" 0 grep -q 'Data of a dm-hpmapper pool' data
"$bin/hpm_dump" -o text1 p
ok "a dump tells it" 0 grep -q ' mark="1"' text1
for gone in "" 0 "0 1" "8 24" "0 1 8"; do
	cp p r
	for b in $gone; do
		spoil r "$b"
	done
	blank q
	"$bin/hpm_repair" -b 128K -d 1G -i r -o q >out 2>err
	ok "repaired without block ${gone:-"(none)"}" 0 "$bin/hpm_check" q
	"$bin/hpm_dump" -o text2 q
	ok "the mark is kept without block ${gone:-"(none)"}" 0 grep -q ' mark="1"' text2
done
# The two devices of a pool, mixed up.
truncate -s 16M data
cp data before
ok "no metadata over data: restore" 1 "$bin/hpm_restore" -i text1 -o data
says "which is said" "data holds the data of a pool"
ok "no metadata over data: with a size" 1 "$bin/hpm_restore" -s 8M -i text1 -o data
ok "no metadata over data: repair" 1 "$bin/hpm_repair" -i p -o data
says "which is said" "data holds the data of a pool"
ok "nothing was written" 0 cmp data before
ok "a check of data" 1 "$bin/hpm_check" data
says "is told what they are" "data holds the data of a pool"
dd if=/dev/zero of=data bs=4096 count=1 conv=notrunc status=none
ok "without the mark it is a device like others" 0 "$bin/hpm_restore" -i text1 -o data
sed 's/ mark="1"//' text1 >text2
blank q
ok "without the mark's word" 0 "$bin/hpm_restore" -i text2 -o q
ok "it is a pool without a mark" 0 "$bin/hpm_check" q
"$bin/hpm_dump" -o text1 q
ok "and stays one" 1 grep -q ' mark="1"' text1
# An older version counts the block in its text, and does not know that it is the
# mark.
used=$(sed -n '1s/.* data_used="\([0-9]*\)".*/\1/p' text2)
sed "1s/ data_used=\"$used\"/ data_used=\"$((used + 1))\"/" text2 >text3
blank q
ok "an older version's text of a pool with a mark" 0 "$bin/hpm_restore" -i text3 -o q
says "that the mark is gone is said" "no mark on its data device"
ok "it is whole" 0 "$bin/hpm_check" q
"$bin/hpm_dump" -o text3 q
ok "and as without the mark's word" 0 cmp text1 text3
sed "1s/ data_used=\"$used\"/ data_used=\"$((used + 2))\"/" text2 >text3
blank q
ok "a text that counts more than that" 1 "$bin/hpm_restore" -i text3 -o q
# A text in which a volume maps the block, because an older version freed it.
pool p seed="$seed" steps=50
"$bin/hpm_dump" p | sed '1s/>$/ mark="1">/' >text1
if grep -q ' pbn="0"' text1; then
	blank q
	ok "a volume has the mark's block" 0 "$bin/hpm_restore" -i text1 -o q
	says "which is said" "no mark on its data device"
	ok "and all is well" 0 "$bin/hpm_check" q
else
	ok "a volume has small block 0" 0 false
fi

echo "# a disk that has metadata and data"
# hpmctl cuts a disk in two: the metadata, and the data from a multiple of 2 MiB on.
SIZE=16M pool p seed="$seed" mark=data
"$bin/hpm_dump" -o text1 p
disk() {
	blank disk
	truncate -s 64M disk
	dd if=p of=disk conv=notrunc status=none
	dd if=data of=disk bs=1M seek=16 conv=notrunc status=none
	head -c 1M /dev/urandom | dd of=disk bs=1M seek=17 conv=notrunc status=none
	tail -c +$((16 * 1048576 + 1)) disk | md5sum >data.sum
}
data_whole() {
	tail -c +$((16 * 1048576 + 1)) disk | md5sum | cmp - data.sum
}
disk
ok "back to the disk it came from" 0 "$bin/hpm_restore" -i text1 -o disk
says "not all of the disk is taken" "the first 4096 of the 16384 blocks"
ok "the data are there" 0 data_whole
ok "and the pool is whole" 0 "$bin/hpm_check" disk
ok "the label says where the data begin" 0 test \
	"$(od -An -tu8 -j 128 -N 8 disk | tr -d ' ')" = 4096
"$bin/hpm_dump" -o text2 disk
ok "nothing is lost" 0 cmp text1 text2
for gone in 0 1 8 24 "0 1" "8 24" "0 1 8 24"; do
	disk
	for b in $gone; do
		spoil disk "$b"
	done
	ok "restored without block $gone" 0 "$bin/hpm_restore" -i text1 -o disk
	ok "the data are there without block $gone" 0 data_whole
	ok "the pool is whole without block $gone" 0 "$bin/hpm_check" disk
done
disk
ok "repaired to the disk" 0 "$bin/hpm_repair" -i p -o disk
ok "and the data are there" 0 data_whole
"$bin/hpm_dump" -o text2 disk
# The commands of hpm_repair's manual page, with a lost superblock, and with a lost
# leaf.
sed -n '/^BLOCKS=/,/^\.Ed/p' "$man/hpm_repair.8" | sed 's,/dev/sdb,disk,; /^\.Ed/d' >way
ok "the page tells the way over a file" 0 grep -q hpm_restore way
leaf=$(od -v -A n -t x1 -w4096 p | cut -c1-48 |
	awk '$5 $6 $7 $8 $9 == "48504d5005" { n = NR - 1 } END { print n }')
for gone in 8 "$leaf"; do
	disk
	spoil disk "$gone"
	ok "block $gone is damaged" 1 "$bin/hpm_check" disk
	ok "repaired over a file without block $gone" 0 \
		env PATH="$bin:$PATH" bash -euo pipefail way
	ok "which leaves the data alone" 0 data_whole
	ok "and the disk has a pool" 0 "$bin/hpm_check" disk
	ok "with as much metadata as before" 0 test \
		"$(od -An -tu8 -j 128 -N 8 disk | tr -d ' ')" = 4096
done
# Another pool's text, and a disk without a mark.
pool other seed="$((seed + 1))" steps=100
"$bin/hpm_dump" -o text2 other
disk
ok "another pool's text to the disk" 0 "$bin/hpm_restore" -i text2 -o disk
ok "takes no more either" 0 data_whole
SIZE=16M pool p seed="$seed"
"$bin/hpm_dump" -o text1 p
: >data
disk
ok "a disk without a mark" 0 "$bin/hpm_restore" -i text1 -o disk
ok "and the data are there, too" 0 data_whole
disk
ok "all of it, if that is asked for" 0 "$bin/hpm_restore" --meta-size 64M -i text1 -o disk
ok "and it is whole" 0 "$bin/hpm_check" disk
ok "more than there is" 1 "$bin/hpm_restore" --meta-size 65M -i text1 -o disk
ok "less than there may be" 2 "$bin/hpm_restore" --meta-size 1M -i text1 -o disk
blank disk
truncate -s 64M disk
ok "a blank device is taken whole" 0 "$bin/hpm_restore" -i text1 -o disk
ok "with all its blocks" 0 test \
	"$(od -An -tu8 -j 128 -N 8 disk | tr -d ' ')" = 16384

echo "# pools that older versions have made, or have written since (../images/README)"
image() { # NAME
	gunzip -c "$images/$1.img.gz" >p || exit 1
	: >m
	[ ! -e "$images/$1.mark.gz" ] || gunzip -c "$images/$1.mark.gz" >m
	data=$(od -An -tu8 -j $((8 * 4096 + 64 + 48)) -N 8 p | tr -d ' ')
}
# Each image must be sound, survive a round trip and a repair, and be usable as
# ever.
image_is_whole() { # NAME
	ok "$1: check" 0 "$bin/hpm_check" p
	ok "$1: dump" 0 "$bin/hpm_dump" -o text1 p
	SIZE=$(stat -c %s p) blank q
	ok "$1: restore" 0 "$bin/hpm_restore" -i text1 -o q
	"$bin/hpm_dump" -o text2 q
	ok "$1: the round trip is the identity" 0 cmp text1 text2
	maps p >map1
	SIZE=$(stat -c %s p) blank q
	ok "$1: repair" 0 "$bin/hpm_repair" -i p -o q
	maps q >map2
	ok "$1: keeps every mapping" 0 cmp map1 map2
	ok "$1: check of the repaired one" 0 "$bin/hpm_check" q
}
image_in_use() { # NAME [MARK]
	ok "$1: opened and written" 0 "$bin/mkpool" p use=1 data="$data" ${2:+mark="$2"}
	ok "$1: whole afterwards" 0 "$bin/hpm_check" p
}
for i in old old-dots new-then-old new-then-old-flagged new-then-old-grown \
	new-then-old-mended; do
	image $i
	image_is_whole $i
done
# A repair keeps neither a metadata snapshot nor the records of the journal about
# one.
image old-released
ok "what an older version let go in one record: check" 0 "$bin/hpm_check" p
"$bin/hpm_ls" --json p >ls.json
ok "and all volumes are there" 0 jq -e \
	'[.volumes[].name] | contains(["first", "aside", "far", "last"])' ls.json
head -c 4096 /dev/urandom >noise
for i in old old-released old-dots new-then-old-mended; do
	image $i
	image_in_use "$i, a tenant's bytes in block 0" noise
	image $i
	gunzip -c "$images/new-then-old.mark.gz" >m
	image_in_use "$i, another pool's mark in block 0" m
done
for i in new-then-old new-then-old-grown; do
	image $i
	image_in_use $i m
	image $i
	cp p before
	ok "$i: other data are refused" 1 "$bin/mkpool" p use=1 data="$data" mark=noise
	says "with a sentence" "pool's mark"
	ok "$i: and nothing is written" 0 cmp p before
done
image new-then-old-flagged
ok "the flag that an older version has set" 0 "$bin/hpm_check" p
says "is asked for" "clear-needs-check-flag"
ok "is cleared" 0 "$bin/hpm_check" --clear-needs-check-flag p
image_in_use new-then-old-flagged
image old-dots
"$bin/hpm_ls" --json p >ls.json
ok "names that are none today stay" 0 jq -e \
	'[.volumes[].name] | contains([".", ".."])' ls.json

echo "# features"
for f in 1 0x80000000; do
	pool p seed="$seed"
	"$bin/mkpool" p incompat=$f || exit 1
	cp p before
	ok "a feature that is not known ($f): check" 1 "$bin/hpm_check" --auto-repair p
	says "is told ($f)" "features"
	ok "a feature that is not known ($f): dump" 1 "$bin/hpm_dump" p
	ok "a feature that is not known ($f): ls" 1 "$bin/hpm_ls" p
	ok "a feature that is not known ($f): repair" 1 "$bin/hpm_repair" -i p -o q
	ok "nothing was written ($f)" 0 cmp p before
done

echo "# held snapshots"
pool p seed="$seed" hold=1
ok "check of a held snapshot" 0 "$bin/hpm_check" --metadata-snap p
ok "ls of a held snapshot" 0 "$bin/hpm_ls" --metadata-snap --json p
ok "and it is JSON" 0 jq -e '.volumes | length > 0' out
"$bin/hpm_dump" --metadata-snap p >text1
blank q
ok "dump of a held snapshot" 0 "$bin/hpm_restore" -i text1 -o q
ok "restored whole" 0 "$bin/hpm_check" q
pool p seed="$seed"
ok "no snapshot is held" 2 "$bin/hpm_check" --metadata-snap p
ok "no snapshot to dump" 1 "$bin/hpm_dump" --metadata-snap p

echo "# lists and differences"
pool p seed="$seed"
ok "ls" 0 "$bin/hpm_ls" p
"$bin/hpm_ls" --json p >ls.json
ok "shared and exclusive are all" 0 jq -e \
	'[.volumes[] | .exclusive_blocks + .shared_blocks == .mapped_blocks] | all' ls.json
ids=$(jq '.volumes[].id' ls.json)
for a in $ids; do
	for b in $ids; do
		"$bin/hpm_delta" --vol1 "$a" --vol2 "$b" p >d1 || echo bad >d1
		"$bin/hpm_delta" --same --vol1 "$a" --vol2 "$b" p |
			grep -v '^same' >d2
		cmp -s d1 d2 || ok "delta $a $b" 0 false
	done
done
ok "delta of a volume and itself" 0 "$bin/hpm_delta" --vol1 0 --vol2 0 p
ok "is nothing" 0 test ! -s out
ok "delta as JSON" 0 "$bin/hpm_delta" --json --vol1 0 --vol2 "${ids##*$'\n'}" p
ok "and it is JSON" 0 jq -e '.ranges | type == "array"' out
ok "no such volume" 1 "$bin/hpm_delta" --vol1 0 --vol2 99999 p

echo "# command lines"
for t in hpm_check hpm_dump hpm_restore hpm_repair hpm_metadata_size hpm_ls \
	hpm_delta; do
	ok "$t --help" 0 "$bin/$t" --help
	says "$t --help" "examples:"
	ok "$t --version" 0 "$bin/$t" --version
	ok "$t without arguments" 2 "$bin/$t"
	ok "$t with nonsense" 2 "$bin/$t" --nonsense
	[ $t = hpm_metadata_size ] && continue
	case $t in
	hpm_restore | hpm_repair) args=(-i /nonexistent -o q) ;;
	hpm_delta) args=(--vol1 1 --vol2 2 /nonexistent) ;;
	*) args=(/nonexistent) ;;
	esac
	"$bin/$t" "${args[@]}" >out 2>err
	says "$t of nothing" "cannot open /nonexistent"
done
ok "letters that are no options" 2 "$bin/hpm_check" -xq p
says "are told" 'no option -x '
ok "a large block that cannot be" 2 "$bin/hpm_repair" -b 3K -i p -o q
ok "a size that cannot be" 2 "$bin/hpm_repair" -d 5X -i p -o q
ok "an id that is none" 2 "$bin/hpm_delta" --vol1 x --vol2 1 p
# what is read is not written over
cp p before
ok "a dump into its own input" 1 "$bin/hpm_dump" -o p p
says "is refused" "p is the input"
ln -s p link
ok "and behind a link" 1 "$bin/hpm_dump" -o link p
ok "nothing was written" 0 cmp p before
"$bin/hpm_dump" p >text1
seq 99999 >text2
ok "a dump over an old, longer one" 0 "$bin/hpm_dump" -o text2 p
ok "is what it should be" 0 cmp text1 text2
truncate -s 16M text2
cp text2 before
ok "a restore over its own text" 1 "$bin/hpm_restore" -i text2 -o text2
says "is refused" "text2 is the input"
ok "nothing was written" 0 cmp text2 before
truncate -s 8M zero
ok "a blank device" 1 "$bin/hpm_check" zero
says "is said to be blank" "there is no pool on zero"
head -c 8M /dev/urandom >noise
ok "noise" 1 "$bin/hpm_check" noise
says "is told with its name" "there is no pool on noise"
: >none
ok "nothing" 1 "$bin/hpm_check" none
says "is told with its name, too" "none is smaller"
ok "size" 0 "$bin/hpm_metadata_size" -n -u m -d 1T
says "is a number" '^[0-9]+$'
ok "no size at all" 2 "$bin/hpm_metadata_size" -d 1X
for size in 1Ti 1TiB 1tb 1.0T 2147483648s 1099511627776bytes; do
	ok "size $size" 0 test "$("$bin/hpm_metadata_size" -n -d "$size")" = "$("$bin/hpm_metadata_size" -n -d 1T)"
done
for size in -1T '1 T' 1e12 .5T 0.3G 8E; do
	ok "no size: $size" 2 "$bin/hpm_metadata_size" -d "$size"
done
: >sizes
for d in 100M 1G 10G 1T 100T; do
	"$bin/hpm_metadata_size" -n -u m -d $d >>sizes
done
ok "what pool create takes" 0 test "$(tr '\n' ' ' <sizes)" = "8 16 160 16384 16384 "
ok "a use can be told" 0 "$bin/hpm_metadata_size" -n -u m -d 10G -s 20
says "and needs less" '^[0-9]{2}$'
for args in "-d 1G" "-d 1T -s 100" "-d 100T -v 100000" "-d 64K -b 64K"; do
	# shellcheck disable=SC2086
	ok "size $args" 0 "$bin/hpm_metadata_size" $args
done

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
