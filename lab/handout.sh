#!/bin/sh
# SPDX-License-Identifier: MIT
# handout.sh OUT: the students' tree, OUT/ringside-lab and OUT/ringside-lab.tar.gz.
#
# Called by lab/lab.mk from the top of the tree with, in the environment: PARTS; FILES, what
# students write; HIDDEN, sources and headers that they do not get; ITEMS, what the graded items are
# made of; OBJECTS, the modules that they get as objects only.
set -eu
out=$1
tree=$out/ringside-lab
rm -rf "$tree" "$tree.tar.gz"
mkdir -p "$tree/lab/reference"

# The product, without what would give the answers away; of the tests what the items use.
find decoder vmm guest docs -type f | while read -r f; do
	case " $HIDDEN " in *" $f "*) continue ;; esac
	echo "$f"
done >"$out/files"
ls Makefile VERSION LICENSE .clang-format tests/*.h >>"$out/files"
for f in $ITEMS lab/Makefile lab/lab.mk lab/tour.awk; do
	case " $HIDDEN " in *" $f "*) continue ;; esac
	echo "$f"
done >>"$out/files"
for n in item.h item.c boot.c proc.h proc.c score.h score.c grade.c; do echo "lab/grade/$n"; done \
	>>"$out/files"
find lab/grade/shim -type f >>"$out/files"
for x in $PARTS; do find "lab/$x" -maxdepth 1 -name part.mk -o -name points -o -name "*.h"; done >>"$out/files"
for f in $FILES; do echo "$f"; done >>"$out/files"
sort -u "$out/files" | tar -cf - -T - | tar -xf - -C "$tree"
cp $OBJECTS "$tree/lab/reference/"
cp lab/handout/README.md "$tree/README.md"

# Other compilers warn of other things; and code that was optimized is hard to debug.
sed -i -e 's/ -Werror$//' -e 's/^CFLAGS .*/CFLAGS   ?= -Og -g/' "$tree/Makefile"
sed '/^# What the tests need/,$d' deps.mk >"$tree/deps.mk"

# The text: one Markdown file that pandoc or a browser can print, and HTML.
mkdir -p "$tree/handout/figures"
cp lab/handout/figures/*.svg "$tree/handout/figures/"
{
	cat lab/handout/intro.md
	for x in $PARTS; do echo; cat "lab/$x/handout.md"; done
	for f in debugging challenges; do echo; cat "lab/handout/$f.md"; done
} >"$tree/handout/handout.md"
{
	cat lab/handout/head.html
	sed -e '1{/^% /d}' "$tree/handout/handout.md" | cmark-gfm -e table --unsafe
	echo '</body></html>'
} >"$tree/handout/handout.html"

tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$out" -cf - ringside-lab |
	gzip -9n >"$tree.tar.gz"
