# SPDX-License-Identifier: MIT
# Exits of the hardware by reason, beside the model's: each command writes a report as JSON.
hardware
compare="ringside compare --json=-"
for chip in user kernel; do
	job causes-$chip $compare /guest/causes.elf -- --irqchip=$chip
	job exits-$chip $compare /guest/exits.elf -- --irqchip=$chip
	job minios-$chip $compare /guest/minios.elf -- --irqchip=$chip -append demo
done
for storm in apic-icr context-switch-paging mmio page-fault popf; do
	job $storm $compare /guest/workload-$storm.elf -- --irqchip=kernel -append n=300
done
# More exits in one KVM_RUN than half a ring has room for.
job many ringside run --engine kvm --stats=json /guest/workload-cpuid.elf -append n=100000
# Shadow paging.
if [ $vendor = intel ]; then hardware ept=0; else hardware npt=0; fi
job shadow $compare /guest/causes.elf -- --irqchip=kernel
