#!/bin/sh
# SPDX-License-Identifier: MIT
# reference.sh OUT OWN... -- REST...: the objects OWN as one, OUT, that shows of its names only those
# that the objects REST use.
set -eu
out=$1
shift
own=""
while [ "$1" != -- ]; do
	own="$own $1"
	shift
done
shift
ld -r -o "$out.all" $own
nm -u "$@" | awk 'NF == 2 { print $2 }' | sort -u >"$out.used"
nm -g --defined-only "$out.all" | awk '{ print $3 }' | sort -u >"$out.ours"
comm -12 "$out.ours" "$out.used" >"$out.keep"
comm -23 "$out.ours" "$out.used" | awk '{ print $1, ".r" NR }' >"$out.rename"
objcopy --keep-global-symbols="$out.keep" --redefine-syms="$out.rename" "$out.all" "$out"
strip --strip-unneeded -R .comment -R .note.GNU-stack "$out"
rm "$out.all" "$out.used" "$out.ours" "$out.keep" "$out.rename"
