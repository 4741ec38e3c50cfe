#!/bin/sh
# User-level threads with and without scheduler activations; `make activations-demo` calls it.
# The same work each time; cycles by the time-stamp counter, the median of RUNS (3).
set -eu
runs=${RUNS:-3}

# cycles PCPUS SMP RIVALS ARGS: the median, in millions.  A wrong sum ends the demo.
cycles() {
	i=0
	while [ $i -lt "$runs" ]; do
		out=$("$PAIR" "$1" "$2" "$3" "$GUESTS/minios.elf" "$GUESTS/minios-programs.a" \
			"run=threads $4") || [ $? = 33 ] || { echo "$out" >&2; exit 1; }
		echo "$out" | sed -n 's/^activations .*: \([0-9]*\) million cycles.*/\1/p'
		i=$((i + 1))
	done | sort -n | sed -n "$(((runs + 1) / 2))p"
}

row() { # WHAT PCPUS SMP RIVALS ARGS
	off=$(cycles "$2" "$3" "$4" "$5")
	on=$(cycles "$2" "$3" "$4" "-a $5")
	[ -n "$off" ] && [ -n "$on" ] || exit 1
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
