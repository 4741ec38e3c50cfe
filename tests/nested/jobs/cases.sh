# SPDX-License-Identifier: MIT
# Every list of guest/conform and guest/apic that tests/nested_cases.c compares.
conform()
{
	for list; do
		job "conform-$list" ringside run --engine kvm -m 64 --cpuid -x2apic /guest/conform.elf -append "$list"
	done
}

hardware
conform flags interrupts io dtable control msr probe segload segstore far softint iret exceptions step \
	undefined limits prefix pfmatrix paging pdpte user restart userseg rings inner tss
for list in registers priority eoi self disable lvt nmi windows pic picmodes ioapic uart pit pitmodes rtc \
	ipi logical init iosmp base alone x2apic; do
	job "apic-$list" ringside run --engine kvm -m 64 --smp 4 /guest/apic.elf -append "$list"
done
# QEMU sets A in the guest's PDPTEs, so that KVM finds them invalid: there it must not walk them.
hardware npt=0
conform pae
