#!/bin/sh
# User-level threads with and without scheduler activations; `make activations-demo` calls it.
# The same work each time; cycles by the time-stamp counter, the median of RUNS (3).  With and
# without take turns, so that what else the machine does hits both.
set -eu
runs=${RUNS:-3}
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

# once PCPUS SMP RIVALS ARGS: cycles in millions.  A wrong sum ends the demo.
once() {
	status=0
	out=$("$PAIR" "$1" "$2" "$3" "$GUESTS/minios.elf" "$GUESTS/minios-programs.a" \
		"run=threads $4") || status=$?
	case $status$out in
	33*"ok sum of"*) echo "$out" | sed -n 's/^activations .*: \([0-9]*\) million cycles.*/\1/p' ;;
	*) echo "status $status: $out" >&2; exit 1 ;;
	esac
}

median() {
	sort -n "$1" | sed -n "$(((runs + 1) / 2))p"
}

row() { # WAITING PCPUS SMP RIVALS ARGS
	: >"$files/off"; : >"$files/on"
	i=0
	while [ $i -lt "$runs" ]; do
		once "$2" "$3" "$4" "$5" >>"$files/off"
		once "$2" "$3" "$4" "-a $5" >>"$files/on"
		i=$((i + 1))
	done
	off=$(median "$files/off") on=$(median "$files/on")
	printf '%-8s %5s %5s %6s %10s %10s %6s\n' "$1" "$2" "$3" "$4" "$off" "$on" \
		"$(awk "BEGIN { printf \"%.1f\", $off / $on }")x"
}

echo "8 user-level threads, 300 rounds: compute, add behind a lock, wait for all.  Million cycles."
printf '%-8s %5s %5s %6s %10s %10s %6s\n' waiting pCPUs vCPUs rivals without with ratio
for config in "2 2 0" "1 4 0" "2 4 0" "2 2 2" "2 4 2"; do
	row sleeps $config "8 300 20000"
done
for config in "2 2 0" "1 4 0" "2 4 0" "2 2 2" "2 4 2"; do
	row spins $config "-l 8 300 20000"
done
