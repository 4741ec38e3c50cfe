# SPDX-License-Identifier: MIT
# minios whole, with the interrupt controllers of the process and with KVM's own.
hardware
for chip in user kernel; do
	kvm="ringside run --engine kvm -m 64 --irqchip=$chip"
	os="$kvm --smp 2 /guest/minios.elf --module /guest/minios-programs.a --append"
	job checks-$chip $kvm /guest/minios.elf --append demo
	job script-$chip $os "script=hello a;primes 50;! nosuch;crash;forktest;lazy;hello"
	job stress-$chip $os "script=stress 3"
	job smp-stress-$chip $kvm --smp 4 /guest/minios.elf --append smp-stress=2
	job shell-$chip $os sh <<-LINES
		hello a
		sleep 20 &
		wait
		hello
		exit
	LINES
done
