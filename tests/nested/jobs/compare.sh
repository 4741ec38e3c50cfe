# SPDX-License-Identifier: MIT
# Each workload on both engines; KVM with its own interrupt controllers, as the model has them.
compare() # NAME IMAGE OPTIONS...
{
	name=$1 image=$2
	shift 2
	job "$name" sh -c '
		image=$1
		shift
		ringside compare "$image" --json=/tmp/report -- --timeout 100 --irqchip=kernel "$@" >/tmp/text 2>&1 ||
			{ status=$?; cat /tmp/text; exit $status; }
		cat /tmp/report' - "$image" "$@"
}

limit=200
hardware
for image in /guest/workload-*.elf; do
	name=${image#/guest/workload-}
	name=${name%.elf}
	case $name in
	timer) compare $name $image -append n=50 ;;
	ipi) compare $name $image --smp 2 -append n=100 ;;
	*) compare $name $image -append n=1000 ;;
	esac
done
compare causes /guest/causes.elf
compare minios /guest/minios.elf --module /guest/minios-programs.a -append "script=hello a b;primes 1000;forktest;lazy"
